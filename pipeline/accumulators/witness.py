"""Inputs that drive an accumulator to the ends of its exact range: the proof by example beside the proof by bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.roles import Accumulating
from pipeline.dataflow.types import IntType

__all__ = ["Witness", "lane_witnesses", "witness_inputs", "witnesses"]


@dataclass(frozen=True)
class Witness:
    """An input vector that gives row `channel` the sum `value`, the lowest or the highest it can have.

    Every element is the input type's largest or smallest value; bit i of `at_high` is set where element i is the
    largest.
    """

    channel: int
    value: int
    at_high: int

    def vector(self, input_type: IntType, length: int) -> np.ndarray:
        """The input vector, int64 of shape (length,)."""
        packed = np.frombuffer(self.at_high.to_bytes((length + 7) // 8, "little"), np.uint8)
        high = np.unpackbits(packed, bitorder="little", count=length).astype(bool)
        return np.where(high, np.int64(input_type.hi), np.int64(input_type.lo))

    @classmethod
    def of(cls, layer: Accumulating, channel: int, *, highest: bool) -> Witness:
        """The witness of row `channel` of `layer` for its highest, or else its lowest, sum."""
        row = layer.weights[channel]
        high = row > 0 if highest else row < 0
        at_high = int.from_bytes(np.packbits(high, bitorder="little").tobytes(), "little")
        start = 0 if layer.bias is None else int(layer.bias[channel])
        ends = zip(row.tolist(), high.tolist(), strict=True)
        value = start + sum(w * (layer.input_type.hi if up else layer.input_type.lo) for w, up in ends)
        return cls(channel, value, at_high)


def lane_witnesses(layer: Accumulating) -> tuple[Witness, ...]:
    """For each lane of accumulators, the witnesses of the lowest and of the highest sum among the rows that it computes."""
    lo, hi = layer.accumulator_range()
    witnesses = []
    lanes = len(layer.lane_accumulator_bits())
    for lane in range(lanes):
        rows = np.arange(lane, len(layer.weights), lanes)
        witnesses.append(Witness.of(layer, int(rows[lo[rows].argmin()]), highest=False))
        witnesses.append(Witness.of(layer, int(rows[hi[rows].argmax()]), highest=True))
    return tuple(witnesses)


def witness_inputs(layer: Accumulating) -> np.ndarray:
    """Pixels of the input that take the accumulator of every lane to both ends of its exact range.

    int64 of shape (n, channels), at most two for each lane, or two rows of an image, none twice. With one lane these are the
    layer's extremes.
    """
    columns = layer.weights.shape[1]
    vectors = [
        layer.pixel_of(witness.channel, witness.vector(layer.input_type, columns)) for witness in lane_witnesses(layer)
    ]
    distinct = {vector.tobytes(): vector for vector in vectors}
    return np.concatenate([np.atleast_2d(vector) for vector in distinct.values()])


def witnesses(graph: LayerGraph) -> dict[str, np.ndarray]:
    """By layer with accumulators, its `witness_inputs`."""
    return {layer.name: witness_inputs(layer) for layer in graph.accumulating}
