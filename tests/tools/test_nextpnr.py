from __future__ import annotations

import pytest

from pipeline.errors import ToolError
from pipeline.tools import nextpnr


def adder(bits: int) -> str:
    return (
        f"module top(input wire clk_i, input wire [{bits - 1}:0] a_i, output logic [{bits - 1}:0] sum_o);\n"
        f"  logic [{bits - 1}:0] a_q;\n"
        "  always_ff @(posedge clk_i) begin a_q <= a_i; sum_o <= sum_o + a_q; end\n"
        "endmodule\n"
    )


def test_a_wider_adder_is_slower(tmp_path):
    found = {}
    for bits in (4, 48):
        source = tmp_path / "top.sv"
        source.write_text(adder(bits))
        found[bits] = nextpnr.route("top", [source], seeds=(1, 2))
    assert len(found[4].mhz) == 2
    assert min(found[4].mhz) > max(found[48].mhz) > 50
    assert (found[48].ff, found[48].carry) == (96, 24)


def test_what_cannot_be_routed_is_an_error(tmp_path):
    source = tmp_path / "top.sv"  # more pins than the package has
    source.write_text(adder(400))
    with pytest.raises(ToolError, match="nextpnr ended with status"):
        nextpnr.route("top", [source], seeds=(1,))
