"""Yosys runs in processes of their own: an error in Yosys ends the process that holds it.

Its argument is a file with a job as JSON: `libraries`, commands that load what all designs need; `designs`, for each the
`folder` that it lies in, the command `read` that loads it, and those that map it, `synthesize`; `workers`, how many
designs are mapped at once. In between a design is simplified, see `pipeline/tools/rtlil.py`. A command behind one of the
prefixes of this file is left out where the design has nothing for it; for multipliers see `pipeline/tools/dsp_mapping.py`.
SELECT_LOGIC selects the modules that have something to map to look-up tables: for each module that abc9 is given Yosys
goes over the whole design. Commands name files relative to the folder.

Yosys' log of a design is the file LOG in its folder. FINISHED and the folder are printed when the design is done. The
first design that fails ends all: its log is printed, and its exit status is that of the job.

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
from multiprocessing import connection
from pathlib import Path
from typing import Any

from pipeline.tools import carry_operands, dsp_mapping
from pipeline.tools.rtlil import merge_equal_modules

FINISHED = "finished: "
LOG = "log.txt"

FOR_MEMORIES = "for memories: "
FOR_DISTRIBUTED_RAM = "for distributed RAM: "
FOR_BLOCK_RAM = "for block RAM: "
FOR_ULTRA_RAM = "for UltraRAM: "
FOR_MULTIPLIERS = "for multipliers: "
WITHOUT_MULTIPLIERS = "without multipliers: "

SELECT_LOGIC = "select logic"


def _main() -> None:
    from pyosys import libyosys

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and Yosys does not look whether it could write
    job = json.loads(Path(sys.argv[1]).read_text())
    libraries = libyosys.Design()
    for command in job["libraries"]:
        libyosys.run_pass(command, libraries)
    forks = multiprocessing.get_context("fork")
    waiting = list(reversed(job["designs"]))
    running: dict[Any, tuple[Any, str]] = {}  # by what tells of its end, a process and the folder of its design
    while waiting or running:
        while waiting and len(running) < job["workers"]:
            design = waiting.pop()
            process = forks.Process(target=_synthesize, args=(design, libraries), daemon=True)
            process.start()
            running[process.sentinel] = process, design["folder"]
        ends: list[Any] = list(running)
        for end in connection.wait(ends):
            process, folder = running.pop(end)
            process.join()
            if process.exitcode:
                print(Path(folder, LOG).read_text(errors="replace"), flush=True)
                sys.exit(process.exitcode if process.exitcode > 0 else 128 - process.exitcode)
            print(f"{FINISHED}{folder}", flush=True)


def _synthesize(design: Mapping[str, Any], libraries: Any) -> None:
    from pyosys import libyosys

    os.chdir(design["folder"])
    with open(LOG, "wb") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    loaded = libyosys.Design()
    for command in (design["read"], "write_rtlil loaded.il"):
        libyosys.run_pass(command, loaded)
    Path("simplified.il").write_text(merge_equal_modules(Path("loaded.il").read_text()))
    # a memory of one word is a constant: known before anything is mapped, it makes what compares with it smaller
    for command in ["read_rtlil simplified.il", "opt_mem", *design["synthesize"]]:
        if command == carry_operands.COMMAND:
            carry_operands.order_carry_operands(libraries)
        elif command == SELECT_LOGIC:
            for selection in ("select -none", *(f"select -add {name}" for name in _modules_with_logic(libraries))):
                libyosys.run_pass(selection, libraries)
        else:
            condition = next((prefix for prefix in _CONDITIONS if command.startswith(prefix)), "")
            if not condition or _CONDITIONS[condition](libraries):
                libyosys.run_pass(command.removeprefix(condition), libraries)


def _modules_with_logic(design: Any) -> list[str]:
    """The modules of `design`, libraries apart, that hold cells of Yosys' own, in which logic is until it is mapped."""
    return [
        module.name.str()
        for module in design.modules_.values()
        if not module.get_blackbox_attribute(False)
        and any(cell.type.str().startswith("$") for cell in module.cells_.values())
    ]


def _has_memories(design: Any) -> bool:
    return any(cell.is_mem_cell() for module in design.modules_.values() for cell in module.cells_.values())


def _has_cells(kind: str) -> Callable[[Any], bool]:
    """Whether a design has cells that Yosys calls by names that begin with `kind`."""

    def has(design: Any) -> bool:
        cells = (cell for module in design.modules_.values() for cell in module.cells_.values())
        return any(cell.type.str().removeprefix("\\").startswith(kind) for cell in cells)

    return has


def _has_multipliers(design: Any) -> bool:
    return any(name.str().removeprefix("\\").split("$", 1)[0] == dsp_mapping.MODULE for name in design.modules_)


_CONDITIONS: Mapping[str, Callable[[Any], bool]] = {
    FOR_MEMORIES: _has_memories,
    FOR_DISTRIBUTED_RAM: _has_cells("$__XILINX_LUTRAM"),
    FOR_BLOCK_RAM: _has_cells("$__XILINX_BLOCKRAM"),
    FOR_ULTRA_RAM: _has_cells("$__XILINX_URAM"),
    FOR_MULTIPLIERS: _has_multipliers,
    WITHOUT_MULTIPLIERS: lambda design: not _has_multipliers(design),
}


if __name__ == "__main__":
    _main()
