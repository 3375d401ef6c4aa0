"""Makes coefficients.json: draws layers of every kind, has Yosys count them, and solves for the factors of the model.

    python -m benchmarks.estimator.calibrate

The factors are those that leave the least sum of squared relative errors, none of them negative. The errors that are
stated are those on layers that had no part in the fit, a fifth of them at a time; docs/estimator.md publishes them. Takes
more than an hour for a family on two cores; what Yosys counted is kept in the folder --cache, so that a run goes on where
it was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.progress import Progress
from scipy.optimize import nnls

from benchmarks.estimator import drawn, published
from benchmarks.estimator.published import ESTIMATOR_CSV, LeftOut, relative
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.roles import Accumulating
from pipeline.devices.boards import load_board
from pipeline.devices.resources import Resources
from pipeline.finn.estimate import estimate
from pipeline.folding.estimate import COEFFICIENTS
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.synthesis import synth
from pipeline.tools import yosys

_PARTS = 5  # of the layers of a kind; each is predicted from the others
_BOARDS = {"xcup": "KV260", "xc7": "Pynq-Z1"}  # whose part FINN is asked about


@dataclass(frozen=True, eq=False)
class Fit:
    """A kind of layer in a family: the entry of coefficients.json, and each layer when it was left out."""

    entry: dict[str, Any]
    left_out: list[LeftOut]


def fit(layers: Sequence[Layer], counted: Sequence[Resources], family: str, large: int = 0) -> Fit:
    """The factors of LUTs and flip-flops of `layers` of one kind, of which the last `large` ones are large."""
    demands = [layer.demand(family) for layer in layers]
    names = sorted({name for demand in demands for name in demand.terms})
    terms = np.array([[demand.terms.get(name, 0.0) for name in names] for demand in demands])
    entry: dict[str, Any] = {"layers": len(layers), "large": large}
    predicted: dict[str, np.ndarray] = {}
    for resource in ("lut", "ff"):
        counts = np.array([getattr(count, resource) for count in counted], float)
        known = np.array([getattr(demand, resource) for demand in demands], float)  # needs no factor
        factors = _solved(terms, counts, known)
        predicted[resource] = _left_out(terms, counts, known).round(1)
        entry[resource] = {n: round(float(f), 5) for n, f in zip(names, factors, strict=True) if f > 1e-5}
        errors = [relative(*pair) for pair in zip(predicted[resource], counts, strict=True)]
        entry[f"{resource}_error"] = {"median": round(float(median(errors)), 4), "worst": round(float(max(errors)), 4)}
    entry["bram_18k_wrong"] = sum(
        wanted.bram_18k != count.bram_18k for wanted, count in zip(demands, counted, strict=True)
    )
    board = load_board(_BOARDS[family])
    rows = []
    for layer, count, lut, ff in zip(layers, counted, predicted["lut"], predicted["ff"], strict=True):
        weights = layer.weights.size if isinstance(layer, Accumulating) else 0
        first = next(((unit, taken.lut) for unit, taken in estimate(layer, board).items()), ("", 0))
        rows.append(
            LeftOut(
                family, layer.op_type, _described(layer), weights, count.lut, float(lut), count.ff, float(ff), *first
            )
        )
    return Fit(entry, rows)


def _solved(terms: np.ndarray, counts: np.ndarray, known: np.ndarray) -> np.ndarray:
    weight = 1 / np.maximum(counts, published.SMALL)
    scale = np.maximum(np.abs(terms).max(axis=0), 1e-9)
    return nnls(terms * weight[:, None] / scale, (counts - known) * weight)[0] / scale


def _left_out(terms: np.ndarray, counts: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What is predicted of each layer by the factors that the layers of other parts give."""
    part = np.arange(len(counts)) % _PARTS
    predicted = np.empty(len(counts))
    for index in range(_PARTS):
        predicted[part == index] = terms[part == index] @ _solved(*(of[part != index] for of in (terms, counts, known)))
    return predicted + known


