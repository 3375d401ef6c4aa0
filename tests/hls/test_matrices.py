"""Sparse and unrolled MVAUs in HLS C++ against their reference: walkers, lanes, digits, biases, and what is watched."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from tests.hls.frames import frames_of
from tests.hls.programs import program_of
from tests.kernels.matrices import matrix_layer

pytestmark = pytest.mark.xdist_group("hls_matrices")  # they share a compiled program

_UINT4, _INT4, _INT4_NARROW = IntType(0, 15), IntType(-8, 7), IntType(-7, 7)
_sparse = partial(matrix_layer, SparseMVAU)
_unrolled = partial(matrix_layer, UnrolledMVAU)

LAYERS: dict[str, MatrixVector] = {
    "sparse_one_walker": _sparse(4, 6, _UINT4, 4, 3, density=0.5),
    "sparse_walkers_of_one_lane": _sparse(9, 8, _UINT4, 4, 15, density=0.3, pe=3, simd=4),
    "sparse_walkers_of_several_lanes": _sparse(12, 12, _INT4, 5, 7, bias=True, density=0.3, pe=6, simd=3, lanes=3),
    "sparse_sums": _sparse(6, 9, _INT4_NARROW, 4, density=0.5, pe=2, simd=9, lanes=2),
    "sparse_sums_with_a_bias": _sparse(6, 9, _INT4, 4, bias=True, density=0.4, pe=4, simd=1, lanes=2),
    "sparse_all_at_once": _sparse(4, 5, IntType(0, 1), 2, 1, density=0.8, pe=4, simd=5, lanes=4),
    "sparse_pixels": _sparse(6, 9, _UINT4, 4, 7, density=0.4, pe=4, simd=3, lanes=2, m=3),
    "sparse_sums_of_pixels_with_a_bias": _sparse(6, 8, _INT4, 4, bias=True, density=0.4, pe=2, simd=2, m=3),
    "sparse_rows_of_zeros": _sparse(8, 4, _UINT4, 3, 3, density=0.1, pe=4, simd=2, lanes=2, output_lo=-2),
    "unrolled": _unrolled(6, 9, _UINT4, 4, 7, density=0.5),
    "unrolled_sums_with_a_bias": _unrolled(5, 8, _INT4, 4, bias=True, density=0.5),
    "unrolled_rows_of_zeros": _unrolled(6, 3, _INT4_NARROW, 3, 2, density=0.1, output_lo=-1),
    "unrolled_zeros": _unrolled(2, 3, _UINT4, 3, bias=True, density=0.0),
    "sparse_zeros": _sparse(2, 3, _UINT4, 3, bias=True, density=0.0),
    "unrolled_bit_by_bit": _unrolled(4, 9, _UINT4, 4, 15, bias=True, density=0.5, digits=4),
    "unrolled_signed_in_halves": _unrolled(4, 9, _INT4, 4, 3, density=0.5, digits=2),
    "unrolled_digits_of_a_narrow_range": _unrolled(4, 6, _INT4_NARROW, 3, bias=True, digits=2),
    "unrolled_uneven_digits": _unrolled(3, 6, IntType(-64, 63), 4, bias=True, density=0.7, digits=3),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return program_of(LAYERS, tmp_path_factory.mktemp("matrices"))


@pytest.mark.parametrize("numbers", ["strict", "fast"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_matrix_is_exact_frame_after_frame(program, name, numbers):
    layer = LAYERS[name]
    inputs = frames_of(layer)
    (results,), _ = program.run(name, inputs, numbers)
    np.testing.assert_array_equal(results, layer.reference(*inputs)[0])


@pytest.mark.parametrize("numbers", ["strict", "fast"])
@pytest.mark.parametrize("name", [name for name in LAYERS if LAYERS[name].thresholds is None])
def test_what_is_used_of_accumulators_is_what_goes_out(program, name, numbers):
    layer = LAYERS[name]
    (frames,) = frames_of(layer)
    (results,), watched = program.run(name, [frames], numbers)
    seen = [one for one in watched[name] if one.used is not None]
    assert min(one.used[0] for one in seen) == results.min()
    assert max(one.used[1] for one in seen) == results.max()


@pytest.mark.parametrize("numbers", ["strict", "fast"])
def test_walkers_are_watched_before_their_bias_and_lanes_after_it(program, numbers):
    name = "sparse_sums_with_a_bias"
    layer = LAYERS[name]
    (frames,) = frames_of(layer)
    (results,), watched = program.run(name, [frames], numbers)
    walkers, lanes = watched[name][: layer.pe], watched[name][layer.pe :]
    assert [one.width for one in walkers] == list(layer.lane_accumulator_bits())
    assert all(one.used is None for one in walkers)
    for lane, one in enumerate(lanes):
        lane_results = results[..., lane :: layer.lanes]
        assert one.width == max(layer.lane_accumulator_bits())
        assert one.used == one.partial == (lane_results.min(), lane_results.max())


@pytest.mark.parametrize("numbers", ["strict", "fast"])
def test_entries_that_fill_up_a_walk_are_not_watched(program, numbers):
    name = "sparse_walkers_of_one_lane"
    layer = LAYERS[name]
    assert len(set(layer.hls_parameters()["walk_length"])) > 1
    frames = np.full((1, *layer.inputs()[0].shape), 15)
    _, watched = program.run(name, [frames], numbers)
    for walker, schedule in enumerate(layer.schedules):
        partial_sums = np.concatenate([np.cumsum(15 * row[row != 0]) for row in layer.weights[list(schedule)]])
        assert watched[name][walker].partial == (partial_sums.min(), partial_sums.max())
