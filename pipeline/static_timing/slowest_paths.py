"""The clock that layers are known to allow, before anything of a build is synthesized: a table of estimates.

The table has, for each kind of layer and family, the layers of the builds that it was made of, by size, with the longest path
that ended in each. A layer is expected to take what the layer of its kind took that comes closest to its size. The stage
timing estimates each from its own netlist. `benchmarks/slowest_paths.py` makes the table anew, and is to be run after the RTL
has changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from pipeline.dataflow.layer import Layer
from pipeline.folding.estimate import ResourceModel
from pipeline.static_timing.delays import CELL_DELAYS, graded
from pipeline.static_timing.estimate import OPTIMISTIC, PESSIMISTIC

__all__ = ["TABLE", "Measured", "Size", "clock_warning", "expected", "slowest_of_each_size", "slowest_paths"]

TABLE = Path(__file__).with_name("slowest_paths.json")


@dataclass(frozen=True)
class Size:
    """How many look-up tables a layer is estimated to take, and the words of its deepest memory."""

    lut: int
    words: int

    @classmethod
    def of(cls, layer: Layer, family: str) -> Size:
        """The size of `layer` in Yosys' `family`."""
        return cls(round(ResourceModel.load(family).layer(layer).lut), layer.demand(family).words)

    def distance(self, other: Size) -> float:
        """How far this is from `other`: doublings of look-up tables and of words, together."""
        sizes = ((self.lut, other.lut), (self.words, other.words))
        return sum(abs(math.log2((one + 1) / (another + 1))) for one, another in sizes)


@dataclass(frozen=True)
class Measured:
    """A layer of another build: its size, and its longest path in ns by the name of the net delay."""

    size: Size
    ns: dict[str, float]


def slowest_paths(family: str) -> dict[str, list[Measured]]:
    """The layers of the table, by their kind."""
    kinds = json.loads(TABLE.read_text())["families"][family]
    return {
        kind: [
            Measured(Size(lut, words), dict(zip((OPTIMISTIC, PESSIMISTIC), ns, strict=True)))
            for lut, words, *ns in rows
        ]
        for kind, rows in kinds.items()
    }


def slowest_of_each_size(layers: Iterable[Measured]) -> list[Measured]:
    """`layers`, of one kind, by size; of equal ones the longer paths."""
    of_sizes: dict[Size, dict[str, float]] = {}
    for layer in layers:
        ns = of_sizes.setdefault(layer.size, dict(layer.ns))
        ns.update({net: max(ns[net], layer.ns[net]) for net in ns})
    return [Measured(size, ns) for size, ns in sorted(of_sizes.items(), key=lambda item: astuple(item[0]))]


def expected(size: Size, measured: Iterable[Measured]) -> dict[str, float]:
    """The expected delay of a layer of `size`, in ns by the name of the net delay: as the closest of `measured`, of its
    kind, and of those that are as close the slowest."""
    return min(measured, key=lambda layer: (size.distance(layer.size), *(-ns for ns in layer.ns.values()))).ns


def clock_warning(layers: Iterable[tuple[str, Size]], family: str, part: str, clock_period_ns: float) -> str:
    """A sentence on a clock that is shorter than `layers`, kinds with their sizes, are known to allow; empty where it is not.

    `part` is the name of the FPGA. A kind of which nothing is known is named.
    """
    known = slowest_paths(family)
    layers = list(layers)
    times = [(kind, expected(size, known[kind])) for kind, size in layers if kind in known]
    words = []
    for net, verdict in ((OPTIMISTIC, "is out of reach"), (PESSIMISTIC, "may be out of reach")):
        slow: dict[str, float] = {}
        for kind, ns in times:
            if ns[net] > max(clock_period_ns, slow.get(kind, 0.0)):
                slow[kind] = ns[net]
        if slow:
            worst = max(slow, key=lambda kind: slow[kind])
            others = f" and {len(slow) - 1} more" if len(slow) > 1 else ""
            words.append(
                f"{clock_period_ns:.4g} ns {verdict} on {graded(CELL_DELAYS[family], part)}: {worst}{others} of about this size "
                f"took up to {slow[worst]:.1f} ns in other builds (estimated, {net}; timing estimates this one)"
            )
            break
    if unknown := sorted({kind for kind, _ in layers} - known.keys()):
        words.append(f"no clock is known of {', '.join(unknown)}")
    return "; ".join(words)
