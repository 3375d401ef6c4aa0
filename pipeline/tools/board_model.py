"""A2Q accelerators as shared libraries: a Verilated model behind the C interface of hw/tb/board_tb.cpp.

What loads one needs nothing of this package: ctypes, and a working directory that holds the memory files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.files import TESTBENCHES
from pipeline.tools.verilator import compile_model, content_key

__all__ = ["build_library"]

_TESTBENCH = TESTBENCHES / "board_tb.cpp"


def build_library(rtl_folder: Path, top: str, sources: Sequence[Path], cache: Path) -> Path:
    """Compile the module `top`, one with the ports of a2q_accelerator, to a library in the folder `cache`.

    `sources`, in the order in which they are read, absolute or relative to `rtl_folder`. A library of the same sources
    that `cache` already holds is used again: memory files are read by `board_new`, and are not part of it. Raises
    ToolError, with the output of the tool that failed.
    """
    files = [(rtl_folder / source).resolve() for source in sources]
    library = cache / f"{top}-{content_key([*files, _TESTBENCH], shared=True)}.so"
    if not library.is_file():
        compile_model(top, files, _TESTBENCH, library, folder=rtl_folder, shared=True)
    return library.resolve()
