"""The golden frames of a build that are simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import ModelError
from pipeline.models import resolve
from pipeline.verification import comparison

__all__ = ["simulated_frames"]

_CANDIDATES = 64  # golden frames from which those to simulate are chosen, where that many do


def simulated_frames(
    graph: LayerGraph, resolved: Path, count: int, *, again: bool
) -> tuple[np.ndarray, tuple[int, ...]]:
    """`count` golden frames of the folder `resolved` as `graph` takes them, (count, H, W, C), and their indices.

    Where there are not as many, they are fewer, or some are taken `again`. Raises ModelError for a graph without a
    transform of its input.
    """
    if graph.input_transform is None:
        raise ModelError(f"The graph {graph.name} does not say how frames become integers; build it again.")
    _, raw = resolve.load(resolved)
    candidates = graph.input_transform.apply(raw[: max(count, _CANDIDATES)])
    chosen = comparison.choose_frames(graph, candidates, count if again else min(count, len(candidates)))
    return candidates[chosen], tuple(chosen.tolist())
