"""Frames for layers: the ends of their ranges, the sums' extremes, and random ones."""

from __future__ import annotations

import numpy as np

from pipeline.accumulators.witness import witness_inputs
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.roles import Accumulating

__all__ = ["frames_of"]

_FRAMES = 10
_WITNESSES = slice(5, 8)


def frames_of(layer: Layer) -> list[np.ndarray]:
    """int64 (N, H, W, C) for each input: first every input at either end, with the other inputs at either of theirs."""
    rng = np.random.default_rng(0)
    inputs = []
    for index, stream in enumerate(layer.inputs()):
        ends = np.array([stream.type.lo, stream.type.hi])
        frames = rng.integers(stream.type.lo, stream.type.hi, (_FRAMES, *stream.shape), endpoint=True)
        for frame in range(4):
            frames[frame] = ends[(frame >> index) & 1]
        frames[4] = rng.choice(ends, stream.shape)
        if isinstance(layer, Accumulating):
            vectors = frames[_WITNESSES].reshape(-1, stream.shape[-1])
            witnesses = witness_inputs(layer)[: len(vectors)]
            vectors[: len(witnesses)] = witnesses
        inputs.append(frames)
    return inputs
