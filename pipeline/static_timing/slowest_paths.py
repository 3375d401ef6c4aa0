"""What clock layers are known to allow, before anything of a build is synthesized: a table of estimates.

The table has, for each kind of layer and family, layers of the builds that it was made of, with the longest path that ended in
each: those that were slower than every layer of the kind that is no larger. Larger layers are seldom faster, so a layer is
expected to take what the slowest of those took that are no larger than it. The stage timing estimates each from its own
netlist. `benchmarks/slowest_paths.py` makes the table anew, and is to be run after the RTL has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from pipeline.folding.estimate import Estimate
from pipeline.static_timing.delays import CELL_DELAYS, graded

__all__ = ["TABLE", "Measured", "Size", "clock_warning", "slowest_paths", "worth_keeping"]

TABLE = Path(__file__).with_name("slowest_paths.json")


@dataclass(frozen=True)
class Size:
    """How large a layer is estimated to be, in look-up tables and blocks of RAM."""

    lut: int
    bram_18k: int
    uram: int

    @classmethod
    def of(cls, estimate: Estimate) -> Size:
        """The size that `estimate` says, rounded: two like layers of two builds are to be of one size."""
        return cls(round(estimate.lut), round(estimate.bram_18k), round(estimate.uram))

    def within(self, other: Size) -> bool:
        """Whether this is no larger than `other`, in any of them."""
        return self.lut <= other.lut and self.bram_18k <= other.bram_18k and self.uram <= other.uram


@dataclass(frozen=True)
class Measured:
    """A layer of another build: its size, and its longest path in ns by the name of the net delay."""

    size: Size
    ns: dict[str, float]


def slowest_paths(family: str) -> dict[str, list[Measured]]:
    """The layers of the table, by their kind."""
    kinds = json.loads(TABLE.read_text())["families"][family]
    return {kind: [Measured(Size(**row["size"]), row["ns"]) for row in rows] for kind, rows in kinds.items()}


def worth_keeping(layers: Iterable[Measured]) -> list[Measured]:
    """Those of `layers`, of one kind, that say more than the others: of none no larger were both paths as long."""
    kept: list[Measured] = []
    for layer in sorted(layers, key=lambda layer: (*astuple(layer.size), *(-ns for ns in layer.ns.values()))):
        if not any(
            other.size.within(layer.size) and all(other.ns[net] >= layer.ns[net] for net in layer.ns) for other in kept
        ):
            kept.append(layer)
    return kept


def clock_warning(layers: Iterable[tuple[str, Size]], family: str, part: str, clock_period_ns: float) -> str:
    """A sentence on a clock that is shorter than `layers`, kinds with their sizes, are known to allow; empty where it is not.

    `part` is the name of the FPGA. A kind of which nothing is known is named.
    """
    known = slowest_paths(family)
    layers = list(layers)
    words = []
    for net, verdict in (("optimistic", "is out of reach"), ("pessimistic", "may be out of reach")):
        slow: dict[str, float] = {}
        for kind, size in layers:
            took = max((other.ns[net] for other in known.get(kind, ()) if other.size.within(size)), default=0.0)
            if took > max(clock_period_ns, slow.get(kind, 0.0)):
                slow[kind] = took
        if slow:
            worst = max(slow, key=lambda kind: slow[kind])
            others = f" and {len(slow) - 1} more" if len(slow) > 1 else ""
            words.append(
                f"{clock_period_ns:.4g} ns {verdict} on {graded(CELL_DELAYS[family], part)}: {worst}{others} took up to "
                f"{slow[worst]:.1f} ns in other builds, no larger than here (estimated, {net}; timing estimates this one)"
            )
            break
    if unknown := sorted({kind for kind, _ in layers} - known.keys()):
        words.append(f"no clock is known of {', '.join(unknown)}")
    return "; ".join(words)
