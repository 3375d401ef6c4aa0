"""Foldings whose frames come out soon enough: the search that target_latency_ns asks for.

The latency of a folded graph is predicted beat by beat (`timing.py`): from the first beat of a frame in to its last beat
out, where nothing waits. What shortens it is tried in the order of what it costs: first unrolled layers that follow each
other as one pipeline, and more adders between two registers; then adder graphs as shallow as there can be, which take a
few more adders; then fewer cycles a frame than target_fps allows, which takes more parallel hardware. Of the frame rates the
lowest one that is found to meet the target is taken, and with it the deeper graphs if they do, and the fewest adders between
two registers, so that the clock has the most room.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Literal

from pipeline.adder_graph.solver import MORE_LEVELS
from pipeline.errors import ConfigError
from pipeline.folding.activations import Activations
from pipeline.folding.choice import slowest
from pipeline.folding.fitting import Design, Fitter

__all__ = ["LatencyTarget", "fast_levels", "latency_of", "within_latency"]

_PRECISION = 0.02  # of the cycles between frames


@dataclass(frozen=True)
class LatencyTarget:
    """The most nanoseconds from the first beat of a frame in to its last beat out, at a clock of `clock_ns`.

    `adders_per_stage` is how many adders that clock leaves time for between two registers, at most.
    """

    ns: float
    clock_ns: float
    adders_per_stage: int = 1

    @property
    def cycles(self) -> int:
        """The whole clock cycles in it."""
        return int(Fraction(str(self.ns)) / Fraction(str(self.clock_ns)))

    def missed(self, cycles: int) -> bool:
        return cycles > self.cycles


def fast_levels(levels: Activations) -> Activations:
    """`levels`, with each layer's requantizer in its place where that finds levels in fewer cycles than it does."""
    taken = {}
    for layer in levels.graph:
        kinds = levels.open.get(layer.name, {})
        fastest = min(kinds.values(), key=lambda other: other.latency(), default=layer)
        if fastest.latency() < layer.latency():
            taken[layer.name] = fastest
    graph = replace(levels.graph, layers=tuple(taken.get(layer.name, layer) for layer in levels.graph))
    return Activations(graph, {name: kinds for name, kinds in levels.open.items() if name not in taken})


def within_latency(fitter: Fitter, fast: Fitter, target: LatencyTarget) -> Design:
    """A design of `fitter`, or of `fast`, whose layers find levels in the fewest cycles, that meets `target`.

    Raises ConfigError where none is found, with what the fastest takes, layer by layer.
    """
    design = fitter.design()
    if not target.missed(latency_of(design)):
        return design
    most = target.adders_per_stage
    met = fast.at(fitter.budget, most, 0).design()
    budget: int | Literal["max"] | None = fitter.budget
    if target.missed(latency_of(met)):
        if budget == "max":
            raise ConfigError(_out_of_reach(met, target, "target_fps is max: it is as parallel as the board allows"))
        found = _lowest_rate(fast, budget or slowest(fast.graph), target, met)
        if isinstance(found, Design):
            raise ConfigError(_out_of_reach(found, target, "that is the least that was found"))
        budget, met = found
    for levels, adders in product((MORE_LEVELS, 0), range(1, most + 1)):
        design = fast.at(budget, adders, levels).design()
        if not target.missed(latency_of(design)):
            return design
    return met


def latency_of(design: Design) -> int:
    """The predicted clock cycles from the first beat of a frame in to its last beat out."""
    return design.sized.prediction.first_frame


def _lowest_rate(fast: Fitter, budget: int, target: LatencyTarget, fastest: Design) -> tuple[int, Design] | Design:
    """The most cycles between frames, below `budget`, with which a design is found that meets `target`, and that design;
    the fastest of all that were tried, `fastest` among them, if none does."""
    met: tuple[int, Design] | None = None
    low, high = 0, budget  # `low` is out of reach or meets it, `high` misses it
    while high - low > max(1, _PRECISION * low):
        cycles = max(int((max(low, 1) * high) ** 0.5), low + 1)
        try:
            design = fast.at(cycles, target.adders_per_stage, 0).design()
        except ConfigError:  # no folding is as fast as that
            low = cycles
            continue
        if target.missed(latency_of(design)):
            high, fastest = cycles, min(design, fastest, key=latency_of)
        else:
            low, met = cycles, (cycles, design)
    return met or fastest


def _out_of_reach(design: Design, target: LatencyTarget, remark: str) -> str:
    cycles = latency_of(design)
    slow = sorted(design.graph.computing, key=lambda layer: -max(layer.cycles(), layer.latency()))
    parts = ", ".join(f"{layer.name} {layer.latency()} and {layer.cycles()} cycles a frame" for layer in slow[:8])
    return (
        f"A latency of {target.ns:g} ns, {target.cycles} cycles of {target.clock_ns:.4g} ns, cannot be reached: it takes "
        f"{cycles} cycles, {cycles * target.clock_ns:.4g} ns; {remark}. Of them from a layer's inputs to its output, the "
        f"slowest first: {parts}. Raise target_latency_ns, let mvau_style be unrolled or auto, or shorten "
        "synth_clk_period_ns."
    )
