"""SparseMVAU: the hardware against the reference at corner widths, and walks that finish together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError
from pipeline.kernels.sparse_mvau import SparseMVAU
from tests.kernels.matrices import matrix_layer
from tests.kernels.requantized import requantized_matrix
from tests.kernels.side_by_side import simulate_side_by_side

unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)
_layer = partial(matrix_layer, SparseMVAU)

CONFIGURATIONS = {
    "a_layer": _layer(8, 24, unsigned(4), 4, 15, density=0.3, pe=4, simd=4, lanes=2),
    "one_walker": _layer(5, 9, unsigned(4), 4, 3, density=0.3, simd=3),
    "a_walker_a_row": _layer(6, 10, unsigned(3), 3, density=0.5, pe=6, simd=2, lanes=3),
    "all_rows_at_once": _layer(4, 12, unsigned(4), 4, 15, density=0.2, pe=4, simd=12, lanes=4),
    "dense": _layer(6, 12, signed(4), 4, 7, pe=3, simd=4),
    "eight_bits_with_a_bias": _layer(4, 9, signed(8), 8, bias=True, density=0.6, pe=2, simd=3, lanes=2),
    "thresholds_and_a_bias": _layer(6, 8, unsigned(5), 7, 7, bias=True, density=0.4, pe=2, simd=1),
    "bits": _layer(6, 10, unsigned(1), 1, 2, density=0.5, pe=2, simd=5),
    "signed_bits": _layer(4, 6, IntType(-1, 0), 3, density=0.5, pe=2, simd=2),
    "all_zero": _layer(4, 6, unsigned(4), 4, 3, density=0.0, pe=2, simd=2),
    "rows_of_zeros": _layer(12, 5, unsigned(2), 3, density=0.15, pe=3, simd=1),
    "one_weight": _layer(1, 1, unsigned(8), 8),
    "more_to_load_than_to_walk": _layer(4, 40, unsigned(4), 4, 15, density=0.05, pe=4, simd=1),
    "more_to_send_than_to_walk": _layer(30, 4, unsigned(4), 4, 15, density=0.3, pe=15, simd=4),
    "three_pixels": _layer(8, 24, unsigned(4), 4, 15, density=0.3, pe=4, simd=4, lanes=2, m=3),
    "three_pixels_with_a_bias": _layer(6, 9, signed(8), 8, bias=True, density=0.6, pe=4, simd=3, lanes=2, m=3),
    "bits_of_three_pixels": _layer(6, 10, unsigned(1), 1, 2, density=0.5, pe=6, simd=10, lanes=6, m=3),
    "three_pixels_of_one_weight": _layer(1, 1, signed(5), 8, m=3),
    "levels_of_three_pixels": requantized_matrix(
        SparseMVAU, 6, 8, unsigned(4), 4, 15, density=0.4, pe=3, simd=2, lanes=1, m=3
    ),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(CONFIGURATIONS.values()), tmp_path_factory.mktemp("sparse"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_follow_each_other_without_a_gap(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


@settings(max_examples=100)
@given(st.integers(1, 24), st.integers(1, 30), st.floats(0, 1), st.integers(0, 1 << 30), st.data())
def test_rows_are_dealt_so_that_no_walk_is_much_longer(rows, columns, density, seed, data):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-7, 8, (rows, columns)) * (rng.random((rows, columns)) < density)
    lanes = data.draw(st.sampled_from([n for n in range(1, rows + 1) if rows % n == 0]))
    pe = lanes * data.draw(st.integers(1, rows // lanes))
    layer = SparseMVAU(
        "layer", ("x",), ("y",), weights, unsigned(4), IntType(-(1 << 20), 1 << 20), (1, 1), pe=pe, lanes=lanes
    )
    assert sorted(row for schedule in layer.schedules for row in schedule) == list(range(rows))
    assert all(row % lanes == walker % lanes for walker, schedule in enumerate(layer.schedules) for row in schedule)
    lengths = np.maximum(np.count_nonzero(weights, axis=1), 1)
    for lane in range(lanes):  # Graham's bound for the longest first: at most 4/3 of the best
        of_lane = lengths[lane::lanes]
        share = pe // lanes
        best = max(int(of_lane.max()), -(-int(of_lane.sum()) // share))
        longest = max(int(lengths[list(layer.schedules[p])].sum()) for p in range(lane, pe, lanes))
        assert longest <= of_lane.sum() / share + of_lane.max()
        assert longest >= best


def test_only_weights_that_are_not_zero_are_stored():
    layer = CONFIGURATIONS["a_layer"]
    memory = layer.memories()["WalkFile"]
    entries = len(memory.words) * layer.pe
    assert np.count_nonzero(layer.weights) <= entries < layer.weights.size / 2
    assert memory.width == layer.pe * (4 + 2 + 3 + 1)  # the weight, the element of the beat, the beat, the end of a row
    order = layer.memories()["OrderFile"]
    assert layer.weight_memory_bits() == sum(stored.width * len(stored.words) for stored in (memory, order))


def test_pixels_share_the_schedules_and_the_weights():
    one, several = CONFIGURATIONS["a_layer"], CONFIGURATIONS["three_pixels"]
    assert several.schedules == one.schedules and several.cycles() * 3 == one.cycles()
    assert {name: several.memories()[name] for name in ("WalkFile", "OrderFile")} == {
        name: one.memories()[name] for name in ("WalkFile", "OrderFile")
    }
    assert several.weight_memory_bits() == one.weight_memory_bits()


def test_what_cannot_be_built_is_refused():
    layer = CONFIGURATIONS["a_layer"]
    with pytest.raises(ConfigError, match=r"SIMD = 5 does not divide its 24 columns \(MW\)"):
        replace(layer, simd=5)
    with pytest.raises(ConfigError, match=r"lanes = 3 does not divide its 8 rows \(MH\)"):
        replace(layer, lanes=3)
    with pytest.raises(ConfigError, match=r"lanes = 4 does not divide its 6 walkers \(PE\)"):
        replace(layer, pe=6, lanes=4)
    with pytest.raises(ConfigError, match="PE = 16 is more than its 8 rows"):
        replace(layer, pe=16)
