from __future__ import annotations

import pytest

from pipeline.devices.boards import load_board
from pipeline.errors import ConfigError
from pipeline.folding.allowed import Allowed, allowed
from pipeline.folding.folding_config import FoldingConfig
from pipeline.kernels.matrix_vector import STYLES
from tests.dataflow.residual import residual_network

GRAPH = residual_network()  # two MVAUs


def wishes(content: dict | None = None, mvau_style="auto", ram_style="auto", board: str = "KV260") -> Allowed:
    config = FoldingConfig.parse(content, "f.json") if content else None
    return allowed(GRAPH, mvau_style, ram_style, config, load_board(board))


@pytest.mark.parametrize(
    ("content", "styles"),
    [
        ({}, STYLES),
        ({"mem_mode": "internal_embedded"}, ("unrolled",)),
        ({"mem_mode": "internal_decoupled"}, ("folded", "sparse", "dsp")),
        ({"mem_mode": "external"}, STYLES),
        ({"PE": 2, "SIMD": 2}, ("folded", "dsp")),
        ({"PE": 2, "SIMD": 2, "resType": "auto"}, ("folded", "dsp")),
        ({"PE": 2, "SIMD": 2, "resType": "lut"}, ("folded",)),
        ({"PE": 2, "SIMD": 2, "segments": 2}, ("dsp",)),
        ({"PE": 2, "SIMD": 2, "resType": "dsp"}, ("dsp",)),
        ({"PE": 2, "SIMD": 2, "mem_mode": "internal_embedded"}, ("folded", "dsp")),
        ({"resType": "dsp"}, ("dsp",)),
        ({"resType": "lut"}, ("folded", "unrolled", "sparse")),
        ({"mvau_style": "sparse", "PE": 2}, ("sparse",)),
    ],
)
def test_a_folding_file_settles_what_is_left_open(content, styles):
    choices = wishes({"MVAU_hls_0": content})
    assert choices.styles == {"MVAU_0": styles, "MVAU_1": STYLES}
    assert choices.open == [name for name in choices.styles if name == "MVAU_1" or len(styles) > 1]


@pytest.mark.parametrize(
    ("style", "content", "ignored"),
    [
        ("folded", {"mem_mode": "internal_decoupled", "PE": 2, "ram_style": "block"}, ()),
        ("folded", {"mem_mode": "internal_embedded"}, ("mem_mode (it is folded, so internal_decoupled)",)),
        (
            "auto",
            {"mem_mode": "internal_embedded", "PE": 2},
            ("mem_mode (it is folded or dsp, so internal_decoupled)",),
        ),
        ("auto", {"resType": "dsp", "PE": 2}, ()),
        ("dsp", {"resType": "auto", "PE": 2}, ()),
        ("dsp", {"resType": "lut", "PE": 2}, ("resType (the configuration says dsp)",)),
        ("folded", {"resType": "dsp", "PE": 2, "SIMD": 4}, ("resType (the configuration says folded)",)),
        ("sparse", {"resType": "dsp", "PE": 2}, ("resType (the configuration says sparse)", "PE (it is sparse)")),
        ("auto", {"resType": "dsp", "mvau_style": "sparse"}, ("resType (mvau_style says sparse)",)),
        ("sparse", {"resType": "lut"}, ()),
        ("auto", {"resType": "lut", "segments": 2}, ("segments (none for what is folded)",)),
        ("auto", {"mem_mode": "external"}, ("mem_mode (weights from outside the design cannot be built)",)),
        ("unrolled", {"PE": 2, "SIMD": 3}, ("PE (it is unrolled)", "SIMD (it is unrolled)")),
        ("unrolled", {"ram_style": "block"}, ("ram_style (it is unrolled: its weights are the circuit)",)),
        ("unrolled", {"mvau_style": "unrolled", "digits": 1, "mem_mode": "internal_embedded"}, ()),
        ("sparse", {"mvau_style": "sparse", "PE": 2, "lanes": 1}, ()),
        ("sparse", {"PE": 2}, ("PE (it is sparse)",)),
        (
            "folded",
            {"mvau_style": "sparse", "lanes": 2},
            ("mvau_style (the configuration says folded)", "lanes (it is folded)"),
        ),
        ("folded", {"digits": 2}, ("digits (none for what is folded)",)),
    ],
)
def test_what_of_a_folding_file_has_no_effect_is_told_with_the_reason(style, content, ignored):
    choices = wishes({"MVAU_hls_0": content}, style)
    assert choices.ignored == tuple(f"MVAU_hls_0.{text}" for text in ignored)


def test_memories_are_those_of_the_configuration_and_else_of_the_file():
    choices = wishes(
        {"MVAU_0": {"ram_style": "ultra"}, "MVAU_1": {"ram_style": "block"}}, ram_style={"MVAU_0": "distributed"}
    )
    assert choices.memories() == {"MVAU_0": ("distributed",), "MVAU_1": ("block",)}
    assert choices.ignored == ("MVAU_0.ram_style (the configuration says distributed)",)


def test_only_memories_that_the_board_has_are_offered_and_only_where_they_are_open():
    choices = wishes(ram_style={"MVAU_0": "block"})
    assert choices.memories() == {"MVAU_0": ("block",), "MVAU_1": ("auto",)}
    every = ("auto", "distributed", "block", "ultra")
    assert choices.more_memories(load_board("KV260")) == {"MVAU_0": ("block",), "MVAU_1": every}
    assert choices.more_memories(load_board("Pynq-Z2")) == {"MVAU_0": ("block",), "MVAU_1": every[:3]}


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"ram_style": "ultra"}, r"MVAU_0 .*\(ram_style is ultra\)"),
        (
            {"content": {"MVAU_hls_1": {"ram_style": "ultra"}}},
            r"MVAU_1 .*\(MVAU_hls_1\.ram_style of f\.json is ultra\)",
        ),
    ],
)
def test_ultraram_on_a_board_without_is_refused(given, where):
    message = rf"layer {where}, but the Pynq-Z2 has none\. Choose block, distributed"
    with pytest.raises(ConfigError, match=message):
        wishes(board="Pynq-Z2", **given)
    wishes(board="KV260", **given)


@pytest.mark.parametrize("option", ["mvau_style", "ram_style"])
def test_a_layer_that_is_not_there_is_refused(option):
    with pytest.raises(
        ConfigError, match=rf"{option} names MVAU_9, which is no MVAU of this network; it has MVAU_0, MVAU_1"
    ):
        wishes(**{option: {"MVAU_9": "auto"}})


def test_a_memory_for_what_has_none_is_refused():
    with pytest.raises(ConfigError, match="ram_style names MVAU_1, which is unrolled"):
        wishes(mvau_style={"MVAU_1": "unrolled"}, ram_style={"MVAU_1": "block"})
    for memory in ("block", "ultra"):
        with pytest.raises(ConfigError, match=f"ram_style is {memory}, but every MVAU is unrolled"):
            wishes(mvau_style="unrolled", ram_style=memory, board="Pynq-Z2")
    ignored = wishes({"MVAU_0": {"ram_style": "ultra"}}, mvau_style="unrolled", board="Pynq-Z2").ignored
    assert ignored == ("MVAU_0.ram_style (it is unrolled: its weights are the circuit)",)
    assert wishes(mvau_style={"MVAU_1": "unrolled"}, ram_style="block").styles["MVAU_1"] == ("unrolled",)
