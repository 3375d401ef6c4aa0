"""Accumulators in HLS C++: witnesses take them to both ends of what is proven, and one bit less is not enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.accumulators.witness import witness_inputs
from pipeline.codegen.hls import write_layer
from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.vvau import VVAU
from pipeline.tools.gxx import build_program
from pipeline.verification.comparison import as_frames
from pipeline.verification.cppsim import check_extremes
from tests.kernels.matrices import matrix_layer, tap_layer

pytestmark = pytest.mark.xdist_group("hls_accumulators")  # they share a compiled program

UINT4, INT8 = IntType(0, 15), IntType(-128, 127)

# each with exactly the bits that its rows are proven to need
PROVEN: dict[str, MatrixVector] = {
    "folded": matrix_layer(MVAU, 8, 12, UINT4, 4, 7, density=0.4, bias=True, pe=4, simd=3),
    "folded_wide": matrix_layer(MVAU, 3, 8, IntType.of_bits(16, signed=False), 24, pe=1, simd=1),
    "in_dsps_columns": tap_layer(3, (1, 3), 2, UINT4, 4, simd=1, density=0.6),
    "in_dsps": matrix_layer(DspMVAU, 6, 12, UINT4, 4, 7, density=0.4, bias=True, pe=3, simd=3),
    "depthwise": matrix_layer(VVAU, 8, 9, UINT4, 4, 7, bias=True, pe=4, multiplier=2),
    "sparse": matrix_layer(SparseMVAU, 6, 12, UINT4, 4, 7, density=0.5, pe=3, simd=4),
    "sparse_with_a_bias": matrix_layer(SparseMVAU, 4, 9, INT8, 5, density=0.6, bias=True, pe=4, simd=3, lanes=2),
    "unrolled": matrix_layer(UnrolledMVAU, 4, 6, INT8, 4, bias=True, digits=3),
    # no input is 0, and 4 · 5 takes a bit more than any of its sums, -8 to 8
    "without_zero": MVAU(
        "layer", ("x",), ("y",), np.array([[4, -4]]), IntType(3, 5), IntType(-8, 8), (2, 3), accumulator_bits=(5,)
    ),
}


def _one_bit_less(layer: MatrixVector) -> MatrixVector:
    return replace(layer, accumulator_bits=tuple(bits - 1 for bits in layer.exact_accumulator_bits()))


NARROW = {
    f"narrow_{name}": _one_bit_less(PROVEN[name]) for name in ("folded", "folded_wide", "unrolled", "without_zero")
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What each accumulator of a layer held for its witnesses."""
    folder = tmp_path_factory.mktemp("accumulators")
    layers = {name: replace(layer, name=name) for name, layer in (PROVEN | NARROW).items()}
    program = build_program([write_layer(layer, folder) for layer in layers.values()], folder / "objects")

    def seen(name: str, numbers: str):
        layer = layers[name]
        frames = as_frames(witness_inputs(layer), layer.inputs()[0].shape)
        outputs, extremes = program.run(name, [frames], numbers)
        return layer, outputs[0], layer.reference(frames)[0], extremes[name]

    return seen


each_numbers = pytest.mark.parametrize("numbers", ["strict", "fast"])


@each_numbers
@pytest.mark.parametrize("name", PROVEN)
def test_witnesses_reach_both_ends_of_the_proven_range(run, name, numbers):
    layer, got, expected, seen = run(name, numbers)
    np.testing.assert_array_equal(got, expected)
    lo, hi = layer.accumulator_range()
    assert check_extremes(layer, seen) == (lo.min(), hi.max())


@each_numbers
@pytest.mark.parametrize("name", ["folded", "folded_wide", "in_dsps", "in_dsps_columns", "depthwise", "unrolled"])
def test_every_lane_reaches_its_own_ends_in_its_own_width(run, name, numbers):
    layer, _, _, seen = run(name, numbers)
    lo, hi = layer.accumulator_range()
    widths = layer.lane_accumulator_bits()
    assert tuple(extremes.width for extremes in seen) == widths
    for lane, extremes in enumerate(seen):
        assert extremes.used == (lo[lane :: len(widths)].min(), hi[lane :: len(widths)].max())


@each_numbers
@pytest.mark.parametrize("name", NARROW)
def test_one_bit_less_is_caught_and_named(run, name, numbers):
    layer, _, _, seen = run(name, numbers)
    with pytest.raises(
        VerificationError, match=rf"layer {name}: accumulator \d+ is {seen[0].width} bits wide .* -?\d+"
    ):
        check_extremes(layer, seen)


def test_a_sum_that_wraps_is_wrong_in_strict_numbers_and_right_in_fast_ones(run):
    for numbers, right in (("strict", False), ("fast", True)):
        _, got, expected, _ = run("narrow_folded_wide", numbers)
        assert np.array_equal(got, expected) is right


@each_numbers
def test_partial_sums_without_zero_may_wrap_and_come_back(run, numbers):
    _, _, _, seen = run("without_zero", numbers)
    assert seen[0].width == 5 and seen[0].partial[1] == 20 and seen[0].used == (-8, 8)
