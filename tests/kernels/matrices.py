"""Random layers with a matrix, for the tests of every style of MVAU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.dataflow.types import IntType
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU

__all__ = ["matrix_layer", "tap_layer"]


def matrix_layer(
    kind: type[MatrixVector],
    mh: int,
    mw: int,
    input_type: IntType,
    weight_bits: int,
    thresholds: int = 0,
    *,
    bias: bool = False,
    density: float = 1.0,
    output_lo: int = 0,
    **fields,
) -> MatrixVector:
    """A layer with random weights of the whole range, `density` of them, and thresholds around what sums reach."""
    rng = np.random.default_rng([mh, mw, weight_bits, thresholds])
    half = 1 << (weight_bits - 1)
    weights = rng.choice([-1, 1], (mh, mw)) if weight_bits == 1 else rng.integers(-half, half, (mh, mw))
    weights[rng.random((mh, mw)) >= density] = 0
    start = rng.integers(-50, 50, mh) if bias else None
    open_type = IntType(-(1 << 60), 1 << 60)
    sums = MVAU("layer", ("x",), ("y",), weights, input_type, open_type, (2, 3), None, start)
    lo, hi = sums.accumulator_range()
    output_type, levels = IntType(int(lo.min()), int(hi.max())), None
    if thresholds:
        levels = np.sort(rng.integers(lo[:, None] - 5, hi[:, None] + 6, (mh, thresholds)), axis=1)
        output_type = IntType(output_lo, output_lo + thresholds)
    bits = sums.exact_accumulator_bits()
    return kind("layer", ("x",), ("y",), weights, input_type, output_type, (2, 3), levels, start, bits, **fields)


def tap_layer(
    mh: int,
    kernel: tuple[int, int],
    channels: int,
    input_type: IntType,
    weight_bits: int,
    thresholds: int = 0,
    *,
    simd: int,
    image: tuple[int, int] = (3, 6),
    pads: tuple[int, int] = (1, 1),
    m: int = 2,
    **fields,
) -> DspMVAU:
    """Such a layer with the columns of a kernel in each word of its DSPs, over rows of an image of (OH, W) pixels."""
    height, taps = kernel
    layer = matrix_layer(DspMVAU, mh, height * taps * channels, input_type, weight_bits, thresholds, pe=mh, **fields)
    pixels = image[0], image[1] + sum(pads) - taps + 1
    given = {"taps": taps, "kernel_height": height, "pad_left": pads[0], "pad_right": pads[1]}
    return replace(layer, pixels=pixels, simd=simd, m=m, **given)
