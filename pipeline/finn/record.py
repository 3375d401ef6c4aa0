"""report/finn.json: what FINN made of a build's layers as its own nodes; report/finn_cross_check.json: what FINN's streamlining
of the network computes beside them. Reading them imports nothing of FINN."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CROSS_CHECK",
    "EXECUTION",
    "FILE",
    "STREAMLINING",
    "CrossCheck",
    "FinnExport",
    "FinnNodeCost",
    "Widths",
    "load",
    "load_cross_check",
]

FILE = "finn.json"
CROSS_CHECK = "finn_cross_check.json"
STREAMLINING = "FINN's own streamlining of the network"
EXECUTION = "FINN's own execution of its nodes"
_SHOWN = 3  # names that a line has


@dataclass(frozen=True)
class Widths:
    """The accumulators of one matrix: as it was exported, and as FINN's MinimizeAccumulatorWidth makes it."""

    node: str
    exported: str
    finn: str


@dataclass(frozen=True)
class FinnNodeCost:
    """FINN's estimates of one of its nodes: cycles a frame, and resources by FINN's names of them."""

    node: str
    op_type: str
    layer: str
    cycles: int
    resources: dict[str, float]


@dataclass(frozen=True)
class FinnExport:
    """What report/finn.json has: `frames` of the golden ones, in which `tensors` are equal; FINN's estimates, node by node."""

    version: str
    frames: int
    tensors: int
    widths: tuple[Widths, ...]
    nodes: tuple[FinnNodeCost, ...]
    notes: tuple[str, ...]

    @property
    def same_widths(self) -> bool:
        return all(width.exported == width.finn for width in self.widths)

    @property
    def slowest(self) -> FinnNodeCost:
        return max(self.nodes, key=lambda node: node.cycles)

    def total(self, resource: str) -> float:
        """The sum of FINN's estimates of a resource, by FINN's name of it."""
        return sum(node.resources.get(resource, 0) for node in self.nodes)


@dataclass(frozen=True)
class CrossCheck:
    """What report/finn_cross_check.json has: in `frames` of the golden ones `tensors` of FINN's streamlined network are the
    integers of the layers. `missing` are quantizers for which FINN has no node, `floats` nodes that FINN left in floats,
    and `compared_with` is what of FINN's they were compared with.
    """

    version: str
    frames: int
    tensors: int
    missing: tuple[str, ...]
    floats: tuple[str, ...]
    compared_with: str = STREAMLINING

    def __str__(self) -> str:
        frames = f"{self.frames} frame{'' if self.frames == 1 else 's'}"
        line = f"{self.compared_with} (finn-plus {self.version}) gives the same integers in {self.tensors} tensors of {frames}"
        if self.missing:
            line += f"; not compared, as FINN has no integers of them: {_some(self.missing)}"
        if self.floats:
            line += f"; FINN left in floats: {_some(self.floats)}"
        return line


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def load_cross_check(folder: Path) -> CrossCheck | None:
    """What the stage wrote into `folder`; None where it was not asked for."""
    path = folder / "report" / CROSS_CHECK
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    return CrossCheck(
        record["version"],
        record["frames"],
        record["tensors"],
        tuple(record["missing"]),
        tuple(record["floats"]),
        record["compared_with"],
    )


def load(folder: Path) -> FinnExport | None:
    """What the stage wrote into `folder`; None where it was not asked for."""
    path = folder / "report" / FILE
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    return FinnExport(
        record["version"],
        record["frames"],
        record["tensors"],
        tuple(Widths(**width) for width in record["widths"]),
        tuple(FinnNodeCost(**node) for node in record["nodes"]),
        tuple(record["notes"]),
    )
