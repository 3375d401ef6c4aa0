"""StreamingDataWidthConverter: several narrow beats become one wide beat, or the reverse."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError

__all__ = ["StreamingDataWidthConverter"]


@dataclass(frozen=True, eq=False)
class StreamingDataWidthConverter(Layer):
    """Frames of `shape` (H, W, C) come in beats of `in_lanes` channels and leave, in the same order, in `out_lanes`.

    Raises ConfigError unless both divide C and one of them is a multiple of the other.
    """

    shape: Shape
    type: IntType
    in_lanes: int
    out_lanes: int

    op_type: ClassVar[str] = "StreamingDataWidthConverter"
    module: ClassVar[str] = "streaming_data_width_converter"
    lut_purpose: ClassVar[str] = "glue"
    between_layers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        lanes = (self.in_lanes, self.out_lanes)
        if min(lanes) < 1 or max(lanes) % min(lanes) or any(self.shape[2] % count for count in lanes):
            raise ConfigError(
                f"layer {self.name} converts {self.in_lanes} lanes to {self.out_lanes}; one must be a multiple of "
                f"the other, and both must divide its {self.shape[2]} channels."
            )

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.in_lanes),)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.out_lanes),)

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
        return {"InputWidth": self.in_lanes * self.type.bits, "OutputWidth": self.out_lanes * self.type.bits}

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "Beats": max(self.inputs()[0].beats, self.outputs()[0].beats),
            "ElementWidth": self.type.bits,
            "ElementSigned": self.type.signed,
            "InLanes": self.in_lanes,
            "OutLanes": self.out_lanes,
        }
