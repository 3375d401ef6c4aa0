"""DepthToSpace: each pixel's channels become a block of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.layer import Shape, Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.windows import Generator

__all__ = ["DepthToSpace"]


@dataclass(frozen=True, eq=False)
class DepthToSpace(Generator):
    """Frames of `shape` (H, W, BH · BW · C) as frames of (BH · H, BW · W, C), with `block` = (BH, BW); with BH = BW as ONNX'
    DepthToSpace of mode DCR.

    Channel (by · BW + bx) · C + c of a pixel (y, x) becomes channel c of the pixel (BH · y + by, BW · x + bx). A beat carries
    `simd` channels on both sides. A row of H is held, and goes out as columns of a window over it: the row is an image of W
    rows with a pixel of BW · C channels for each by. Raises ConfigError for a SIMD that does not divide C, UnsupportedError
    for a block of one pixel, or that does not divide the channels.
    """

    shape: Shape
    type: IntType
    block: tuple[int, int]
    simd: int = 1

    op_type: ClassVar[str] = "DepthToSpace"
    module: ClassVar[str] = "depth_to_space"
    finn_attributes: ClassVar[Mapping[str, str]] = {"SIMD": "simd"}
    lut_purpose: ClassVar[str] = "sliding windows"
    lut_purpose_of_cells: ClassVar[bool] = True

    def __post_init__(self) -> None:
        rows, columns = self.block
        if min(self.block) < 1 or rows * columns < 2 or self.shape[2] % (rows * columns):
            raise UnsupportedError(
                f"layer {self.name} makes {rows} × {columns} pixels of {self.shape[2]} channels; expected two pixels or more, "
                "whose number divides the channels."
            )
        if self.simd < 1 or self.channels % self.simd:
            raise ConfigError(
                f"layer {self.name}: SIMD = {self.simd} does not divide the {self.channels} channels that are left; choose "
                f"a divisor of {self.channels}."
            )

    @property
    def channels(self) -> int:
        """C, of the output."""
        return self.shape[2] // (self.block[0] * self.block[1])

    @property
    def windows(self) -> ConvolutionInputGenerator:
        """The same beats, as windows."""
        height, width, channels = self.shape
        return ConvolutionInputGenerator(
            self.name,
            self.input_names,
            self.output_names,
            shape=(height * width, self.block[0], channels // self.block[0]),
            type=self.type,
            kernel=(width, 1),
            stride=(width, 1),
            simd=self.simd,
        )

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.simd),)

    def outputs(self) -> tuple[Stream, ...]:
        height, width, _ = self.shape
        rows, columns = height * self.block[0], width * self.block[1]
        return (Stream((rows, columns, self.channels), self.type, self.simd),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (frames,) = inputs
        height, width, _ = self.shape
        squares = frames.reshape(-1, height, width, *self.block, self.channels)
        return (squares.transpose(0, 1, 3, 2, 4, 5).reshape(-1, *self.outputs()[0].shape),)

    def cycles(self) -> int:
        return self.outputs()[0].beats

    def latency(self) -> int:
        """That of a window generator."""
        return self.windows.latency()

    def inputs_needed(self) -> np.ndarray:
        return self.windows.inputs_needed()

    def sent_before_taking(self, needed: np.ndarray, beats: int, frames: int) -> np.ndarray:
        return self.windows.sent_before_taking(needed, beats, frames)

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"simd": divisors(self.channels)}

    def demand(self, family: str) -> Demand:
        demand = self.windows.demand(family)
        demand.op_type = self.op_type
        return demand

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        (height, width, channels), side = stream["shape"], draw.one_of([2, 2, 3])
        lanes = draw.lanes(channels, 64)
        shape = (height, width, channels * side**2)
        return cls("layer", ("x",), ("y",), shape, stream["type"], (side, side), lanes)

    def parameters(self) -> dict[str, int]:
        windows = self.windows
        return {
            "Width": self.simd * self.type.bits,
            "Folds": self.channels // self.simd,
            "ImageWidth": self.shape[1],
            "BlockHeight": self.block[0],
            "BlockWidth": self.block[1],
            "Depth": windows.buffer_depth,
            "Ordered": int(windows.ordered),
        }

    def hls_parameters(self) -> Mapping[str, int | bool | tuple[int, ...]]:
        return self.windows.hls_parameters()
