"""StreamingFIFO: beats that wait between two layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log2
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.layer import Shape, Stream
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.roles import Fifo
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram
from pipeline.errors import ConfigError

__all__ = ["StreamingFIFO"]

_REGISTER_DEPTH = 2  # up to here two registers do it: fewer could not be read and written in every cycle


@dataclass(frozen=True, eq=False)
class StreamingFIFO(Fifo):
    """Holds `depth` beats of `lanes` elements of frames of `shape` (H, W, C), of `m` pixels; one of depth 1 holds 2.

    A beat moves in and a beat moves out in every cycle, at any depth. Raises ConfigError for a depth below 1, or
    lanes that do not divide the channels of M pixels.
    """

    shape: Shape
    type: IntType
    lanes: int
    depth: int
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "StreamingFIFO"
    module: ClassVar[str] = "streaming_fifo"
    finn_attributes: ClassVar[Mapping[str, str]] = {"depth": "depth"}
    lut_purpose: ClassVar[str] = "FIFOs"
    lut_purpose_of_cells: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ConfigError(f"layer {self.name} has a depth of {self.depth}; a FIFO holds at least 1 beat.")
        check_pixels(self.name, self.m, self.shape[1])
        if self.lanes < 1 or self.lanes % self.m or self.m * self.shape[2] % self.lanes:
            raise ConfigError(
                f"layer {self.name}: {self.lanes} lanes do not divide its {self.shape[2]} channels{self._of_pixels()}; choose "
                f"{f'{self.m} times ' if self.m > 1 else ''}a divisor of {self.shape[2]}."
            )

    def _of_pixels(self) -> str:
        return f" of {self.m} pixels" if self.m > 1 else ""

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.lanes, self.m),)

    def outputs(self) -> tuple[Stream, ...]:
        return self.inputs()

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return inputs

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        """Registers pass a beat on in the next cycle; a memory is written in one and read in the next."""
        return 1 if self.depth <= _REGISTER_DEPTH else 2

    def inputs_needed(self) -> np.ndarray:
        return np.arange(1, self.inputs()[0].beats + 1, dtype=np.int64)

    def demand(self, family: str) -> Demand:
        demand, bits = Demand(self.op_type), self.lanes * self.type.bits
        if self.depth <= 2:
            demand.add(registers=bits)
        else:
            demand.store("memory", ram(bits, max(self.depth - 1, 2), family))
            demand.add(counters=log2(self.depth), deep=1)
        return demand

    def finn_nodes(self, family: str) -> dict[str, dict[str, Any]]:
        height, width, channels = self.shape
        attributes = {
            "depth": self.depth,
            "folded_shape": [1, height, width // self.m, self.m * channels // self.lanes, self.lanes],
            "normal_shape": [1, *self.shape],
            "dataType": self.type.name,
        }
        return {"StreamingFIFO_rtl": attributes}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        depth = draw.one_of([2, 2, 2, 3, 8, 16, 32, 50, 64, 100, 256, 1024])
        return cls("layer", ("x",), ("y",), **stream, lanes=draw.lanes(stream["shape"][2], 64), depth=depth)

    def parameters(self) -> dict[str, int]:
        return {"Width": self.lanes * self.type.bits, "Depth": self.depth}
