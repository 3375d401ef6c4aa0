"""UpsampleNearestNeighbour: every pixel several times, in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Shape, Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.windows import Generator

__all__ = ["UpsampleNearestNeighbour"]

_LEAST_DEPTH = 2  # words that pass a beat in every cycle, one written while the other is read


@dataclass(frozen=True, eq=False)
class UpsampleNearestNeighbour(Generator):
    """Frames of `shape` (H, W, C) with each row `factors`[0] times and each pixel of it `factors`[1] times.

    A beat carries `simd` channels on both sides. Raises ConfigError for a SIMD that does not divide C, UnsupportedError
    for factors that repeat nothing.
    """

    shape: Shape
    type: IntType
    factors: tuple[int, int]
    simd: int = 1

    op_type: ClassVar[str] = "UpsampleNearestNeighbour"
    module: ClassVar[str] = "upsample_nearest_neighbour"
    finn_attributes: ClassVar[Mapping[str, str]] = {"SIMD": "simd"}
    lut_purpose: ClassVar[str] = "sliding windows"
    lut_purpose_of_cells: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if min(self.factors) < 1 or max(self.factors) < 2:
            raise UnsupportedError(
                f"layer {self.name} repeats rows {self.factors[0]} times and pixels {self.factors[1]} times; expected at "
                "least once each, and one of them more often."
            )
        if self.simd < 1 or self.shape[2] % self.simd:
            raise ConfigError(
                f"layer {self.name}: SIMD = {self.simd} does not divide its {self.shape[2]} channels; choose a divisor of "
                f"{self.shape[2]}."
            )

    @property
    def folds(self) -> int:
        """Beats a pixel: C / SIMD."""
        return self.shape[2] // self.simd

    @property
    def buffer_depth(self) -> int:
        """Beats that are held: a row, or a pixel where no row is repeated."""
        return max(self.folds * (self.shape[1] if self.factors[0] > 1 else 1), _LEAST_DEPTH)

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.simd),)

    def outputs(self) -> tuple[Stream, ...]:
        (height, width, channels), (rows, columns) = self.shape, self.factors
        return (Stream((height * rows, width * columns, channels), self.type, self.simd),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (frames,) = inputs
        return (frames.repeat(self.factors[0], axis=1).repeat(self.factors[1], axis=2),)

    def cycles(self) -> int:
        return self.outputs()[0].beats

    def latency(self) -> int:
        """Written to the buffer in one cycle, read from it in the next."""
        return 2

    def inputs_needed(self) -> np.ndarray:
        return np.maximum.accumulate(self._order()) + 1

    def sent_before_taking(self, needed: np.ndarray, beats: int, frames: int) -> np.ndarray:
        """A beat has room where the one that was `buffer_depth` beats before it has been read for the last time."""
        order = self._order()
        last = np.empty(self.inputs()[0].beats, dtype=np.int64)
        last[order] = np.arange(len(order))  # of equal indices the last one stays
        frame = np.arange(frames, dtype=np.int64)[:, None]
        freed = (last + frame * len(order)).ravel() + 1
        before = np.arange(beats) - self.buffer_depth
        return np.where(before < 0, 0, freed[np.maximum(before, 0)])

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"simd": divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand, bits = Demand(self.op_type), self.simd * self.type.bits
        demand.store("rows", ram(bits, self.buffer_depth, family))
        demand.add(data=bits, counters=log2(self.buffer_depth) + log2(self.shape[1] * self.folds))
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        (height, width, channels), (rows, columns) = self.shape, self.factors
        attributes = {
            "SIMD": self.simd,
            "HI": height,
            "WI": width,
            "HO": height * rows,
            "WO": width * columns,
            "NumChannels": channels,
            "inputDataType": self.type.name,
        }
        return (FinnNode("UpsampleNearestNeighbour", attributes),)

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        lanes = draw.lanes(stream["shape"][2], 64)
        return cls(
            "layer", ("x",), ("y",), **stream, factors=(draw.one_of([1, 2, 2]), draw.one_of([2, 2, 3])), simd=lanes
        )

    def parameters(self) -> dict[str, int]:
        return {
            "Width": self.simd * self.type.bits,
            "Folds": self.folds,
            "ImageWidth": self.shape[1],
            "FactorHeight": self.factors[0],
            "FactorWidth": self.factors[1],
        }

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "ElementWidth": self.type.bits,
            "ElementSigned": self.type.signed,
            "Simd": self.simd,
            "Folds": self.folds,
            "ImageHeight": self.shape[0],
            "ImageWidth": self.shape[1],
            "FactorHeight": self.factors[0],
            "FactorWidth": self.factors[1],
        }

    def _order(self) -> np.ndarray:
        """The input beat that each output beat of a frame is."""
        height, width, _ = self.shape
        beats = np.arange(height * width * self.folds, dtype=np.int64).reshape(height, width, self.folds)
        return beats.repeat(self.factors[0], axis=0).repeat(self.factors[1], axis=1).ravel()
