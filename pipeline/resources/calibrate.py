"""Makes coefficients.json: draws layers of every kind, has Yosys count them, and solves for the factors of the model.

    python -m pipeline.resources.calibrate

The factors are those that leave the least sum of squared relative errors, none of them negative. The errors that are
stated are those on layers that had no part in the fit, a fifth of them at a time. Takes about an hour for a family on
two cores; what Yosys counted is kept in the folder --cache, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy.optimize import nnls

from pipeline.dataflow.folding import divisors
from pipeline.dataflow.types import IntType
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.base import Kernel
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
from pipeline.resources.demand import csd_digits, demand
from pipeline.resources.model import COEFFICIENTS
from pipeline.stages import synth
from pipeline.tools import yosys

_PARTS = 5  # of the layers of a kind; each is predicted from the others
_FLOOR = 20  # LUTs or flip-flops below which an error counts as if there were as many
_STREAMS = {"inputs": ("x",), "outputs": ("y",)}


class Drawn:
    """Layers of each kind, as networks have them."""

    def __init__(self, seed: int) -> None:
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

    def matrix(self, most_digits: int) -> dict[str, Any]:
        """What all MatrixVectors have: weights within the bound of some accumulator, or without one."""
        while True:
            element = self.element()
            rows = self.one_of([8, 10, 16, 16, 24, 32, 32, 64])
            columns = self.one_of([3, 8, 16, 32, 64]) * self.one_of([1, 9, 9])
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
        return LabelSelect(
            "layer", **_STREAMS, labels=labels, input_type=element,
            multipliers=self.random.integers(1, 1 << self.one_of([4, 8, 12]), labels) if scaled else None,
            offsets=self.random.integers(-(1 << 12), 1 << 12, labels) if moved else None,
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

    def layers(self) -> list[Kernel]:
        """All that the model is fitted to."""
        kinds: dict[Callable[[], Kernel], int] = {
            self.mvau: 80, self.unrolled: 60, self.sparse: 60, self.generator: 24, self.window: 16, self.padding: 12,
            self.pool: 16, self.add_streams: 12, self.duplicate: 8, self.label_select: 16, self.converter: 20,
            self.fifo: 30, self.thresholding: 16,
        }  # fmt: skip
        return [draw() for draw, count in kinds.items() for _ in range(count)]


def _solved(terms: np.ndarray, counts: np.ndarray) -> np.ndarray:
    weight = 1 / np.maximum(counts, _FLOOR)
    scale = np.maximum(np.abs(terms).max(axis=0), 1e-9)
    return nnls(terms * weight[:, None] / scale, counts * weight)[0] / scale


def _fitted(terms: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The factors, and each layer's relative error when it is left out."""
    part = np.arange(len(counts)) % _PARTS
    predicted = np.empty(len(counts))
    for left_out in range(_PARTS):
        predicted[part == left_out] = terms[part == left_out] @ _solved(
            terms[part != left_out], counts[part != left_out]
        )
    return _solved(terms, counts), np.abs(predicted - counts) / np.maximum(counts, _FLOOR)


def fit(layers: Sequence[Kernel], counted: Sequence[yosys.Utilization], family: str) -> dict[str, Any]:
    """The entry of `family`: by kind the factors of LUTs and flip-flops, how many layers, and the errors."""
    result: dict[str, Any] = {}
    demands = [demand(layer, family) for layer in layers]
    for kind in sorted({layer.op_type for layer in layers}):
        chosen = [i for i, layer in enumerate(layers) if layer.op_type == kind]
        names = sorted({name for i in chosen for name in demands[i].terms})
        terms = np.array([[demands[i].terms.get(name, 0.0) for name in names] for i in chosen])
        own: dict[str, Any] = {"layers": len(chosen)}
        for resource in ("lut", "ff"):
            counts = np.array([getattr(counted[i], resource) for i in chosen], float)
            factors, errors = _fitted(terms, counts)
            own[resource] = {n: round(float(f), 5) for n, f in zip(names, factors, strict=True) if f > 1e-5}
            own[f"{resource}_error"] = {
                "median": round(float(np.median(errors)), 4),
                "worst": round(float(errors.max()), 4),
            }
        blocks = [abs(demands[i].bram_18k - counted[i].bram_18k) for i in chosen]
        own["bram_18k_wrong"] = sum(difference > 0 for difference in blocks)
        result[kind] = own
    return result


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=yosys.FAMILIES, action="append", help="default: all")
    parser.add_argument("--cache", type=Path, default=Path("build/.cache/resource_model"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=2, help="fit to one in so many of the drawn layers")
    options = parser.parse_args()
    layers = Drawn(options.seed).layers()[:: options.every]
    content = json.loads(COEFFICIENTS.read_text()) if COEFFICIENTS.is_file() else {"families": {}}
    for family in options.family or yosys.FAMILIES:
        with Progress() as progress:
            task = progress.add_task(f"{family}: layers synthesized", total=len(layers))
            counted = synth.count(
                layers, family, cache=options.cache, workers=options.workers,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),  # noqa: B023
            )  # fmt: skip
        content["families"][family] = fit(layers, counted, family)
        table = Table(
            f"{family}, left out of the fit",
            "layers",
            "LUT median",
            "worst",
            "FF median",
            "worst",
            "BRAM wrong",
            box=None,
        )
        for kind, own in content["families"][family].items():
            errors = (own[f"{what}_error"][which] for what in ("lut", "ff") for which in ("median", "worst"))
            table.add_row(kind, str(own["layers"]), *(f"{error:.1%}" for error in errors), str(own["bram_18k_wrong"]))
        Console().print(table)
    content["method"] = (
        f"non-negative least squares of relative errors on drawn layers (seed {options.seed}) that Yosys (pyosys "
        f"{yosys.version()}) counted, as many of a kind as `layers` says; errors on layers left out of the fit"
    )
    COEFFICIENTS.write_text(json.dumps({"method": content["method"], "families": content["families"]}, indent=1) + "\n")


if __name__ == "__main__":
    _main()
