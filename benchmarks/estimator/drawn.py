"""Layers drawn as networks have them, which the resource model is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.types import IntType
from pipeline.folding.demand import csd_digits
from pipeline.folding.options import divisors
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.pool import Pool
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.thresholding import Thresholding
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.models.synthetic import draw_row

__all__ = ["Drawn"]

_STREAMS = {"input_names": ("x",), "output_names": ("y",)}
_ROWS, _CHANNELS = (8, 10, 16, 16, 24, 32, 32, 64), (3, 8, 16, 32, 64)
_LARGE_ROWS, _LARGE_CHANNELS = (64, 128, 256, 512), (64, 128, 256, 512)


class Drawn:
    """Layers of each kind; the same ones for the same `seed`."""

    def __init__(self, seed: int | tuple[int, ...]) -> None:
        self.random = np.random.default_rng(seed)

    def one_of(self, values: Sequence[int]) -> int:
        return int(self.random.choice(values))

    def lanes(self, channels: int, most: int) -> int:
        return self.one_of([d for d in divisors(channels) if d <= most])

    def element(self) -> IntType:
        return IntType.of_bits(self.one_of([1, 2, 3, 4, 4, 4, 4, 5, 8]), signed=bool(self.random.random() < 0.15))

    def stream(self) -> dict[str, Any]:
        side = self.one_of([4, 8, 16, 32])
        return {"shape": (side, side, self.one_of([3, 8, 16, 32, 64])), "type": self.element()}

    # -- matrices ---------------------------------------------------------------------------------------------------

    def matrix(
        self, most_digits: int, heights: Sequence[int] = _ROWS, channels: Sequence[int] = _CHANNELS
    ) -> dict[str, Any]:
        """What all MatrixVectors have: weights within the bound of some accumulator, or without one."""
        while True:
            element = self.element()
            rows = self.one_of(heights)
            columns = self.one_of(channels) * self.one_of([1, 9, 9])
            weights = self._weights(rows, columns, element)
            if 0 < csd_digits(weights).sum() <= most_digits:
                break
        bias = self.random.integers(-60, 60, rows) if self.random.random() < 0.15 else None
        open_type = IntType(-(1 << 60), 1 << 60)
        sums = MVAU(
            "layer", **_STREAMS, weights=weights, input_type=element, output_type=open_type, pixels=(4, 4), bias=bias
        )
        lo, hi = sums.accumulator_range()
        count = self.one_of([0, 1, 3, 7, 15, 15, 15])
        return {
            "weights": weights,
            "input_type": element,
            "output_type": IntType(0, count) if count else IntType(int(lo.min()), int(hi.max())),
            "pixels": (4, 4),
            "thresholds": np.sort(self.random.integers(lo[:, None], hi[:, None] + 2, (rows, count))) if count else None,
            "bias": bias,
            "accumulator_bits": (max(sums.exact_accumulator_bits()),) * rows,
        }

    def _weights(self, rows: int, columns: int, element: IntType) -> np.ndarray:
        largest = (1 << (self.one_of([2, 3, 4, 4, 4, 6, 8]) - 1)) - 1
        if self.random.random() < 0.3:
            return np.clip(np.rint(self.random.laplace(0, largest / 3, (rows, columns))), -largest, largest).astype(int)
        reach = max(abs(element.lo), element.hi)
        bound = max(((1 << (self.one_of([10, 11, 12, 13, 14, 16]) - 1)) - 1) // reach, 2)
        draw = [draw_row(self.random, columns, bound, 0.3, centred=False, largest=largest) for _ in range(rows)]
        return np.stack(draw)

    def mvau(self) -> MVAU:
        while True:
            matrix = self.matrix(100_000)
            rows, columns = matrix["weights"].shape
            pe, simd = self.lanes(rows, 32), self.lanes(columns, 144)
            if pe * simd <= 192 and rows * columns // (pe * simd) <= 20_000:
                return MVAU("layer", **_STREAMS, **matrix, pe=pe, simd=simd)

    def unrolled(self) -> UnrolledMVAU:
        matrix = self.matrix(3000)
        bits = matrix["input_type"].bits
        digits = self.one_of(sorted({1, -(-bits // 2), bits}))
        return UnrolledMVAU("layer", **_STREAMS, **matrix, digits=digits)

    def sparse(self) -> SparseMVAU:
        while True:
            matrix = self.matrix(20_000)
            rows, columns = matrix["weights"].shape
            lanes, simd = self.lanes(rows, 16), self.lanes(columns, 16)
            pe = lanes * self.one_of([1, 1, 2, 4])
            if pe <= min(rows, 32) and pe * simd <= 128:
                return SparseMVAU("layer", **_STREAMS, **matrix, pe=pe, simd=simd, lanes=lanes)

    # -- matrices larger than these, as ResNet-18 has them ------------------------------------------------------------

    def large_mvau(self) -> MVAU:
        while True:
            matrix = self.matrix(1_000_000, _LARGE_ROWS, _LARGE_CHANNELS)
            rows, columns = matrix["weights"].shape
            pe, simd = self.lanes(rows, 32), self.lanes(columns, 64)
            if 8 <= pe * simd <= 192 and 30_000 <= rows * columns <= 300_000:
                return MVAU("layer", **_STREAMS, **matrix, pe=pe, simd=simd)

    def large_sparse(self) -> SparseMVAU:
        while True:
            matrix = self.matrix(80_000, _LARGE_ROWS, _LARGE_CHANNELS)
            rows, columns = matrix["weights"].shape
            lanes, simd = self.one_of([1, 1, 1, 2, 4]), self.lanes(columns, 18)
            pe = lanes * self.one_of([4, 7, 8, 11, 16, 22, 32])
            if pe <= 64 and pe * simd <= 400 and rows * columns >= 100_000:
                return SparseMVAU("layer", **_STREAMS, **matrix, pe=pe, simd=simd, lanes=lanes)

    # -- the others -------------------------------------------------------------------------------------------------

    def generator(self) -> ConvolutionInputGenerator:
        stream, kernel, stride = self.stream(), self.one_of([1, 2, 3, 3, 4]), self.one_of([1, 1, 2])
        lanes = self.lanes(stream["shape"][2], 64)
        return ConvolutionInputGenerator(
            "layer", **_STREAMS, **stream, kernel=(kernel,) * 2, stride=(stride,) * 2, simd=lanes
        )

    def window(self) -> ParallelWindow:
        stream, kernel, stride = self.stream(), self.one_of([2, 3, 3]), self.one_of([1, 1, 2])
        pads = (1, 1, 1, 1) if kernel == 3 and self.random.random() < 0.8 else (0, 0, 0, 0)
        return ParallelWindow("layer", **_STREAMS, **stream, kernel=(kernel,) * 2, stride=(stride,) * 2, pads=pads)

    def padding(self) -> FMPadding:
        stream = self.stream()
        lanes = self.lanes(stream["shape"][2], 64)
        return FMPadding("layer", **_STREAMS, **stream, pads=(1, 1, 1, 1), simd=lanes)

    def pool(self) -> Pool:
        channels, window = self.one_of([8, 16, 32, 64]), self.one_of([4, 9, 16, 64])
        kind = str(self.random.choice(["max", "sum"]))
        return Pool(
            "layer", **_STREAMS, pixels=(4, 4), channels=channels, window=window, type=self.element(), function=kind,
            shift=self.one_of([0, 2]) if kind == "sum" else 0, pe=self.lanes(channels, 64),
        )  # fmt: skip

    def add_streams(self) -> AddStreams:
        stream = self.stream()
        types = stream["type"], stream["type"]
        multipliers = (1, 1) if self.random.random() < 0.7 else (self.one_of([1, 3, 5]), self.one_of([1, 2, 7, 11]))
        lanes = self.lanes(stream["shape"][2], 64)
        return AddStreams("layer", ("x", "z"), ("y",), stream["shape"], types, multipliers, pe=lanes)

    def duplicate(self) -> DuplicateStreams:
        stream, copies = self.stream(), self.one_of([2, 2, 3])
        outputs = tuple(f"y{i}" for i in range(copies))
        return DuplicateStreams(
            "layer", ("x",), outputs, **stream, copies=copies, pe=self.lanes(stream["shape"][2], 64)
        )

    def label_select(self) -> LabelSelect:
        labels, element = self.one_of([2, 10, 12, 100]), IntType.of_bits(self.one_of([8, 12, 16, 20]), signed=True)
        scaled, moved = self.random.random(2) < 0.6
        factor, reach = 1 << self.one_of([4, 8, 12, 25, 26]), 1 << self.one_of([12, 28, 36])
        return LabelSelect(
            "layer", **_STREAMS, labels=labels, input_type=element,
            multipliers=self.random.integers(1, factor, labels) if scaled else None,
            offsets=self.random.integers(-reach, reach, labels) if moved else None,
        )  # fmt: skip

    def converter(self) -> StreamingDataWidthConverter:
        stream = self.stream()
        channels = stream["shape"][2]
        wide = self.one_of([d for d in divisors(channels) if d > 1])
        narrow = self.one_of([d for d in divisors(wide) if d < wide])
        lanes = (wide, narrow) if self.random.random() < 0.5 else (narrow, wide)
        return StreamingDataWidthConverter("layer", **_STREAMS, **stream, in_lanes=lanes[0], out_lanes=lanes[1])

    def fifo(self) -> StreamingFIFO:
        stream = self.stream()
        depth = self.one_of([2, 2, 2, 3, 8, 16, 32, 50, 64, 100, 256, 1024])
        return StreamingFIFO("layer", **_STREAMS, **stream, lanes=self.lanes(stream["shape"][2], 64), depth=depth)

    def thresholding(self) -> Thresholding:
        stream, count = self.stream(), self.one_of([1, 3, 7, 15])
        element = IntType.of_bits(self.one_of([6, 8, 12]), signed=True)
        channels = stream["shape"][2]
        rows = self.one_of([1, channels])
        levels = np.sort(self.random.integers(element.lo, element.hi, (rows, count)))
        return Thresholding(
            "layer", **_STREAMS, shape=stream["shape"], input_type=element, output_type=IntType(0, count),
            thresholds=levels, pe=self.lanes(channels, 32),
        )  # fmt: skip

    def layers(self) -> list[Layer]:
        """Layers of all kinds, of the size of ResNet-8's."""
        kinds: dict[Callable[[], Layer], int] = {
            self.mvau: 80, self.unrolled: 60, self.sparse: 60, self.generator: 24, self.window: 16, self.padding: 12,
            self.pool: 16, self.add_streams: 12, self.duplicate: 8, self.label_select: 16, self.converter: 20,
            self.fifo: 30, self.thresholding: 16,
        }  # fmt: skip
        return [draw() for draw, count in kinds.items() for _ in range(count)]

    def large_layers(self) -> list[Layer]:
        """Matrices of the size of ResNet-18's."""
        kinds: dict[Callable[[], Layer], int] = {self.large_sparse: 10, self.large_mvau: 4}
        return [draw() for draw, count in kinds.items() for _ in range(count)]
