"""Crop: a part of each frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, log2
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["Crop"]


@dataclass(frozen=True, eq=False)
class Crop(Layer):
    """The part of frames of `shape` (H, W, C) that begins at `start` (row, column, channel) and has `size` (H, W, C).

    FINN's Crop leaves channels as they are. The rest of a frame is taken and dropped. A beat carries `simd` channels on
    both sides. Raises ConfigError for a SIMD that does not divide the channels of the frame, of the part and before it,
    UnsupportedError for a part that does not lie in the frame, or is all of it.
    """

    shape: Shape
    type: IntType
    start: Shape
    size: Shape
    simd: int = 1

    op_type: ClassVar[str] = "Crop"
    module: ClassVar[str] = "crop"
    finn_attributes: ClassVar[Mapping[str, str]] = {"SIMD": "simd"}
    lut_purpose: ClassVar[str] = "glue"
    lut_purpose_of_cells: ClassVar[bool] = True

    def __post_init__(self) -> None:
        inside = all(
            s >= 0 and n >= 1 and s + n <= of for s, n, of in zip(self.start, self.size, self.shape, strict=True)
        )
        if not inside or self.size == self.shape:
            raise UnsupportedError(
                f"layer {self.name} takes {self.size} from {self.start} on of frames of {self.shape}; expected a part of "
                "the frame that is not all of it."
            )
        if self.simd < 1 or self._aligned() % self.simd:
            raise ConfigError(
                f"layer {self.name}: SIMD = {self.simd} does not divide its {self.shape[2]} channels, of which it takes "
                f"{self.size[2]} from {self.start[2]} on; choose a divisor of {self._aligned()}."
            )

    @property
    def folds(self) -> int:
        """Beats a pixel of the input: C / SIMD."""
        return self.shape[2] // self.simd

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.simd),)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream(self.size, self.type, self.simd),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (frames,) = inputs
        return (frames[:, *(slice(s, s + n) for s, n in zip(self.start, self.size, strict=True))],)

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        """The output register."""
        return 1

    def inputs_needed(self) -> np.ndarray:
        height, width, _ = self.shape
        beats = np.arange(height * width * self.folds, dtype=np.int64).reshape(1, height, width, self.folds)
        (y, x, c), (rows, columns, channels) = self.start, self.size
        folds = slice(c // self.simd, (c + channels) // self.simd)
        return beats[0, y : y + rows, x : x + columns, folds].ravel() + 1

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"simd": divisors(self._aligned())}

    def demand(self, family: str) -> Demand:
        demand, (height, width, _) = Demand(self.op_type), self.shape
        counters = log2(height) + log2(width) + log2(self.folds)
        demand.add(data=self.simd * self.type.bits, counters=counters)
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        (top, left, channel), (height, width, channels) = self.start, self.size
        if channel or channels != self.shape[2]:
            raise self.without_finn_node(f"it takes {channels} of {self.shape[2]} channels, and Crop takes all")
        attributes = {
            "DataType": self.type.name,
            "ImgDim": self.shape[:2],
            "NumChannels": channels,
            "CropNorth": top,
            "CropWest": left,
            "CropSouth": self.shape[0] - top - height,
            "CropEast": self.shape[1] - left - width,
            "SIMD": self.simd,
            "numInputVectors": (1,),
        }
        return (FinnNode("Crop", attributes),)

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        height, width, channels = stream["shape"]
        border = draw.one_of([0, 1, 1])
        of_channels = channels // 2 if channels % 2 == 0 and (border == 0 or draw.random.random() < 0.3) else channels
        of_height = height - max(2 * border, int(of_channels == channels))
        size = of_height, width - 2 * border, of_channels
        lanes = draw.lanes(gcd(channels, of_channels), 64)
        return cls("layer", ("x",), ("y",), **stream, start=(border, border, 0), size=size, simd=lanes)

    def parameters(self) -> dict[str, int]:
        return {"Width": self.simd * self.type.bits, **self._sizes()}

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "ElementWidth": self.type.bits,
            "ElementSigned": self.type.signed,
            "Simd": self.simd,
            **self._sizes(),
        }

    def _aligned(self) -> int:
        """What divides the channels before the part, those of it, and all of them."""
        return gcd(self.shape[2], self.start[2], self.size[2])

    def _sizes(self) -> dict[str, int]:
        return {
            "ImageHeight": self.shape[0],
            "ImageWidth": self.shape[1],
            "Folds": self.folds,
            "FirstRow": self.start[0],
            "FirstColumn": self.start[1],
            "FirstFold": self.start[2] // self.simd,
            "Rows": self.size[0],
            "Columns": self.size[1],
            "PartFolds": self.size[2] // self.simd,
        }
