from __future__ import annotations

import random

import numpy as np
import pytest

from pipeline.codegen.rtl import rtl_sources
from pipeline.devices.memories import Storage, loaded_uram, ram, rom, share_of_bits
from pipeline.tools import yosys

SOURCES = {path.stem: path for path in rtl_sources()}


@pytest.mark.parametrize(
    ("width", "depth", "family"), [(36, 64, "xcup"), (36, 100, "xcup"), (4, 20, "xc7"), (36, 64, "xc7")]
)
def test_a_memory_becomes_what_yosys_makes_of_it(width, depth, family, tmp_path):
    top = SOURCES["simple_dual_port_ram"]
    unit = yosys.Unit(top.stem, [top], parameters={"Width": width, "Depth": depth})
    counted = yosys.synthesize([unit], family, cache=tmp_path)[0].total
    expected = ram(width, depth, family)
    assert (counted.lut, counted.bram_18k, counted.ff) == (expected.lut, expected.bram_18k, expected.ff)


@pytest.mark.parametrize(
    ("width", "depth", "style"),
    [
        (64, 256, "auto"),
        (36, 60, "auto"),
        (144, 256, "auto"),
        (144, 256, "distributed"),
        (64, 256, "block"),
        (8, 16, "block"),
    ],
)
def test_constants_become_what_yosys_makes_of_them(width, depth, style, tmp_path):
    drawn = random.Random(width)
    (tmp_path / "words.mem").write_text(
        "".join(f"{drawn.getrandbits(width):0{-(-width // 4)}x}\n" for _ in range(depth))
    )
    top = tmp_path / "top.sv"
    top.write_text(
        f"module top(input wire c, input wire r, input wire e, input wire [{(depth - 1).bit_length() - 1}:0] a,\n"
        f"  output wire [{width - 1}:0] d);\n"
        f'  rom #(.Width({width}), .Depth({depth}), .RamStyle("{style}"), .File("words.mem"))\n'
        "    u_rom (.clk_i(c), .rst_ni(r), .en_i(e), .address_i(a), .data_o(d));\n"
        "endmodule\n"
    )
    unit = yosys.Unit("top", [SOURCES["rom"], top], [tmp_path / "words.mem"])
    counted = yosys.synthesize([unit], "xcup", cache=tmp_path / "cache")[0].total
    expected = rom(width, depth, style)
    inverter = int(style == "distributed" or (style == "auto" and depth <= 192))  # of the reset that look-up tables get
    assert (counted.lut - inverter, counted.bram_18k, counted.ff) == (expected.lut, expected.bram_18k, expected.ff)


def test_a_single_constant_is_no_memory():
    for style in ("auto", "distributed", "block"):
        assert rom(64, 1, style) == Storage()


def test_ultra_ram_is_counted_in_blocks_of_4096_by_72(tmp_path):
    sizes = [(72, 4096), (73, 100), (8, 16), (33, 4097), (16, 8192), (100, 12290), (20, 1)]
    top = SOURCES["loaded_uram"]
    units = [yosys.Unit(top.stem, [top], parameters={"Width": width, "Depth": depth}) for width, depth in sizes]
    for size, counted in zip(sizes, yosys.synthesize(units, "xcup", cache=tmp_path), strict=True):
        expected, total = loaded_uram(*size), counted.total
        assert (total.uram, total.ff, total.bram_18k, total.lutram) == (expected.uram, expected.ff, 0, 0), size
        assert abs(total.lut - expected.lut) <= 5, size


def test_bits_of_constants_that_are_alike_or_constant_count_once():
    words = np.array([[0b01_10, 0b10_10], [0b01_11, 0b01_01], [0b01_10, 0b10_10]])  # two values of 4 bits
    assert share_of_bits(words[None], 4) == pytest.approx(2 / 8)  # one bit and its inverse, beside constants and copies
    assert share_of_bits(np.zeros((2, 3, 1), np.int64), 4) == 0
    assert share_of_bits(np.arange(32).reshape(1, 32, 1), 5) == 1
    assert share_of_bits(np.zeros((1, 33, 1), np.int64), 4) == 1  # many words
