from __future__ import annotations

import pytest

from pipeline.boards import BOARDS_FOLDER, board_names, load_board, read_board
from pipeline.errors import ConfigError


def test_every_board_can_be_read_and_names_the_source_of_each_figure():
    for name in board_names():
        board = load_board(name)
        system = board.processing_system
        sources = {"part", "board_part", "LUT", "FF", "BRAM36", "URAM", "DSP", "clock_mhz", "processing_system"}
        assert set(board.sources) == sources | (
            {"reference_clock_mhz", "pll_multiplier", "memory"} if system else set()
        )
        assert all(board.sources.values())
        assert board.family == ("xc7" if board.part.startswith("xc7") else "xcup")
        assert board.ffs == 2 * board.luts


def test_the_boards_that_are_promised_are_there():
    zynq_ultra = {"KV260", "ZCU104", "Ultra96-V2", "ZCU102", "RFSoC2x2"}
    kinds = dict.fromkeys(zynq_ultra, "zynq_ultra") | {"Pynq-Z1": "zynq7", "Pynq-Z2": "zynq7", "U250": None}
    systems = {name: load_board(name).processing_system for name in board_names()}
    assert {name: system and system.kind for name, system in systems.items()} == kinds


def test_what_a_processing_system_gives():
    system = load_board("Pynq-Z2").processing_system
    assert (system.pll_mhz, system.memory_base, system.memory_size) == (1000.0, 0, 512 << 20)
    for name in board_names():
        system = load_board(name).processing_system
        # both documents say what a PLL reaches: UG585, and UG1085 after it is halved
        assert system is None or 750 <= system.pll_mhz <= 1600


@pytest.mark.parametrize("name", ["KV260", "kv260", "KV260_SOM", "kv260-som"])
def test_names_and_aliases(name):
    assert load_board(name).part == "xck26-sfvc784-2LV-c"


def test_an_unknown_board_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'KV26'.*KV260, Pynq-Z1"):
        load_board("KV26")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("family: xcup", "family: ice40", "ice40"),
        ("clock_mhz: 200", "clock_mhz: 0", "clock_mhz = 0"),
        ("LUT: 117120", "LUT: -1", "LUT = -1"),
        ("LUT: 117120, ", "", "expected LUT, FF"),
        ("aliases: [KV260_SOM]\n", "", "expected exactly the keys"),
        ("name: KV260", "name: [", "cannot be read"),
        (
            "kind: zynq_ultra",
            "kind: zynq7",
            "the processing system 'zynq7' in the family xcup; expected zynq_ultra or none",
        ),
        ("pll_multiplier: 45", "pll_multiplier: 4.5", "pll_multiplier = 4.5; expected a whole number"),
        (
            "reference_clock_mhz: 33.333\n",
            "reference_clock_mhz: 0\n",
            "reference_clock_mhz = 0; expected a number above 0",
        ),
        ("memory_size: 0x80000000", "memory_size: 2 GB", "memory_size = '2 GB'; expected a number of bytes"),
        ("memory_base: 0x00000000", "memory_base: -1", "memory_base = -1; expected an address"),
        ("  pll_multiplier: 45\n", "", "has processing_system: .*; expected exactly the keys .* or none"),
        ('"xilinx.com:kv260_som:part0:*"', "kv260_som", "board_part = 'kv260_som'; expected Vivado's name"),
        ("  memory: ", "  other: ", "has sources: .*'other'.*; expected exactly the keys .*'memory'"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, old, new, message):
    text = (BOARDS_FOLDER / "kv260.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_board(path)
