"""StreamingDataWidthConverter: several narrow beats become one wide beat, or the reverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.types import IntType
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
