"""Two block designs, one for each kind of processing system, and the files that they must become."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.board_design.description import BlockDesign, describe
from pipeline.devices.boards import load_board

__all__ = ["DESIGNS", "check_golden"]

_DATA = Path(__file__).parent / "data"


def _design(board: str, input_bytes: int, output_bytes: int) -> BlockDesign:
    loaded = load_board(board)
    return describe(loaded, loaded.clock_period_ns, input_stream_bytes=input_bytes, output_stream_bytes=output_bytes)


DESIGNS = {"pynq_z2": _design("Pynq-Z2", 4, 1), "kv260": _design("KV260", 8, 64)}


def check_golden(name: str, text: str) -> None:
    """`text` is what the file `name` of data/ holds. With A2Q_UPDATE_GOLDEN=1 the file is written first."""
    path = _DATA / name
    if os.environ.get("A2Q_UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert text == path.read_text(), f"{path} differs; after a look at why, A2Q_UPDATE_GOLDEN=1 writes it anew"
