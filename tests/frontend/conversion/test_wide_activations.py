"""Activations of 9 to 16 bits against QONNX's executor: by requantizers alone, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataflow.requantize import find_requantizer
from pipeline.dataflow.roles import Activating
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.frontend.conversion import dataflow, thresholds
from pipeline.frontend.conversion.thresholds import derive_requantizer, derive_thresholds
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare

GRAIN = 2.0**-8  # of the input


def convolution(n: Network, bits: int, signed: int) -> None:
    n.conv(2, 3, 3, bits=3)
    n.quant(4 * GRAIN, bits, signed=signed)


def largest(n: Network, bits: int, signed: int) -> None:
    convolution(n, bits, signed)
    n.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])


def average(n: Network, bits: int, signed: int) -> None:
    convolution(n, bits, signed)
    n.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    n.quant(2 * GRAIN, bits, signed=signed)


def total(n: Network, bits: int, signed: int) -> None:
    """Two branches whose scales are in a ratio of small integers."""
    x = n.quant(GRAIN, bits, signed=signed, at=n.conv(2, 3, 1, bits=3))
    y = n.quant(2 * GRAIN, bits, signed=signed, at=n.conv(3, 3, 1, bits=2))
    n.node("Add", [x, y])
    n.quant(4 * GRAIN, bits, signed=signed)


def product(n: Network, bits: int, signed: int) -> None:
    """By 6 bits, so that float32 holds it."""
    x = n.quant(GRAIN, bits, signed=signed, at=n.conv(2, 3, 1, bits=3))
    y = n.quant(256 * GRAIN, 6, at=n.conv(3, 3, 1, bits=2))
    n.node("Mul", [x, y])
    n.quant(16 * GRAIN, bits, signed=signed)


def channels(n: Network, bits: int, signed: int) -> None:
    """A scale a channel, of powers of two, a bias and a function; no level is below 0."""
    n.conv(2, 3, 1, bits=3, bias=np.array([0.5, -3.0, 7.25]))
    n.add("Mul", np.float32([1, 0.5, -2]).reshape(3, 1, 1))
    n.add("Relu")
    n.quant(GRAIN / 2, bits, signed=0)


def built(build: Callable[[Network, int, int], None], bits: int, signed: int) -> tuple[Network, np.ndarray]:
    """A network of `bits` bits throughout, and frames of all integers of its input."""
    n = Network(2, 4, 4)
    n.exact = True
    n.quant(GRAIN, bits, signed=signed)
    build(n, bits, signed)
    n.conv(3, 2, 1, bits=2)
    low = -(1 << (bits - 1)) if signed else 0
    frames = np.random.default_rng(bits).integers(low, low + (1 << bits), (6, 2, 4, 4))
    return n, (frames * GRAIN).astype(np.float32)


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("bits", [9, 12, 16])
@pytest.mark.parametrize("build", [convolution, largest, average, total, product, channels])
def test_every_integer_is_that_of_qonnx(build, bits: int, signed: int) -> None:
    network, frames = built(build, bits, signed)
    result = compare(network, frames, top1=False)
    assert not result.wrong and not result.refused and not result.in_double, result
    graph = dataflow.convert(network.model(), frames, top1=False).graph
    wide = [layer for layer in graph if isinstance(layer, Activating) and layer.level_steps > 255]
    assert wide and all(layer.thresholds is None and layer.requantizer for layer in wide)
    assert max(layer.output_type.bits for layer in wide) in (bits, bits - 1)  # all of a range need not be reached


def test_scales_that_are_no_powers_of_two() -> None:
    n = Network(2, 4, 4)
    n.quant(0.0041, 12)
    n.conv(2, 3, 3, scale=0.23, bits=4)
    n.quant(0.0197, 12)
    n.conv(3, 2, 1, bits=2)
    frames = (np.random.default_rng(0).integers(-2048, 2048, (6, 2, 4, 4)) * 0.0041).astype(np.float32)
    result = compare(n, frames, top1=False)
    assert not result.wrong and not result.refused and result.undecided == 0, result


@pytest.mark.parametrize("layer", ["matrix", "levels"])
def test_integers_off_the_middle_in_front_of_a_requantizer_alone(layer: str) -> None:
    """They take 8 bits, not 9; the addends of the requantizer move instead."""
    n = Network(2, 4, 4)
    n.quant(GRAIN, 8, signed=0, zero=127.0)
    if layer == "matrix":
        n.conv(2, 3, 3, bits=3)
    else:
        n.add("Mul", np.float32(1.5))
    n.quant(GRAIN / 16, 12)
    n.conv(3 if layer == "matrix" else 2, 2, 1, bits=2)
    frames = (np.random.default_rng(0).integers(-127, 129, (6, 2, 4, 4)) * GRAIN).astype(np.float32)
    result = compare(n, frames, top1=False)
    assert not result.wrong and not result.refused and not result.in_double, result
    graph = dataflow.convert(n.model(), frames, top1=False).graph
    assert graph.streams[graph.input].type.bits == 8 and any(getattr(layer, "requantizer", None) for layer in graph)


@pytest.mark.parametrize("bits", [9, 11])
def test_a_sum_of_scales_in_any_ratio(bits: int) -> None:
    """The pairs of two branches of 8 and 7 bits; the sum has more levels than there are thresholds."""
    n = Network(2)
    x = n.quant(0.3, 8)
    y = n.quant(0.217, 7, at=n.matmul(2, 2, scale=0.7))
    n.node("Add", [x, y])
    n.quant(80 / 2**bits, bits)
    frames = np.random.default_rng(0).integers(-128, 128, (200, 2)).astype(np.float32) * np.float32(0.3)
    result = compare(n, frames, top1=False)
    assert not result.wrong and not result.refused and result.undecided == 0, result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "curve",
            r"Quant_5 behind layer MVAU_0 \(c3\) makes 4,09\d levels of integers .* powers of two, or to fewer bits",
        ),
        ("scale", r"Quant_3 behind layer MVAU_0 \(\w+\) makes 19,531 levels of .* no multiplier of up to 32 bits"),
        ("halves", r"Quant_3 .* the steps are uneven, or the ratio of the scales"),
        ("bits", "Quant_3 makes 131,072 levels, 0 among them, .* at most 65,536 \\(16 bits\\) can be built"),
        ("input", "Quant_0 quantizes the input to 17 bits; at most 16"),
        ("table", "Abs_4 is a function that falls and grows, .* a table holds 12 bits"),
    ],
)
def test_what_cannot_be_built_is_refused(change: str, message: str) -> None:
    """Of a third, `halves` occur, and those that go to even make steps that no product has."""
    n = Network(2, 4, 4)
    n.quant(GRAIN, 17 if change == "input" else 16)
    n.conv(2, 3, 3, scale=0.25, bits=6)
    n.quant(GRAIN * {"scale": 271.8, "halves": 3}.get(change, 4), {"bits": 17, "curve": 12}.get(change, 16))
    if change == "curve":
        n.add("Sigmoid")
        n.quant(2.0**-12, 12, signed=0)
    if change == "table":
        n.add("Abs")
        n.quant(GRAIN, 12, signed=0)
    frames = np.random.default_rng(0).normal(0, 30, (4, 2, 4, 4)).astype(np.float32)
    with pytest.raises(UnsupportedError, match=message):
        dataflow.convert(n.model(), frames, top1=False)


@st.composite
def _quantizers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    channels = draw(st.integers(1, 3))
    bits = draw(st.sampled_from([9, 10, 12]))
    power = draw(st.booleans())
    scale = [2.0 ** draw(st.integers(-6, 1)) if power else draw(st.floats(0.01, 2)) for _ in range(channels)]
    offset = [draw(st.integers(-2000, 2000)) / 4 for _ in range(channels)]
    lo = np.array([draw(st.integers(-(1 << 14), 100)) for _ in range(channels)])
    reach = np.array([draw(st.integers(0, 1 << 14)) for _ in range(channels)])
    return np.array(scale), np.array(offset), lo, lo + reach, bits


@settings(max_examples=40, deadline=None)
@given(_quantizers(), st.booleans())
def test_a_requantizer_has_the_levels_of_its_quantizer_at_every_integer(quantizer, signed: bool) -> None:
    """Exhaustively, and it is the one that is found among all thresholds, as those of few levels are."""
    scale, offset, lo, hi, bits = quantizer
    least = -(1 << (bits - 1)) if signed else 0

    def levels(x: np.ndarray) -> np.ndarray:
        return np.clip(np.round(x * scale + offset), least, least + (1 << bits) - 1).astype(np.int64)

    type_, requantizer = derive_requantizer("a quantizer", levels, lo, hi)
    same, every_threshold = derive_thresholds(levels, lo, hi)
    assert same == type_
    whole = find_requantizer(every_threshold, lo, hi, type_.lo, 32)
    assert (requantizer is None) == (whole is None)
    if requantizer is None or whole is None:
        return
    np.testing.assert_array_equal(requantizer.multipliers, whole.multipliers)
    every = np.minimum(lo + np.arange(int((hi - lo).max()) + 1)[:, None], hi)
    np.testing.assert_array_equal(requantizer.levels(every, type_.lo, type_.hi), levels(every))


def test_a_requantizer_that_differs_from_its_quantizer_is_noticed(monkeypatch) -> None:
    """It is compared with the quantizer again, whatever found it."""

    def levels(x: np.ndarray) -> np.ndarray:
        return np.clip(x >> 3, 0, 4095)

    def wrong(*arguments):
        right = find_requantizer(*arguments)
        return replace(right, addends=right.addends + (np.arange(2) << right.shift))

    ends = np.array([-100, -100]), np.array([1 << 16, 1 << 16])
    assert derive_requantizer("a quantizer", levels, *ends)[1] is not None
    monkeypatch.setattr(thresholds, "find_requantizer", wrong)
    with pytest.raises(
        VerificationError, match="a quantizer: the requantizer .* differs from the quantizer in channel 1"
    ):
        derive_requantizer("a quantizer", levels, *ends)
