"""Inputs that drive an accumulator to the ends of its exact range: the proof by example beside the proof by bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.kernels.matrix_vector import MatrixVector

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
    def of(cls, mvau: MatrixVector, channel: int, *, highest: bool) -> Witness:
        """The witness of row `channel` of `mvau` for its highest, or else its lowest, sum."""
        row = mvau.weights[channel]
        high = row > 0 if highest else row < 0
        at_high = int.from_bytes(np.packbits(high, bitorder="little").tobytes(), "little")
        start = 0 if mvau.bias is None else int(mvau.bias[channel])
        ends = zip(row.tolist(), high.tolist(), strict=True)
        value = start + sum(w * (mvau.input_type.hi if up else mvau.input_type.lo) for w, up in ends)
        return cls(channel, value, at_high)


def lane_witnesses(mvau: MatrixVector) -> tuple[Witness, ...]:
    """For each lane of accumulators, the witnesses of the lowest and of the highest sum among the rows that it computes."""
    lo, hi = mvau.accumulator_range()
    witnesses = []
    lanes = len(mvau.lane_accumulator_bits())
    for lane in range(lanes):
        rows = np.arange(lane, mvau.mh, lanes)
        witnesses.append(Witness.of(mvau, int(rows[lo[rows].argmin()]), highest=False))
        witnesses.append(Witness.of(mvau, int(rows[hi[rows].argmax()]), highest=True))
    return tuple(witnesses)


def witness_inputs(mvau: MatrixVector) -> np.ndarray:
    """Pixels of the input that take the accumulator of every lane to both ends of its exact range.

    int64 of shape (n, channels of the input), n at most twice the lanes, none twice. With one lane these are the extremes
    of the layer.
    """
    vectors = [witness.vector(mvau.input_type, mvau.mw) for witness in lane_witnesses(mvau)]
    distinct = {vector.tobytes(): mvau.pixel_of(vector) for vector in vectors}
    return np.stack(list(distinct.values()))


def witnesses(graph: LayerGraph) -> dict[str, np.ndarray]:
    """By layer with a matrix, its `witness_inputs`."""
    return {layer.name: witness_inputs(layer) for layer in graph if isinstance(layer, MatrixVector)}
