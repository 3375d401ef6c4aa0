"""How far an accumulator can go, and the bits that hold it. Integers only: no float ever decides a width.

For one output channel with weights w (K of them, M bits), inputs x of N bits in [xmin, xmax] and a start value b:

    exact     [b + Σ min(w·xmin, w·xmax), b + Σ max(w·xmin, w·xmax)]: both ends are reached, so no width below is safe
    l1        |Σ w·x| ≤ ‖w‖₁ · 2^(N − signed)                          A2Q, arXiv 2308.13504
    a2q_plus  |Σ w·x| ≤ ‖w‖₁ · (2^N − 1) / 2, where Σ w = 0            A2Q+, arXiv 2401.10432
    datatype  |Σ w·x| ≤ K · 2^(M − 1) · 2^(N − signed)                 the l1 bound of the worst weights of M bits

`signed` is 1 for inputs that can be negative, else 0. A bound on the magnitude, |b| added, is held by the smallest P
with 2^(P − 1) − 1 at or above it.

The proof the hardware rests on: two's-complement addition of P bits is addition modulo 2^P. So if the exact range of
the final sum fits P bits, every order of summation ends at the exact sum, also where a partial sum has wrapped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.dataflow.types import IntType

__all__ = ["BOUNDS", "RowBounds", "exact_range", "l1_norms", "magnitude_bits", "range_bits", "row_bounds"]

BOUNDS = ("exact", "l1", "a2q_plus", "datatype")  # the fields of RowBounds that are widths

_INT64_MAX = (1 << 63) - 1


@dataclass(frozen=True)
class RowBounds:
    """The width of one output channel by each bound. Widths are in bits, two's complement, the start value included."""

    lo: int
    hi: int
    l1_norm: int
    weight_sum: int
    exact: int
    l1: int
    a2q_plus: int | None  # None: the weights do not sum to zero, so the bound does not apply
    datatype: int


def range_bits(lo: int, hi: int) -> int:
    """The fewest bits, two's complement, that hold every integer from `lo` to `hi`.

    >>> range_bits(-8, 7), range_bits(-8, 8), range_bits(0, 0), range_bits(0, 1), range_bits(-1, 0)
    (4, 5, 1, 2, 1)
    """
    if lo > hi:
        raise ValueError(f"an empty range: {lo} to {hi}")
    return max(_negative_bits(lo), _positive_bits(hi))


def magnitude_bits(magnitude: int) -> int:
    """The smallest P with 2^(P − 1) − 1 ≥ `magnitude`: what holds every integer from −magnitude to magnitude.

    >>> [magnitude_bits(m) for m in (0, 1, 7, 8)]
    [1, 2, 4, 5]
    """
    return _positive_bits(magnitude)


def exact_range(
    weights: np.ndarray, input_type: IntType, bias: np.ndarray | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The smallest and the largest sum of each row of `weights` (MH, MW), from the start values `bias` (MH,).

    Both ends are reached by the inputs of `pipeline.accumulators.witness`.
    """
    exact = _wide_enough(weights, input_type, bias)
    positive = np.maximum(exact, 0).sum(axis=1)
    negative = exact.sum(axis=1) - positive
    start = 0 if bias is None else bias.astype(exact.dtype)
    lo = positive * input_type.lo + negative * input_type.hi + start
    hi = positive * input_type.hi + negative * input_type.lo + start
    return tuple(map(int, lo)), tuple(map(int, hi))


def l1_norms(weights: np.ndarray) -> tuple[int, ...]:
    """‖w‖₁ of each row of `weights` (MH, MW)."""
    return tuple(map(int, np.abs(_wide_enough(weights, IntType(0, 1), None)).sum(axis=1)))


def row_bounds(
    weights: np.ndarray, input_type: IntType, weight_bits: int, bias: np.ndarray | None = None
) -> tuple[RowBounds, ...]:
    """Every bound for every row of `weights` (MH, MW), integers of `weight_bits` bits."""
    n, signed = input_type.bits, int(input_type.signed)
    worst = weights.shape[1] << (weight_bits - 1)
    starts = [0] * len(weights) if bias is None else [abs(int(b)) for b in bias]
    sums = tuple(map(int, _wide_enough(weights, IntType(0, 1), None).sum(axis=1)))
    any_start = magnitude_bits(max(starts))  # the data type of the start values; 1 bit where there are none
    start_limit = 0 if any_start == 1 else 1 << (any_start - 1)
    return tuple(
        RowBounds(
            lo=lo,
            hi=hi,
            l1_norm=norm,
            weight_sum=total,
            exact=range_bits(lo, hi),
            l1=magnitude_bits((norm << (n - signed)) + start),
            # Σ w = 0 makes ‖w‖₁ even, so that the division is exact
            a2q_plus=magnitude_bits(norm // 2 * ((1 << n) - 1) + start) if total == 0 else None,
            datatype=magnitude_bits((worst << (n - signed)) + start_limit),
        )
        for lo, hi, norm, total, start in zip(
            *exact_range(weights, input_type, bias), l1_norms(weights), sums, starts, strict=True
        )
    )


def _positive_bits(value: int) -> int:
    return max(value, 0).bit_length() + 1


def _negative_bits(value: int) -> int:
    return (~value).bit_length() + 1 if value < 0 else 1


def _wide_enough(weights: np.ndarray, input_type: IntType, bias: np.ndarray | None) -> np.ndarray:
    """`weights` as int64 where no product and no sum can overflow it, else as Python integers."""
    largest = max(abs(int(weights.min())), abs(int(weights.max())))
    reach = max(abs(input_type.lo), abs(input_type.hi))
    start = 0 if bias is None else max(abs(int(bias.min())), abs(int(bias.max())))
    fits = weights.shape[1] * largest * reach + start <= _INT64_MAX
    return weights.astype(np.int64 if fits else object, copy=False)
