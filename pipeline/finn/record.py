"""report/finn.json: what FINN made of a build's layers as its own nodes. Reading it imports nothing of FINN."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FILE", "FinnExport", "FinnNodeCost", "Widths", "load"]

FILE = "finn.json"


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
