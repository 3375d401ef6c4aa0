from __future__ import annotations

import random

import pytest

from pipeline.resources.memories import ram, rom
from pipeline.stages.codegen import rtl_sources
from pipeline.tools import yosys

SOURCES = {path.stem: path for path in rtl_sources()}


@pytest.mark.parametrize(
    ("width", "depth", "family"), [(36, 64, "xcup"), (36, 100, "xcup"), (4, 20, "xc7"), (36, 64, "xc7")]
)
def test_a_memory_becomes_what_yosys_makes_of_it(width, depth, family, tmp_path):
    top = SOURCES["simple_dual_port_ram"]
    counted = yosys.synthesize(
        top.stem, [top], family=family, parameters={"Width": width, "Depth": depth}, cache=tmp_path
    ).total
    expected = ram(width, depth, family)
    assert (counted.lut, counted.bram_18k, counted.ff) == (expected.lut, expected.bram_18k, expected.ff)


@pytest.mark.parametrize(("width", "depth"), [(64, 256), (144, 256)])
def test_constants_become_what_yosys_makes_of_them(width, depth, tmp_path):
    drawn = random.Random(width)
    (tmp_path / "words.mem").write_text(
        "".join(f"{drawn.getrandbits(width):0{-(-width // 4)}x}\n" for _ in range(depth))
    )
    top = tmp_path / "top.sv"
    top.write_text(
        f"module top(input wire c, input wire e, input wire [{(depth - 1).bit_length() - 1}:0] a,\n"
        f"  output wire [{width - 1}:0] d);\n"
        f'  rom #(.Width({width}), .Depth({depth}), .File("words.mem"))\n'
        "    u_rom (.clk_i(c), .en_i(e), .address_i(a), .data_o(d));\n"
        "endmodule\n"
    )
    counted = yosys.synthesize(
        "top", [SOURCES["rom"], top], memories=[tmp_path / "words.mem"], family="xcup", cache=tmp_path / "cache"
    ).total
    expected = rom(width, depth)
    assert (counted.lut, counted.bram_18k, counted.ff) == (expected.lut, expected.bram_18k, expected.ff)


def test_a_single_constant_is_no_memory():
    assert rom(64, 1) == (0, 0, 0)
