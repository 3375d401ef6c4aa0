"""What requantizers save: an 8-bit layer counted by Yosys, and 8-bit networks at their rates by the estimates of folding.

The layer is 128 × 128 with one multiplier. The networks have the shapes of MobileNetV1 (0.25, 96 × 96, as visual wake words
has it) and of ResNet-20, weights of 8 bits that are drawn, and scales that are powers of two, rounded half to even.
Depthwise convolutions are matrices that are zero but for their channel. `--any-scales` draws scales that are no powers of
two. `--drawn` counts so many layers of thresholds alone, which are drawn, with requantizers and without, and says how far
their estimates are off. Takes some minutes.
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
from pipeline.folding.estimate import ResourceModel
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


def thresholds_of(
    steps: np.ndarray, offsets: np.ndarray, lo: np.ndarray, hi: np.ndarray, count: int = _LEVELS
) -> np.ndarray:
    """The thresholds of (value + offset) / step, a row each, rounded half to even; those out of reach at the ends."""
    levels = np.arange(1, count + 1)
    points = (levels - 0.5) * steps[:, None] - offsets[:, None]
    first = np.ceil(points).astype(int) + ((points == np.ceil(points)) & (levels % 2 == 1))
    return np.clip(first, lo[:, None], hi[:, None] + 1)


def matrix(
    rng: np.random.Generator, weights: np.ndarray, pixels: tuple[int, int], name: str, *ends: str, powers: bool = True
) -> MVAU:
    """A layer of `weights`, with thresholds for sums of the size that drawn inputs give, at steps that are powers of two
    or any."""
    lows, highs = exact_range(weights, _UINT8)
    lo, hi = np.array(lows), np.array(highs)
    usual = 2 * 64 * np.sqrt((weights.astype(float) ** 2).sum(axis=1))  # of inputs of half the range
    steps = np.full(len(weights), 2.0 ** max(int(np.log2(usual.max() / _LEVELS)), 0))
    if not powers:
        steps *= rng.uniform(0.7, 1.4, len(weights))
    thresholds = thresholds_of(steps, rng.integers(-1000, 1000, len(weights)), lo, hi)
    return MVAU(name, ends[:1], ends[1:], weights, _UINT8, _UINT8, pixels, thresholds)


class Network:
    """Layers of 8-bit convolutions, one after the other."""

    def __init__(self, shape: Shape, seed: int, *, powers: bool) -> None:
        self.powers = powers
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
        self.layers.append(
            matrix(self.rng, weights.reshape(channels, -1), (rows, columns), name, before, after, powers=self.powers)
        )
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
        thresholds = thresholds_of(np.array([2.0]), np.array([0]), *ends)
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


def mobilenet(*, powers: bool = True) -> LayerGraph:
    network = Network((96, 96, 3), 1, powers=powers)
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


def resnet20(*, powers: bool = True) -> LayerGraph:
    network = Network((32, 32, 3), 2, powers=powers)
    network.convolution(16, 3)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        for index in range(3):
            network.block(channels, stride if index == 0 else 1)
    return network.classifier("ResNet-20 a8w8", 10)


def _count(console: Console, families: Sequence[str], cache: Path, *, powers: bool) -> None:
    rng = np.random.default_rng(0)
    weights = np.clip(np.rint(rng.normal(0, 40, (128, 128))), -127, 127).astype(int)
    layer = matrix(rng, weights, (1, 1), "MVAU_0", "x", "y", powers=powers)
    requantized = layer.with_requantizer()
    assert isinstance(requantized, MVAU) and requantized.requantizer
    table = Table("family", "", "LUT", "FF", "BRAM 18K", "DSP", box=None)
    for family in families:
        units = {"thresholds": layer, "requantizer": requantized}
        if requantized.scales and (in_dsps := requantized.with_multipliers_in_dsps(family)):
            units["requantizer in DSPs"] = in_dsps
        for how, used in zip(units, synth.count(list(units.values()), family, cache=cache), strict=True):
            table.add_row(family, how, f"{used.lut:,}", f"{used.ff:,}", f"{used.bram_18k:g}", f"{used.dsp:g}")
    bits = requantized.requantizer.multiplier_bits
    console.print(f"128 × 128, one multiplier of 8 × 8 bits; the requantizer's multipliers have {bits} bits")
    console.print(table)


def drawn(rng: np.random.Generator) -> Thresholding:
    """Thresholds of up to 8 bits, at steps that are one power of two, several, or any."""
    element = IntType.of_bits(int(rng.integers(10, 24)), signed=True)
    folds, pe = int(rng.choice([1, 8, 16, 64, 128])), int(rng.choice([1, 1, 2, 4]))
    count = int(rng.choice([15, 63, 255]))
    steps = np.full(folds * pe, 2.0 ** (element.bits - 2) / (count + 1))
    kind = rng.choice(["one power", "powers", "any"])
    if kind == "powers":
        steps *= 2.0 ** rng.integers(0, 4, len(steps))
    if kind == "any":
        steps *= rng.uniform(0.7, 1.4, len(steps))
    lo, hi = np.full(len(steps), element.lo), np.full(len(steps), element.hi)
    offsets = (rng.integers(-20, 20, len(steps)) * np.maximum(steps, 1)).astype(int)
    thresholds = thresholds_of(np.maximum(steps, 1), offsets, lo, hi, count)
    return Thresholding("layer", ("x",), ("y",), (1, 1, folds * pe), element, IntType(0, count), thresholds, pe)


def _drawn(console: Console, number: int, cache: Path, family: str = "xcup") -> None:
    rng, model = np.random.default_rng(4), ResourceModel.load(family)
    plain = [drawn(rng) for _ in range(number)]
    pairs = [(layer, other) for layer in plain if (other := layer.with_requantizer())]
    counts = synth.count([one for pair in pairs for one in pair], family, cache=cache)
    table = Table(
        "bits", "thresholds", "channels", "lanes", "multipliers", "LUT", "estimated", "searched", "est.", box=None
    )
    errors, sides = [], 0
    for index, (layer, other) in enumerate(pairs):
        assert isinstance(other, Thresholding) and other.requantizer
        estimates = [model.layer(one).lut for one in (layer, other)]
        searched, counted = (used.lut for used in counts[2 * index : 2 * index + 2])
        errors.append(abs(estimates[1] / counted - 1))
        sides += (estimates[1] < 0.97 * estimates[0]) and counted > searched
        row = [
            layer.input_type.bits,
            layer.thresholds.shape[1],
            layer.shape[2],
            layer.pe,
            other.requantizer.multiplier_bits,
        ]
        table.add_row(*map(str, row), *(f"{lut:,.0f}" for lut in (counted, estimates[1], searched, estimates[0])))
    console.print(table)
    console.print(
        f"estimates of {len(pairs)} requantizers: {np.median(errors):.1%} off in the median, {max(errors):.1%} at worst; "
        f"{sides} that take more than the search are estimated to take less"
    )


def _estimate(console: Console, graph: LayerGraph, rates: Sequence[float], board_name: str) -> None:
    board = load_board(board_name)
    columns = ("network", "frames/s", "thresholds", "multipliers", "LUT", "of the board", "BRAM", "DSP", "requantizers")
    table = Table(*columns, box=None)
    for rate in rates:
        for style, multiplier in (("thresholds", "lut"), ("auto", "lut"), ("auto", "auto")):
            folded = fold(
                graph, cycle_budget(rate, _CLOCK_NS), mvau_style="auto", activation_style=style,
                scale_multiplier=multiplier, board=board,
            )  # fmt: skip
            total = sum(folded.estimates.values(), Resources())
            share = f"{total.lut / board.capacity.lut:.1%}"
            units = sum(getattr(layer, "thresholds", None) is not None for layer in folded.graph)
            replaced = f"{len(folded.requantized)} of {units}"
            names = (graph.name, f"{rate:g}", style, multiplier)
            table.add_row(*names, f"{total.lut:,.0f}", share, f"{total.bram_36k:g}", f"{total.dsp:g}", replaced)
    console.print(table)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=("xcup", "xc7"), action="append", help="default: xcup")
    parser.add_argument("--board", default="KV260")
    parser.add_argument("--any-scales", action="store_true", help="scales of networks that are no powers of two")
    parser.add_argument("--drawn", type=int, default=0, metavar="NUMBER", help="layers of thresholds alone to count")
    parser.add_argument("--estimates-only", action="store_true", help="do not have Yosys count the layer")
    options = parser.parse_args()
    console = Console(width=140)
    if not options.estimates_only:
        with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
            _count(console, options.family or ["xcup"], Path(scratch), powers=not options.any_scales)
            if options.drawn:
                _drawn(console, options.drawn, Path(scratch))
    powers = not options.any_scales
    _estimate(console, mobilenet(powers=powers), (200, 400), options.board)
    _estimate(console, resnet20(powers=powers), (1000, 2000), options.board)


if __name__ == "__main__":
    _main()
