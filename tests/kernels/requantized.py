"""Layers whose thresholds are those of a quantizer with a scale, and which have the requantizer that is equal to them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from pipeline.dataflow.requantize import MOST_MULTIPLIER_BITS, WORTHWHILE_MULTIPLIER_BITS, find_requantizer
from pipeline.dataflow.types import IntType
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.threshold_search import MAX_THRESHOLDS
from pipeline.kernels.thresholding import Thresholding
from tests.kernels.matrices import matrix_layer

__all__ = ["in_dsps", "requantized", "requantized_matrix", "requantized_thresholding", "scaled_thresholds"]

L = TypeVar("L", MatrixVector, Thresholding)


def scaled_thresholds(
    lo: np.ndarray, hi: np.ndarray, scales: list[Fraction], biases: list[Fraction], count: int, lowest: int
) -> np.ndarray:
    """The thresholds of round(value · scale + bias), halves to even, a channel each; those out of reach at the ends."""
    rows = []
    for first, last, scale, bias in zip(lo.tolist(), hi.tolist(), scales, biases, strict=True):
        thresholds = []
        for level in range(lowest + 1, lowest + count + 1):
            point = (level - Fraction(1, 2) - bias) / scale
            value = -(-point.numerator // point.denominator)
            value += point.denominator == 1 and level % 2  # a half, which goes down
            thresholds.append(min(max(value, first), last + 1))
        rows.append(thresholds)
    return np.array(rows)


def requantized(layer: L) -> L:
    """`layer` with the requantizer that is found for its thresholds."""
    assert layer.thresholds is not None
    requantizer = find_requantizer(layer.thresholds, *layer.value_range(), layer.output_type.lo)
    assert requantizer is not None
    return replace(layer, requantizer=requantizer)


def _of_levels(thresholds: np.ndarray, lo: np.ndarray, hi: np.ndarray, lowest: int) -> dict[str, Any]:
    """The fields of a layer with `thresholds` and their requantizer, or with the requantizer alone, where they are many."""
    most = WORTHWHILE_MULTIPLIER_BITS if thresholds.shape[1] <= MAX_THRESHOLDS else MOST_MULTIPLIER_BITS
    requantizer = find_requantizer(thresholds, lo, hi, lowest, most)
    assert requantizer is not None
    return {"thresholds": thresholds if thresholds.shape[1] <= MAX_THRESHOLDS else None, "requantizer": requantizer}


def in_dsps(layer: L, family: str = "xcup") -> L:
    """`layer`, which has a requantizer, with its multiplications in DSPs."""
    result = layer.with_multipliers_in_dsps(family)
    assert result is not None
    return result


def _scales(lo: np.ndarray, hi: np.ndarray, count: int, power: int | None, rng: np.random.Generator) -> list[Fraction]:
    """Scales with which most of a range is quantized: powers of two less than that by up to 2^power, or any."""
    scales = []
    for reach in (hi - lo + 1).tolist():
        scale = Fraction(count + 1, reach)
        if power is None:
            scales.append(scale * int(rng.integers(700, 1400)) / 997)
        else:
            exponent = max((reach // (count + 1)).bit_length() - 1 + int(rng.integers(0, power + 1)), 0)
            scales.append(Fraction(1, 1 << exponent))
    return scales


def requantized_thresholding(
    channels: int, type_: IntType, count: int, lowest: int = 0, *, power: int | None = None, rows: int = 0, pe: int = 1
) -> Thresholding:
    """`count` thresholds a channel of 2 × 3 × `channels` by scales that are powers of two, 2^`power` apart, or any where `power` is None."""
    rng = np.random.default_rng([channels, count])
    lo, hi = np.full(rows or channels, type_.lo), np.full(rows or channels, type_.hi)
    scales = _scales(lo, hi, count, power, rng)
    middle = lowest + Fraction(count, 2) - (type_.lo + type_.hi) * scales[0] / 2
    grain = scales[0] if power is not None else Fraction(1, 991)
    biases = [round((middle + int(rng.integers(-3, 4))) / grain) * grain for _ in scales]
    thresholds = scaled_thresholds(lo, hi, scales, biases, count, lowest)
    output_type, activation = IntType(lowest, lowest + count), _of_levels(thresholds, lo, hi, lowest)
    return Thresholding("layer", ("x",), ("y",), (2, 3, channels), type_, output_type, pe=pe, **activation)


def requantized_matrix(
    kind: type[MatrixVector],
    mh: int,
    mw: int,
    input_type: IntType,
    weight_bits: int,
    count: int,
    *,
    power: int | None = None,
    output_lo: int = 0,
    bias: bool = False,
    density: float = 1.0,
    **fields,
) -> MatrixVector:
    """A `matrix_layer` with `count` thresholds by a scale a row."""
    sums = matrix_layer(MVAU, mh, mw, input_type, weight_bits, bias=bias, density=density)
    lo, hi = sums.accumulator_range()
    rng = np.random.default_rng([mh, mw, count])
    scales = _scales(lo, hi, count, power, rng)
    middles = [output_lo + Fraction(count, 2) - int(a + b) * s / 2 for a, b, s in zip(lo, hi, scales, strict=True)]
    grains = scales if power is not None else [Fraction(1, 991)] * mh
    biases = [round(middle / grain) * grain for middle, grain in zip(middles, grains, strict=True)]
    thresholds = scaled_thresholds(lo, hi, scales, biases, count, output_lo)
    activation = _of_levels(thresholds, lo, hi, output_lo)
    return kind(
        "layer", ("x",), ("y",), sums.weights, input_type, IntType(output_lo, output_lo + count), (2, 3),
        bias=sums.bias, accumulator_bits=sums.exact_accumulator_bits(), **activation, **fields,
    )  # fmt: skip
