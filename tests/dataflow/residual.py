"""Small residual networks of kernels, for tests of folding and FIFO depths."""

from __future__ import annotations

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.types import IntType
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.thresholding import Thresholding

__all__ = ["residual_network"]

UINT2 = IntType(0, 3)
THRESHOLDS = np.array([1, 2, 3])


def residual_network(
    size: int = 6, channels: int = 4, *, depth: int = 2, stride: int = 1, blocks: int = 1, seed: int = 0
) -> LayerGraph:
    """`blocks` residual blocks of `depth` 3×3 convolutions; with a stride of 2 the shortcut is a 1×1 convolution."""
    builder = _Builder(np.random.default_rng(seed))
    stream, shape = "in", (size, size, channels)
    for _ in range(blocks):
        main, shortcut = builder.fork(stream, shape)
        out = shape
        for i in range(depth):
            main, out = builder.convolution(main, out, 3, stride if i == 0 else 1)
        if stride > 1:
            shortcut, _ = builder.convolution(shortcut, shape, 1, stride)
        stream = builder.join(main, shortcut, out)
        shape = out
    return LayerGraph("residual", tuple(builder.layers), "in", stream)


class _Builder:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.layers: list[Layer] = []
        self.streams = 0

    def add(self, kind: type[Layer], inputs: tuple[str, ...], outputs: int = 1, **fields) -> tuple[str, ...]:
        count = sum(layer.op_type == kind.op_type for layer in self.layers)
        names = tuple(f"s{self.streams + i}" for i in range(outputs))
        self.streams += outputs
        self.layers.append(kind(f"{kind.op_type}_{count}", inputs, names, **fields))
        return names

    def fork(self, stream: str, shape) -> tuple[str, ...]:
        return self.add(DuplicateStreams, (stream,), 2, shape=shape, type=UINT2, copies=2)

    def join(self, a: str, b: str, shape) -> str:
        (total,) = self.add(AddStreams, (a, b), shape=shape, types=(UINT2, UINT2))
        (out,) = self.add(
            Thresholding,
            (total,),
            shape=shape,
            input_type=IntType(0, 6),
            output_type=UINT2,
            thresholds=THRESHOLDS[None],
        )
        return out

    def convolution(self, stream: str, shape, kernel: int, stride: int):
        height, width, channels = shape
        pad = kernel // 2
        padded = (height + 2 * pad, width + 2 * pad, channels)
        if pad:
            (stream,) = self.add(FMPadding, (stream,), shape=shape, type=UINT2, pads=(pad,) * 4)
        (stream,) = self.add(
            ConvolutionInputGenerator, (stream,), shape=padded, type=UINT2, kernel=(kernel,) * 2, stride=(stride,) * 2
        )
        rows, columns = ((size - kernel) // stride + 1 for size in padded[:2])
        (stream,) = self.add(
            MVAU,
            (stream,),
            weights=self.rng.integers(-2, 3, (channels, kernel * kernel * channels)),
            input_type=UINT2,
            output_type=UINT2,
            pixels=(rows, columns),
            thresholds=np.tile(THRESHOLDS, (channels, 1)),
        )
        return stream, (rows, columns, channels)
