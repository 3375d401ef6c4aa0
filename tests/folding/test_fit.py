from __future__ import annotations

from dataclasses import replace

from pipeline.dataflow.graph import LayerGraph
from pipeline.devices.boards import all_boards, load_board
from pipeline.devices.resources import Resources
from pipeline.folding.estimate import ResourceModel
from pipeline.folding.fit import Fit, capacity_of, excess, holders
from tests.dataflow.residual import residual_network


def test_what_is_too_much_is_said_with_what_there_is():
    capacity = Resources(lut=1000, ff=2000, bram_18k=10, uram=4)
    assert excess(capacity, capacity) == {}
    taken = Resources(lut=1200.4, ff=100, bram_18k=11, uram=5)
    assert excess(taken, capacity) == {"LUT": (1200, 1000), "BRAM_18K": (11, 10), "URAM": (5, 4)}


def test_a_share_is_of_the_luts_alone():
    board = load_board("KV260")
    assert capacity_of(board) == board.capacity
    assert capacity_of(board, 0.5) == replace(board.capacity, lut=58560)


def test_boards_without_ultraram_do_not_hold_what_needs_it():
    graph = residual_network()
    assert holders(graph) == tuple(board.name for board in all_boards())
    layers = tuple(replace(x, ram_style="ultra") if x.op_type == "MVAU" else x for x in graph)
    ultra = LayerGraph("ultra", layers, graph.input, graph.output)
    wanted = sum(map(ResourceModel.load("xcup").layer, ultra), Resources()).uram
    assert wanted >= 2
    assert holders(ultra) == tuple(board.name for board in all_boards() if board.capacity.uram >= wanted)


def test_the_sentence_has_all_that_would_fit():
    assert Fit("KV260", {}).sentence(5.0) == ""
    nothing = Fit("Pynq-Z2", {"LUT": (70_000, 53_200), "URAM": (3, 0)})
    assert nothing.sentence(5.0) == (
        "DOES NOT FIT the Pynq-Z2: 70,000 LUT of 53,200, 3 URAM of 0 estimated. Nothing was found that would fit"
    )
    fit = replace(nothing, cycles=162_001, settings=("ram_style auto",), boards=("U250",))
    assert "target_fps 1,230 or less; ram_style auto at this rate; a larger board as it is: U250" in fit.sentence(5.0)
