from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.codegen.harness import MODULE, declaration, harness
from pipeline.dataflow.types import IntType
from pipeline.errors import ToolError
from pipeline.kernels.mvau import MVAU
from pipeline.synthesis.synth import alone
from pipeline.tools.verilator import compile_model
from tests.kernels.matrices import matrix_layer

UNIT = """// unit: (input wire fake)
`default_nettype none

module unit (
  input  wire clk_i,
  input  wire [3:0] a_i, // not , a port
  input  wire valid_i,
  output logic [7:0] sum_o,
  output wire done_o
);
  always_ff @(posedge clk_i) sum_o <= 8'd3 * 8'(a_i);
  assign done_o = valid_i;
endmodule
"""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    path = tmp_path / "unit.sv"
    path.write_text(UNIT)
    return path


def test_every_port_but_the_clock_is_at_a_register(unit):
    text = harness(unit)
    assert "reg [4:0] chain_q, inputs_q;" in text and "reg [8:0] outputs_q, results_q;" in text
    connected = [line.strip(" ,") for line in text.splitlines() if line.startswith("    .")]
    assert connected == [
        ".clk_i(clk_i)", ".a_i(inputs_q[3:0])", ".valid_i(inputs_q[4:4])",
        ".sum_o(outputs[7:0])", ".done_o(outputs[8:8])",
    ]  # fmt: skip


BENCH = """#include <cstdio>
#include "Vtop.h"
int main() {
  Vtop top;
  auto edge = [&](int en, int bit) {
    top.clk_i = 0; top.en_i = en; top.bit_i = bit; top.eval();
    top.clk_i = 1; top.eval();
  };
  const int word[] = {1, 0, 1, 1, 0};  // valid_i, then a_i = 6
  for (int i = 0; i < 5; i++) edge(i == 4, word[i]);
  edge(0, 0);  // the unit's inputs have the word
  edge(0, 0);  // its sum has
  edge(1, 0);
  edge(0, 0);  // the chain of results has
  for (int i = 0; i < 9; i++) { edge(0, 0); std::putchar('0' + top.bit_o); }
}
"""


def test_a_word_is_shifted_in_and_the_results_out(unit, tmp_path):
    unit.with_name(f"{MODULE}.v").write_text(harness(unit))
    bench = tmp_path / "bench.cpp"
    bench.write_text(BENCH)
    compile_model(MODULE, [unit, unit.with_name(f"{MODULE}.v")], bench, tmp_path / "model", folder=tmp_path)
    printed = subprocess.run([tmp_path / "model"], capture_output=True, text=True, check=True).stdout
    assert printed == "1" + f"{3 * 6:08b}"  # done_o, then sum_o


def test_the_declaration_has_the_same_ports_and_nothing_in_them(unit):
    assert declaration(unit) == (
        "(* blackbox *) module unit (input wire [0:0] clk_i, input wire [3:0] a_i, input wire [0:0] valid_i, "
        "output wire [7:0] sum_o, output wire [0:0] done_o); endmodule\n"
    )


def test_all_ports_of_a_generated_wrapper(tmp_path):
    layer = matrix_layer(MVAU, 4, 6, IntType(0, 7), 3, pe=2, simd=3)
    for watched in (False, True):
        top = alone(layer, tmp_path / str(watched), watched).generated[-1]
        text = harness(top)
        for port in ("ap_clk", "ap_rst_n", "s_axis_0_tvalid", "s_axis_0_tready", "m_axis_0_tdata"):
            assert f".{port}(" in text
        assert (".overflow(outputs[" in text) == watched


@pytest.mark.parametrize(
    "header",
    [
        "module other (input wire clk_i, output wire a_o);",
        "module unit (input wire clock, output wire a_o);",
        "module unit (input wire clk_i, input wire a_i);",
        "module unit (input wire clk_i, output wire [WIDTH-1:0] a_o);",
        "module unit #(parameter W = 1) (input wire clk_i, output wire a_o);",
    ],
)
def test_a_unit_whose_ports_are_not_plain_is_refused(unit, header):
    unit.write_text(f"{header}\nendmodule\n")
    with pytest.raises(ToolError, match=r"unit\.sv holds no module unit with a clock called ap_clk or clk_i"):
        harness(unit)
