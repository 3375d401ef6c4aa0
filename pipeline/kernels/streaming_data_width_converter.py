"""StreamingDataWidthConverter: several narrow beats become one wide beat, or the reverse."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError

__all__ = ["StreamingDataWidthConverter"]


@dataclass(frozen=True, eq=False)
class StreamingDataWidthConverter(Layer):
    """Frames of `shape` (H, W, C) come in beats of `in_lanes` channels and leave, in the same order, in `out_lanes`.

    These are lanes of `in_m` and of `out_m` pixels. Either both are the same, and each pixel keeps its place, or a beat is
    whole pixels on both sides. Raises ConfigError for others, and unless both divide the channels of their pixels and one
    of them is a multiple of the other.
    """

    shape: Shape
    type: IntType
    in_lanes: int
    out_lanes: int
    in_m: int = field(default=1, kw_only=True)
    out_m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "StreamingDataWidthConverter"
    module: ClassVar[str] = "streaming_data_width_converter"
    lut_purpose: ClassVar[str] = "glue"
    between_layers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        lanes, pixels = (self.in_lanes, self.out_lanes), (self.in_m, self.out_m)
        for m in pixels:
            check_pixels(self.name, m, self.shape[1])
        wrong = any(count % m or m * self.shape[2] % count for count, m in zip(lanes, pixels, strict=True))
        if min(lanes) < 1 or max(lanes) % min(lanes) or wrong:
            raise ConfigError(
                f"layer {self.name} converts {self._words()}; one must be a multiple of "
                f"the other, and both must divide its {self.shape[2]} channels{' of each pixel' if max(pixels) > 1 else ''}."
            )
        if self.in_m != self.out_m and lanes != (self.in_m * self.shape[2], self.out_m * self.shape[2]):
            raise ConfigError(
                f"layer {self.name} converts {self._words()}; where the pixels of a beat change, beats must be whole "
                f"pixels on both sides, of {self.shape[2]} lanes each."
            )

    def _words(self) -> str:
        if max(self.in_m, self.out_m) == 1:
            return f"{self.in_lanes} lanes to {self.out_lanes}"
        return f"{self.in_lanes} lanes of {self.in_m} pixels to {self.out_lanes} of {self.out_m}"

    @property
    def _side_by_side(self) -> int:
        """Pixels whose beats are joined or split each by itself."""
        return self.in_m if self.in_m == self.out_m else 1

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.in_lanes, self.in_m),)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.out_lanes, self.out_m),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return inputs

    def cycles(self) -> int:
        return max(self.inputs()[0].beats, self.outputs()[0].beats)

    def latency(self) -> int:
        """The output register; a wide beat also waits in a register of its own while parts of it leave."""
        return 2 if self.in_lanes > self.out_lanes else 1

    def inputs_needed(self) -> np.ndarray:
        beats = np.arange(1, self.outputs()[0].beats + 1, dtype=np.int64)
        return -(-beats * self.out_lanes // self.in_lanes)

    def demand(self, family: str) -> Demand:
        demand = Demand(self.op_type)
        wide, narrow = (count * self.type.bits for count in sorted((self.in_lanes, self.out_lanes), reverse=True))
        widens = self.out_lanes > self.in_lanes
        demand.add(**{"widened" if widens else "narrowed": wide, "part": narrow, "counters": log2(wide / narrow)})
        return demand

    def finn_nodes(self, family: str) -> dict[str, dict[str, Any]]:
        attributes = {
            "inShape": [1, *self.shape],
            "outShape": [1, *self.shape],
            "inWidth": self.in_lanes * self.type.bits,
            "outWidth": self.out_lanes * self.type.bits,
            "dataType": self.type.name,
        }
        return {"StreamingDataWidthConverter_rtl": attributes}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        channels = stream["shape"][2]
        wide = draw.one_of([d for d in divisors(channels) if d > 1])
        narrow = draw.one_of([d for d in divisors(wide) if d < wide])
        lanes = (wide, narrow) if draw.random.random() < 0.5 else (narrow, wide)
        return cls("layer", ("x",), ("y",), **stream, in_lanes=lanes[0], out_lanes=lanes[1])

    def parameters(self) -> dict[str, int]:
        pixels = {"Pixels": self._side_by_side} if self._side_by_side > 1 else {}
        return {"InputWidth": self.in_lanes * self.type.bits, "OutputWidth": self.out_lanes * self.type.bits} | pixels

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "Beats": max(self.inputs()[0].beats, self.outputs()[0].beats),
            "ElementWidth": self.type.bits,
            "ElementSigned": self.type.signed,
            "InLanes": self.in_lanes,
            "OutLanes": self.out_lanes,
            "Pixels": self._side_by_side,
        }