def _described(layer: Layer) -> str:
    """The sizes that a reader compares layers by."""
    if isinstance(layer, Accumulating):
        rows, columns = layer.weights.shape
        matrix = f"{rows} x {columns} {layer.weight_type.name} times {layer.input_type.name}"
        several = _given(layer, ("m",)) if getattr(layer, "m", 1) > 1 else []
        taps = _given(layer, ("taps",)) if getattr(layer, "taps", 1) > 1 else []
        return ", ".join([matrix, *_given(layer, ("pe", "simd", "lanes", "digits")), *several, *taps])
    shape = "x".join(map(str, layer.inputs()[0].shape))
    return ", ".join([f"{shape} {layer.inputs()[0].type.name}", *_given(layer, ("pe", "simd", "lanes", "depth"))])


def _given(layer: Layer, names: Sequence[str]) -> list[str]:
    return [f"{name} {getattr(layer, name)}" for name in names if hasattr(layer, name)]


def _by_kind(layers: Sequence[Layer]) -> dict[str, list[Layer]]:
    kinds: dict[str, list[Layer]] = {}
    for layer in layers:
        kinds.setdefault(layer.op_type, []).append(layer)
    return kinds


def _chosen(seed: int, every: int, family: str, large: Mapping[str, Sequence[Layer]]) -> dict[str, list[Layer]]:
    """One in `every` of the drawn layers, those of several pixels that the DSPs of `family` hold, and behind them the `large`
    ones, by kind."""
    several = [
        layer
        for layer in drawn.side_by_side_layers((seed, 2))
        if not isinstance(layer, DspMVAU) or layer.family == family
    ]
    return _by_kind([*drawn.layers(seed)[::every], *several, *(layer for alike in large.values() for layer in alike)])


def _counted(
    kinds: Mapping[str, Sequence[Layer]], family: str, cache: Path, workers: int
) -> dict[str, list[Resources]]:
    layers = [layer for alike in kinds.values() for layer in alike]
    with Progress() as progress:
        task = progress.add_task(f"{family}: layers synthesized", total=len(layers))
        counts = synth.count(
            layers, family, cache=cache, workers=workers,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    result, rest = {}, iter(counts)
    for kind, alike in kinds.items():
        result[kind] = [next(rest) for _ in alike]
    return result


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=yosys.FAMILIES, action="append", help="default: all")
    parser.add_argument("--kind", action="append", help="a kind of layer, such as MVAU; the others stay; default: all")
    parser.add_argument("--cache", type=Path, default=Path("build/.a2q-cache/resource_model"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=2, help="fit to one in so many of the drawn layers")
    options = parser.parse_args()
    large = _by_kind(drawn.large_layers((options.seed, 1)))
    content = json.loads(COEFFICIENTS.read_text())
    rows = published.read(ESTIMATOR_CSV) if ESTIMATOR_CSV.is_file() else []
    families = options.family or yosys.FAMILIES
    for family in families:
        kinds = {
            kind: alike
            for kind, alike in _chosen(options.seed, options.every, family, large).items()
            if not options.kind or kind in options.kind
        }
        counted = _counted(kinds, family, options.cache, options.workers)
        for kind, layers in kinds.items():
            fitted = fit(layers, counted[kind], family, len(large.get(kind, [])))
            content["families"][family][kind] = fitted.entry
            rows = [row for row in rows if (row.family, row.kind) != (family, kind)] + fitted.left_out
    content["method"] = (
        f"non-negative least squares of relative errors on drawn layers (seed {options.seed}) that Yosys (pyosys "
        f"{yosys.version()}) counted, as many of a kind as `layers` says; errors on layers left out of the fit"
    )
    if not options.kind:  # what is said of older counts holds no longer
        content["notes"] = {name: note for name, note in content["notes"].items() if name not in families}
    COEFFICIENTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    published.write(sorted(rows, key=lambda row: (row.family, row.kind)), ESTIMATOR_CSV)
    published.publish()


if __name__ == "__main__":
    _main()
