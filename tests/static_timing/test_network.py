from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.errors import ToolError
from pipeline.static_timing.circuit import flatten
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.estimate import timing_of
from pipeline.static_timing.network import Network
from pipeline.static_timing.paths import TimingGraph
from tests.static_timing.netlists import cell, design, module
from tests.static_timing.test_paths import CLOCK, IN, flip_flop

US = CELL_DELAYS["xcup"]
NET = US.nets[0].base


def graph(*args, **options) -> TimingGraph:
    return TimingGraph(flatten(design(module(*args, **options))), US)


WRITER = graph([flip_flop(2, 10)], {**IN, "ready_i": [2]}, {"valid_o": [10]}, {"writer_q": [10]})
BETWEEN = graph(
    [cell("LUT2", I0=2, I1="1", O=3), cell("LUT2", I0=4, I1="1", O=5)],
    {"valid_i": [2], "ready_i": [4]}, {"valid_o": [3], "ready_o": [5]},
)  # fmt: skip
READER = graph(
    [flip_flop(2, 10), flip_flop("0", 11, CE=2)],
    {"clk_i": [CLOCK], "valid_i": [2]}, {"ready_o": [11]}, {"reader_q": [10], "full_q": [11]},
)  # fmt: skip


def forward(*units: str) -> dict[tuple[str, str], tuple[str, str]]:
    drivers = {}
    for writer, reader in pairwise(units):
        drivers[reader, "valid_i"] = (writer, "valid_o")
        drivers[writer, "ready_i"] = (reader, "ready_o")
    return drivers


def test_a_path_goes_through_every_layer_that_has_no_register_both_ways():
    units = {"first": WRITER, "a": BETWEEN, "b": BETWEEN, "last": READER}
    timing = timing_of(Network(units, forward(*units)), 0)
    (enable, data) = timing.worst("last", 10)
    assert [hop.unit for hop in data.hops] == ["first", "a", "b", "last"]
    assert (data.start.signal, data.end.signal, data.end.pin) == ("writer_q", "reader_q", "D")
    # three nets, two LUTs: no flip-flop of one unit lies in the slice of a LUT of another
    assert data.ns == pytest.approx(US.clk_to_q + 3 * NET + 2 * US.lut + US.setup_d + US.uncertainty)
    assert enable.end.pin == "CE" and enable.ns == pytest.approx(data.ns - US.setup_d + US.setup_enable)
    (back,) = timing.worst("first", 10)
    assert [(hop.unit, hop.signal) for hop in back.hops][0::3] == [("last", "full_q"), ("first", "writer_q")]
    assert back.luts == 2 and back.ns == pytest.approx(data.ns)
    assert timing.worst("a", 10) == [], "nothing ends where no register is"


def test_alone_a_layer_stands_between_registers():
    (path,) = timing_of(Network({"alone": WRITER}, {}), 0).worst("alone", 1)
    assert path.ns == pytest.approx(US.clk_to_q + NET + US.setup_d + US.uncertainty)


def test_a_loop_over_layers_is_named():
    drivers = {("a", "valid_i"): ("b", "valid_o"), ("b", "valid_i"): ("a", "valid_o")}
    with pytest.raises(ToolError, match="a loop that no register breaks goes through the port valid_o of"):
        timing_of(
            Network({"a": BETWEEN, "b": BETWEEN, "c": READER}, drivers | {("c", "valid_i"): ("a", "valid_o")}), 0
        ).worst("c", 1)
