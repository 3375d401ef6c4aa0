"""The common parts of the simulations of the hardware: the check of their outputs and accumulators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.roles import Accumulating
from pipeline.errors import VerificationError

__all__ = ["AccumulatorExtremes", "as_frames", "choose_frames", "compare", "labels_among"]


@dataclass(frozen=True)
class AccumulatorExtremes:
    """Accumulator values of a layer: the proven range, and that of simulation, witnesses included."""

    proven: tuple[int, int]
    observed: tuple[int, int]

    @classmethod
    def of(cls, layer: Accumulating, observed: tuple[int, int]) -> AccumulatorExtremes:
        """The extremes of `layer`. Raises VerificationError where `observed` is outside of the proven range."""
        lows, highs = layer.accumulator_range()
        proven = (int(lows.min()), int(highs.max()))
        if observed[0] < proven[0] or observed[1] > proven[1]:
            raise VerificationError(
                f"layer {layer.name}: accumulators reached {observed}, outside of the proven range {proven}"
            )
        return cls(proven, observed)


def choose_frames(graph: LayerGraph, frames: np.ndarray, count: int) -> np.ndarray:
    """The indices of `count` of `frames` (N, H, W, C) to simulate, again from the first where there are fewer.

    Where the output is a label those come first that have labels of their own: a circuit that always gives the same
    one must not pass.
    """
    order = np.arange(len(frames))
    if graph.gives_labels:
        labels = graph.run(frames).ravel()
        seen: dict[int, int] = {}
        turns = []
        for label in labels.tolist():
            turns.append(seen.get(label, 0))
            seen[label] = turns[-1] + 1
        order = np.argsort(turns, kind="stable")
    return order[np.arange(count) % len(order)]


def labels_among(graph: LayerGraph, frames: np.ndarray) -> int | None:
    """How many different labels the reference gives `frames`; None where the output is none."""
    return len(np.unique(graph.run(frames))) if graph.gives_labels else None


def as_frames(vectors: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Vectors (n, C) as whole frames of `shape`, the last vector repeated."""
    height, width, channels = shape
    count = -(-len(vectors) // (height * width))
    index = np.minimum(np.arange(count * height * width), len(vectors) - 1)
    return vectors[index].reshape(count, height, width, channels)


def compare(name: str, what: str, got: np.ndarray, expected: np.ndarray) -> None:
    """Raises VerificationError with the first element of `name`, in words `what`, that is not as `expected`."""
    if np.array_equal(got, expected):
        return
    wrong = np.argwhere(got != expected)
    frame, row, column, channel = wrong[0]
    raise VerificationError(
        f"{what} differs from the reference in {len(wrong)} of {expected.size} elements; first at frame {frame}, "
        f"row {row}, column {column}, channel {channel} of {name}: {got[tuple(wrong[0])]} instead of "
        f"{expected[tuple(wrong[0])]}"
    )
