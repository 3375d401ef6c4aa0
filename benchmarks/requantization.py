"""What requantizers save: an 8-bit layer counted by Yosys, and 8-bit networks at their rates by the estimates of folding.

The layer is 128 × 128 with one multiplier. The networks have the shapes of MobileNetV1 (0.25, 96 × 96, as visual wake words
has it) and of ResNet-20, weights of 8 bits that are drawn, and scales that are powers of two, rounded half to even.
Depthwise convolutions are matrices that are zero but for their channel. Takes some minutes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.dataflow.bounds import exact_range
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer, Shape
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import load_board
from pipeline.devices.resources import Resources
from pipeline.folding.activations import with_requantizer
from pipeline.folding.fold import cycle_budget, fold
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool
from pipeline.kernels.thresholding import Thresholding
from pipeline.synthesis import synth

_UINT8, _LEVELS = IntType(0, 255), 255
_CLOCK_NS = 5.0


def thresholds_of(shift: np.ndarray, offsets: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """The thresholds of (value + offset) / 2^shift, a row each, rounded half to even; those out of reach at the ends."""
    levels = np.arange(1, _LEVELS + 1)
    first = (levels << shift[:, None]) - (1 << shift[:, None] >> 1) + levels % 2 - offsets[:, None]
    return np.clip(first, lo[:, None], hi[:, None] + 1)


def matrix(rng: np.random.Generator, weights: np.ndarray, pixels: tuple[int, int], name: str, *ends: str) -> MVAU:
    """A layer of `weights`, with thresholds by powers of two for sums of the size that drawn inputs give."""
    lows, highs = exact_range(weights, _UINT8)
    lo, hi = np.array(lows), np.array(highs)
    usual = 2 * 64 * np.sqrt((weights.astype(float) ** 2).sum(axis=1))  # of inputs of half the range
    shift = np.full(len(weights), max(int(np.log2(usual.max() / _LEVELS)), 0))
    thresholds = thresholds_of(shift, rng.integers(-1000, 1000, len(weights)), lo, hi)
    return MVAU(name, ends[:1], ends[1:], weights, _UINT8, _UINT8, pixels, thresholds)


class Network:
    """Layers of 8-bit convolutions, one after the other."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.layers: list[Layer] = []
        self.shape, self.stream = shape, "in"

    def _next(self, kind: type[Layer]) -> tuple[str, str, str]:
        """Name, input and output of the next layer of a kind."""
        count = sum(layer.op_type == kind.op_type for layer in self.layers)
        name = f"{kind.op_type}_{count}"
        before, self.stream = self.stream, f"{name}_out"
        return name, before, self.stream

    def convolution(self, channels: int, kernel: int, stride: int = 1, *, depthwise: bool = False) -> None:
        height, width, inputs = self.shape
        if pad := kernel // 2:
            name, before, after = self._next(FMPadding)
            self.layers.append(FMPadding(name, (before,), (after,), self.shape, _UINT8, (pad,) * 4))
        rows, columns = (-(-size // stride) for size in (height, width))
        if kernel > 1 or stride > 1:
            name, before, after = self._next(ConvolutionInputGenerator)
            padded = (height + 2 * pad, width + 2 * pad, inputs)
            window = ((kernel, kernel), (stride, stride))
            self.layers.append(ConvolutionInputGenerator(name, (before,), (after,), padded, _UINT8, *window))
        weights = np.clip(np.rint(self.rng.normal(0, 40, (channels, kernel * kernel, inputs))), -127, 127).astype(int)
        if depthwise:
            weights *= np.eye(channels, dtype=int)[:, None, :]
        name, before, after = self._next(MVAU)
        self.layers.append(matrix(self.rng, weights.reshape(channels, -1), (rows, columns), name, before, after))
        self.shape = rows, columns, channels

    def block(self, channels: int, stride: int) -> None:
        """A residual block of two convolutions of 3 × 3, of 1 × 1 in the shortcut where the shape changes."""
        name, before, _ = self._next(DuplicateStreams)
        copies = (f"{name}_main", f"{name}_shortcut")
        self.layers.append(DuplicateStreams(name, (before,), copies, self.shape, _UINT8, 2))
        shape, self.stream = self.shape, copies[1]
        if stride > 1 or shape[2] != channels:
            self.convolution(channels, 1, stride)
        shortcut, self.shape, self.stream = self.stream, shape, copies[0]
        self.convolution(channels, 3, stride)
        self.convolution(channels, 3)
        main = self.stream
        name, _, after = self._next(AddStreams)
        self.layers.append(AddStreams(name, (main, shortcut), (after,), self.shape, (_UINT8, _UINT8)))
        sums = IntType(0, 2 * _UINT8.hi)
        ends = np.array([sums.lo]), np.array([sums.hi])
        thresholds = thresholds_of(np.array([1]), np.array([0]), *ends)
        name, before, after = self._next(Thresholding)
        self.layers.append(Thresholding(name, (before,), (after,), self.shape, sums, _UINT8, thresholds))

    def classifier(self, name: str, classes: int) -> LayerGraph:
        """The mean of all pixels, a matrix and the largest class."""
        height, width, channels = self.shape
        window, before, after = self._next(ConvolutionInputGenerator)
        kernel = (height, width)
        self.layers.append(ConvolutionInputGenerator(window, (before,), (after,), self.shape, _UINT8, kernel, (1, 1)))
        pool, before, after = self._next(Pool)
        shift = (height * width - 1).bit_length()
        self.layers.append(Pool(pool, (before,), (after,), (1, 1), channels, height * width, _UINT8, "sum", shift))
        mean = self.layers[-1].outputs()[0].type
        weights = self.rng.integers(-127, 128, (classes, channels))
        lows, highs = exact_range(weights, mean)
        scores = IntType(min(lows), max(highs))
        dense, before, after = self._next(MVAU)
        self.layers.append(MVAU(dense, (before,), (after,), weights, mean, scores, (1, 1)))
        label, before, after = self._next(LabelSelect)
        self.layers.append(LabelSelect(label, (before,), (after,), classes, scores))
        return LayerGraph(name, tuple(self.layers), "in", after)


def mobilenet() -> LayerGraph:
    network = Network((96, 96, 3), 1)
    network.convolution(8, 3, 2)
    for channels, stride in (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *[(128, 1)] * 5,
        (256, 2),
        (256, 1),
    ):
        network.convolution(network.shape[2], 3, stride, depthwise=True)
        network.convolution(channels, 1)
    return network.classifier("MobileNetV1 VWW a8w8", 2)


def resnet20() -> LayerGraph:
    network = Network((32, 32, 3), 2)
    network.convolution(16, 3)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        for index in range(3):
            network.block(channels, stride if index == 0 else 1)
    return network.classifier("ResNet-20 a8w8", 10)


def _count(console: Console, families: Sequence[str], cache: Path) -> None:
    rng = np.random.default_rng(0)
    weights = np.clip(np.rint(rng.normal(0, 40, (128, 128))), -127, 127).astype(int)
    layer = matrix(rng, weights, (1, 1), "MVAU_0", "x", "y")
    requantized = with_requantizer(layer)
    assert isinstance(requantized, MVAU) and requantized.requantizer
    table = Table("family", "", "LUT", "FF", "BRAM 18K", box=None)
    for family in families:
        for how, used in zip(
            ("thresholds", "requantizer"), synth.count([layer, requantized], family, cache=cache), strict=True
        ):
            table.add_row(family, how, f"{used.lut:,}", f"{used.ff:,}", f"{used.bram_18k:g}")
    bits = requantized.requantizer.multiplier_bits
    console.print(f"128 × 128, one multiplier of 8 × 8 bits; the requantizer's multipliers have {bits} bits")
    console.print(table)


def _estimate(console: Console, graph: LayerGraph, rates: Sequence[float], board_name: str) -> None:
    board = load_board(board_name)
    table = Table("network", "frames/s", "thresholds", "LUT", "of the board", "BRAM", "requantizers", box=None)
    for rate in rates:
        for style in ("thresholds", "auto"):
            folded = fold(graph, cycle_budget(rate, _CLOCK_NS), mvau_style="auto", activation_style=style, board=board)
            total = sum(folded.estimates.values(), Resources())
            share = f"{total.lut / board.capacity.lut:.1%}"
            units = sum(getattr(layer, "thresholds", None) is not None for layer in folded.graph)
            replaced = f"{len(folded.requantized)} of {units}"
            table.add_row(graph.name, f"{rate:g}", style, f"{total.lut:,.0f}", share, f"{total.bram_36k:g}", replaced)
    console.print(table)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=("xcup", "xc7"), action="append", help="default: xcup")
    parser.add_argument("--board", default="KV260")
    parser.add_argument("--estimates-only", action="store_true", help="do not have Yosys count the layer")
    options = parser.parse_args()
    console = Console(width=140)
    if not options.estimates_only:
        with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
            _count(console, options.family or ["xcup"], Path(scratch))
    _estimate(console, mobilenet(), (200, 400), options.board)
    _estimate(console, resnet20(), (1000, 2000), options.board)


if __name__ == "__main__":
    _main()
