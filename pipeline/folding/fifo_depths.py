"""FIFO depths by analysis: deep enough that nothing can deadlock, and that the slowest layer never waits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pipeline.dataflow.graph import LayerGraph
from pipeline.folding.deadlock import deadlock_bounds
from pipeline.folding.stitching import MINIMUM_DEPTH, with_depths
from pipeline.folding.timing import Prediction, Rates, fifo_peaks, predict, rates_of

__all__ = ["SLACK", "FifoDepths", "fifo_depths"]

SLACK = 2  # beats beyond the predicted peak: the registers of the hardware that the prediction counts as one latency


@dataclass(frozen=True)
class FifoDepths:
    """By FIFO: the depth to build, and one that is proven enough against deadlock. Both in beats."""

    depths: dict[str, int]
    deadlock_bounds: dict[str, int]
    graph: LayerGraph  # with these depths
    rates: Rates

    @cached_property
    def prediction(self) -> Prediction:
        """The timing with these depths."""
        return predict(self.graph, self.rates)


def fifo_depths(graph: LayerGraph, budget: int | None = None) -> FifoDepths:
    """The depths for a stitched `graph`, whose own depths are not looked at.

    `budget` is the most clock cycles that a frame may take, where that is more than the slowest layer needs.

    A FIFO is as deep as the larger of its bound against deadlock and its predicted peak plus SLACK, at least
    MINIMUM_DEPTH. As a deep FIFO has a cycle more of latency than a shallow one, the timing is predicted again with the
    depths that were found, and a FIFO gets the larger of both.
    """
    bounds = deadlock_bounds(graph)
    names = [fifo.name for fifo in graph.fifos]
    depths = {name: max(MINIMUM_DEPTH, bounds.get(name, 1)) for name in names}
    rates, sized = rates_of(graph, budget), graph
    for _ in range(2):
        peaks = fifo_peaks(sized, rates)
        depths = {name: max(depth, peaks[name] + SLACK) for name, depth in depths.items()}
        sized = with_depths(graph, depths)
    return FifoDepths(depths, bounds, sized, rates)
