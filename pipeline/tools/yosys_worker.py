"""Yosys runs in processes of their own: an error in Yosys ends the process that holds it.

Reads a job as JSON from standard input: `libraries`, commands that load what all designs need; `designs`, for each the
`folder` that it lies in, the command `read` that loads it, and those that map it, `synthesize`. In between it is
simplified, see `pipeline/tools/rtlil.py`. A command behind FOR_MEMORIES is left out where there are no memories, one behind
FOR_MULTIPLIERS where nothing is to be a DSP (see `pipeline/tools/dsp_mapping.py`), one behind WITHOUT_MULTIPLIERS where
something is. Commands name files relative to the folder. Prints Yosys' log.

How Yosys maps a design depends on the numbers that it has given to names before. So each design has a process of its own
that begins where the libraries are loaded, and comes out the same whatever else is in the job.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.tools import carry_operands, dsp_mapping
from pipeline.tools.rtlil import merge_equal_modules

FOR_MEMORIES = "for memories: "
FOR_MULTIPLIERS = "for multipliers: "
WITHOUT_MULTIPLIERS = "without multipliers: "


def _main() -> None:
    from pyosys import libyosys

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and Yosys does not look whether it could write
    job = json.load(sys.stdin)
    libraries = libyosys.Design()
    for command in job["libraries"]:
        libyosys.run_pass(command, libraries)
    forks = multiprocessing.get_context("fork")
    for design in job["designs"]:
        process = forks.Process(target=_synthesize, args=(design, libraries))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(process.exitcode if process.exitcode > 0 else 128 - process.exitcode)


def _synthesize(design: Mapping[str, Any], libraries: Any) -> None:
    from pyosys import libyosys

    os.chdir(design["folder"])
    loaded = libyosys.Design()
    for command in (design["read"], "write_rtlil loaded.il"):
        libyosys.run_pass(command, loaded)
    Path("simplified.il").write_text(merge_equal_modules(Path("loaded.il").read_text()))
    # a memory of one word is a constant: known before anything is mapped, it makes what compares with it smaller
    for command in ["read_rtlil simplified.il", "opt_mem", *design["synthesize"]]:
        if command == carry_operands.COMMAND:
            carry_operands.order_carry_operands(libraries)
        else:
            condition = next((prefix for prefix in _CONDITIONS if command.startswith(prefix)), "")
            if not condition or _CONDITIONS[condition](libraries):
                libyosys.run_pass(command.removeprefix(condition), libraries)


def _has_memories(design: Any) -> bool:
    return any(cell.is_mem_cell() for module in design.modules_.values() for cell in module.cells_.values())


def _has_multipliers(design: Any) -> bool:
    return any(name.str().removeprefix("\\").split("$", 1)[0] == dsp_mapping.MODULE for name in design.modules_)


_CONDITIONS: Mapping[str, Callable[[Any], bool]] = {
    FOR_MEMORIES: _has_memories,
    FOR_MULTIPLIERS: _has_multipliers,
    WITHOUT_MULTIPLIERS: lambda design: not _has_multipliers(design),
}


if __name__ == "__main__":
    _main()
