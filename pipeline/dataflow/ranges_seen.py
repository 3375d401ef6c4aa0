"""How much of every stream's range the golden frames reached: frames that reach little prove little."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.dataflow.graph import LayerGraph

__all__ = ["RANGES_FILE", "RangesSeen", "SeenRange"]

RANGES_FILE = Path("report", "golden_ranges.json")


@dataclass(frozen=True)
class SeenRange:
    """A stream's type, from `lo` to `hi`, and the least and the largest integer that it carried."""

    type: str
    lo: int
    hi: int
    seen_lo: int
    seen_hi: int

    @property
    def share(self) -> float:
        """The part of the type's range between the least and the largest integer that were seen."""
        return (self.seen_hi - self.seen_lo + 1) / (self.hi - self.lo + 1)

    def __str__(self) -> str:
        return f"{self.seen_lo} to {self.seen_hi} of {self.lo} to {self.hi} ({self.type})"


@dataclass(frozen=True)
class RangesSeen:
    """By stream, in the order of the data, with the input first."""

    streams: dict[str, SeenRange]

    @property
    def input(self) -> SeenRange:
        return next(iter(self.streams.values()))

    @property
    def whole(self) -> int:
        """Streams whose whole range was seen."""
        return sum(seen.share == 1 for seen in self.streams.values())

    @classmethod
    def of(cls, graph: LayerGraph, frames: Iterable[Mapping[str, tuple[int, int]]]) -> RangesSeen:
        """The streams of `graph`, with the ends that each batch of `frames` has for them, by stream."""
        batches = list(frames)
        streams = {}
        for name in [graph.input, *(name for name in graph.streams if name != graph.input)]:
            kind = graph.streams[name].type
            ends = min(batch[name][0] for batch in batches), max(batch[name][1] for batch in batches)
            streams[name] = SeenRange(kind.name, kind.lo, kind.hi, *ends)
        return cls(streams)

    @staticmethod
    def ends(streams: Mapping[str, np.ndarray]) -> dict[str, tuple[int, int]]:
        """The least and the largest integer of each of `streams`."""
        return {name: (int(values.min()), int(values.max())) for name, values in streams.items()}

    def save(self, folder: Path) -> None:
        """Write RANGES_FILE into `folder`."""
        content = {
            name: {"type": s.type, "range": [s.lo, s.hi], "seen": [s.seen_lo, s.seen_hi], "share": round(s.share, 4)}
            for name, s in self.streams.items()
        }
        path = folder / RANGES_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> RangesSeen:
        """The ranges that `save` wrote into `folder`."""
        content = json.loads((folder / RANGES_FILE).read_text())
        return cls({name: SeenRange(s["type"], *s["range"], *s["seen"]) for name, s in content.items()})
