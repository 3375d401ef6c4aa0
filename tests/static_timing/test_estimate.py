from __future__ import annotations

import json
from itertools import groupby

import pytest

from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.estimate import (
    OPTIMISTIC,
    PESSIMISTIC,
    LongestPath,
    TimingEstimate,
    network_of,
    place,
    timing_of,
)
from pipeline.static_timing.paths import Hop, Path
from pipeline.tools import yosys

STAGE = """module {name} (input wire clk_i, input wire in_valid_i, output wire in_ready_o, output wire out_valid_o,
  input wire out_ready_i);
  logic [3:0] count_q;
  {body}
endmodule
"""
REGISTERED = """
  always_ff @(posedge clk_i) if (in_valid_i && in_ready_o) count_q <= count_q + 4'd1;
  assign in_ready_o = count_q != 4'd7, out_valid_o = count_q[3];
"""
PASSING = """
  always_ff @(posedge clk_i) if (in_valid_i && in_ready_o) count_q <= count_q + 4'd1;
  assign in_ready_o = out_ready_i && count_q[0] ^ count_q[1], out_valid_o = in_valid_i && count_q[2] ^ count_q[3];
"""


def test_a_ready_that_no_register_holds_is_found_in_netlists_of_yosys(tmp_path):
    units = {}
    for name, body in (("registered", REGISTERED), ("passing", PASSING)):
        (tmp_path / f"{name}.sv").write_text(STAGE.format(name=name, body=body))
        units[name] = yosys.Unit(name, [tmp_path / f"{name}.sv"])
    yosys.synthesize(list(units.values()), "xcup", cache=tmp_path)
    order = {"first": "registered", "a": "passing", "b": "passing", "last": "registered"}
    netlists = {name: yosys.netlist(units[kind], "xcup", cache=tmp_path) for name, kind in order.items()}
    drivers = {}
    for writer, reader in zip(order, list(order)[1:], strict=False):
        drivers |= {
            (reader, "in_valid_i"): (writer, "out_valid_o"),
            (writer, "out_ready_i"): (reader, "in_ready_o"),
        }
    longest = timing_of(network_of(netlists, drivers, "xcup"), 1).worst("a", 1)[0]
    assert [unit for unit, _ in groupby(hop.unit for hop in longest.hops)] == ["last", "b", "a"]
    assert longest.start.signal.startswith("count_q") and longest.end.signal.startswith("count_q")
    alone = timing_of(network_of(netlists, {}, "xcup"), 1).worst("a", 1)[0]
    net, lut = CELL_DELAYS["xcup"].nets[1].base, CELL_DELAYS["xcup"].lut
    assert longest.ns > alone.ns + net + lut, "at least a LUT of b more than from a register before it"


def hop(unit: str, cell: str, signal: str, pin: str = "") -> Hop:
    return Hop(unit, cell, pin, "mvau", signal, 3, 0.6, 0.1)


def timing_estimate(**ns: tuple[float, float]) -> TimingEstimate:
    layers = {
        name: LongestPath("MVAU", {OPTIMISTIC: best, PESSIMISTIC: worst}, 4, 1, 9, f"{name}: a_q", f"{name}: b_q")
        for name, (best, worst) in ns.items()
    }
    path = Path(5.0, (hop("MVAU_0", "FDRE", "a_q[3]"), hop("MVAU_0", "FDRE", "b_q", "D")))
    return TimingEstimate("estimated by hand", "a part", 5.0, layers, (path,))


@pytest.mark.parametrize(
    ("slow", "verdict"),
    [
        ((4.0, 5.0), "is within reach of both"),
        ((4.0, 5.1), "may be out of reach (1 layer too slow pessimistically)"),
        ((5.1, 6.0), "is OUT OF REACH even so (1 layer too slow)"),
    ],
)
def test_the_sentence_says_what_is_reached_and_whether_that_is_what_is_wanted(slow, verdict):
    estimated = timing_estimate(MVAU_0=(2.0, 4.0), MVAU_1=slow)
    assert estimated.summary == (
        f"estimated {1000 / slow[1]:.0f} MHz pessimistic, {1000 / slow[0]:.0f} optimistic on a part, slowest is MVAU_1; "
        f"the clock wanted, 200 MHz, {verdict}"
    )


def test_an_estimate_reads_back(tmp_path):
    estimated = timing_estimate(MVAU_0=(4.0, 5.0))
    (tmp_path / "e.json").write_text(json.dumps(estimated.to_json()))
    assert TimingEstimate.load(tmp_path / "e.json") == estimated


def test_a_place_is_a_layer_and_what_the_source_calls_the_signal():
    assert place(hop("MVAU_0", "FDRE", "u_layer.u_tree.sum_q[3]")) == "MVAU_0: u_tree.sum_q[3]"
    assert place(hop("MVAU_0", "FDRE", "")) == "MVAU_0: a FDRE of mvau"
