from __future__ import annotations

import pytest

from pipeline.boards import BOARDS_FOLDER, board_names, load_board, read_board
from pipeline.errors import ConfigError


def test_every_board_can_be_read_and_names_the_source_of_each_figure():
    for name in board_names():
        board = load_board(name)
        assert set(board.sources) == {"part", "LUT", "FF", "BRAM36", "URAM", "DSP", "clock_mhz"}
        assert board.family == ("xc7" if board.part.startswith("xc7") else "xcup")
        assert board.ffs == 2 * board.luts


def test_the_boards_that_are_promised_are_there():
    assert set(board_names()) == {"KV260", "ZCU104", "Ultra96-V2", "Pynq-Z1", "Pynq-Z2", "ZCU102", "U250"}


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
    ],
)
def test_a_wrong_file_is_refused(tmp_path, old, new, message):
    text = (BOARDS_FOLDER / "kv260.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_board(path)
