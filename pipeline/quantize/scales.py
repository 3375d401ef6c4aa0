"""The scales of quantizers: of weights for a channel or a tensor, of activations from what a network was seen to compute.

    minmax  the largest magnitude is the last integer
    mse     the scale, of 81 from a fifth of that one up to it, with the least Σ |error|^2.4
    aciq    the clipping that is best for the distribution, Gauss' or Laplace's, that fits better (arXiv 1810.05723)

What is zero throughout gets the scale 1: any is right, and none may be 0.
"""

from __future__ import annotations

from functools import cache
from math import e, erf, exp, log, log2, pi, sqrt
from typing import Literal, get_args

import torch
from scipy.optimize import minimize_scalar
from scipy.special import lambertw
from torch import Tensor

__all__ = ["RANGES", "Range", "activation_scale", "quantized", "weight_scales"]

Range = Literal["minmax", "mse", "aciq"]
RANGES: tuple[Range, ...] = get_args(Range)

_SHRINKS = torch.linspace(1.0, 0.2, 81)
_POWER = 2.4  # of an error: a little more than squares for the few large ones, as in GPTQ's code (arXiv 2210.17323)
_MOST_VALUES = 1 << 20  # of activations, of which all statistics are


def weight_scales(weight: Tensor, bits: int, method: Range, per_channel: bool) -> Tensor:
    """The scales of `weight` (outputs, …), of integers from −(2^(`bits` − 1) − 1): (outputs, 1, …), or () for a tensor."""
    rows = weight.flatten(1) if per_channel else weight.reshape(1, -1)
    last = 2 ** (bits - 1) - 1
    scales = _scales(rows, -last, last, method)
    return scales.reshape(-1, *[1] * (weight.ndim - 1)) if per_channel else scales.reshape(())


def activation_scale(values: Tensor, bits: int, signed: bool, method: Range) -> float:
    """The scale of a quantizer of activations that were seen to be `values`; `signed` ones are −2^(`bits` − 1) and above."""
    lowest, last = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values = values.flatten()
    if values.numel() > _MOST_VALUES:
        values = values[:: -(-values.numel() // _MOST_VALUES)]
    return float(_scales(values[None], lowest, last, method))


def quantized(values: Tensor, scale: Tensor | float, lowest: int, last: int) -> Tensor:
    """`values` as multiples of `scale`, by integers from `lowest` to `last`, halves to even."""
    return (values / scale).round().clamp(lowest, last) * scale


def _scales(rows: Tensor, lowest: int, last: int, method: Range) -> Tensor:
    """The scale of each of `rows` (rows, columns), for integers from `lowest` to `last`."""
    largest = _largest(rows, lowest, last)
    if method == "aciq":
        clippings = [
            _clipping(row, lowest, last) if bool(limit > 0) else 1.0 for row, limit in zip(rows, largest, strict=True)
        ]
        scales = torch.minimum(torch.tensor(clippings) / last, largest)
    elif method == "mse":
        scales = _SHRINKS[0] * largest
        least = torch.full_like(largest, torch.inf)
        for shrink in _SHRINKS:
            tried = torch.where(largest > 0, shrink * largest, 1.0)
            errors = (quantized(rows, tried[:, None], lowest, last) - rows).abs().pow(_POWER).sum(dim=1)
            scales, least = torch.where(errors < least, tried, scales), torch.minimum(errors, least)
    else:
        scales = largest
    return torch.where(largest > 0, scales, 1.0)


def _largest(rows: Tensor, lowest: int, last: int) -> Tensor:
    """The scale by which every value of a row is within the integers."""
    above = rows.amax(dim=1).clamp_min(0) / last
    return torch.maximum(above, rows.amin(dim=1).clamp_max(0) / lowest) if lowest else above


def _clipping(values: Tensor, lowest: int, last: int) -> float:
    """Where to clip `values`, by the distribution around 0 that is the likelier one; unsigned ones are half of one."""
    seen = values if lowest else values[values > 0]
    bits = log2(last + 1) + 1  # of both halves
    spread, deviation = float(seen.abs().mean()), float(seen.square().mean().sqrt())
    likelihoods = (-log(2 * e * spread), -0.5 * log(2 * pi * e * deviation**2))
    return spread * _laplace(bits) if likelihoods[0] > likelihoods[1] else deviation * _gauss(bits)


@cache
def _laplace(bits: float) -> float:
    """The best clipping of a Laplace distribution of spread 1: where 2 exp(−a) + a² / (3 · 4^bits) is least."""
    return float(lambertw(3 * 4**bits).real)


@cache
def _gauss(bits: float) -> float:
    """The best clipping of a normal distribution: where clipping's and rounding's mean squared errors are least."""

    def error(a: float) -> float:
        return (1 + a * a) * (1 - erf(a / sqrt(2))) - sqrt(2 / pi) * a * exp(-a * a / 2) + a * a / (3 * 4**bits)

    return float(minimize_scalar(error, bounds=(0.1, 10), method="bounded").x)
