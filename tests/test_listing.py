from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from pipeline.devices.boards import board_names, load_board
from pipeline.errors import ConfigError
from pipeline.listing import board_facts, board_table, model_table
from pipeline.models.names import MODELS


def printed(table: Table, width: int = 200) -> list[str]:
    """The lines of `table`, each with single spaces."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_every_board_is_in_the_table_whole_in_80_columns():
    lines = printed(board_table(), 80)
    assert lines[0] == "board part LUT FF BRAM URAM DSP MHz"
    assert [line.split()[0] for line in lines[1:]] == list(board_names())
    assert "Pynq-Z2 xc7z020clg400-1 53,200 106,400 140 0 220 100" in lines
    assert "RFSoC2x2 xczu28dr-ffvg1517-2-e 425,280 850,560 1,080 80 4,272 200" in lines
    assert "U250 xcu250-figd2104-2L-e 1,728,000 3,456,000 2,688 1,280 12,288 250" in lines


def test_every_model_is_in_the_table_on_one_line_of_80_columns(tmp_path, monkeypatch):
    name = "quant_mobilenetv1x2_w4a4_a2q_plus_12b"
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / f"{name}.pth").touch()
    (tmp_path / "trained" / f"{name}.json").write_text('{"dataset": "fashion_mnist", "top1": 0.9, "largest_l1": 12345}')
    monkeypatch.chdir(tmp_path)
    lines = printed(model_table(), 80)
    assert f"{name} Fashion-MNIST 90.0 % 12345 trained" in lines
    assert "quant_resnet8_w4a4_a2q_14b CIFAR-10 80.7 % 48.2 % 388 here" in lines
    assert "quant_resnet18_w4a4_a2q_12b CIFAR-10 44.9 % 99.7 % 104 here ¹" in lines
    assert {line.split()[0] for line in lines} == {"model", name, *MODELS}


@pytest.mark.parametrize("name", board_names())
def test_each_figure_of_a_board_stands_beside_its_source(name):
    board = load_board(name)
    lines = printed(board_facts(name.lower()))
    assert lines[0] == f"{name} source"
    assert [line.split()[0] for line in lines[1:]] == list(board.sources)
    for line in lines[1:]:
        assert line.endswith(board.sources[line.split()[0]])
    assert f"LUT {board.capacity.lut:,} {board.sources['LUT']}" in lines


def test_memory_is_shown_with_its_address():
    assert any(line.startswith("memory 512 MiB from 0x00000000 TUL") for line in printed(board_facts("Pynq-Z2")))


def test_a_board_that_is_not_there():
    with pytest.raises(ConfigError, match="There is no board called 'KV26'"):
        board_facts("KV26")
