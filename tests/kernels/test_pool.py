"""Pool: largest elements and shifted sums, signed and unsigned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.pool import Pool
from tests.kernels.side_by_side import simulate_side_by_side


def _layer(channels, window, type_, function, shift=0, pe=1, pixels=(2, 2)):
    return Pool("layer", ("x",), ("y",), pixels, channels, window, type_, function, shift, pe)


CONFIGURATIONS = (
    _layer(4, 4, IntType(0, 15), "max", pe=2),
    _layer(6, 9, IntType(-8, 7), "max", pe=6),
    _layer(5, 3, IntType(-128, 127), "max", pixels=(1, 3)),
    _layer(3, 64, IntType(0, 15), "sum", shift=2, pixels=(1, 1)),
    _layer(4, 9, IntType(-8, 7), "sum", shift=3, pe=2),
    _layer(3, 2, IntType(-2, 1), "sum", shift=7),
    _layer(2, 2, IntType(0, 3), "sum", shift=5),
    _layer(2, 1, IntType(0, 1), "sum"),
    _layer(1, 4, IntType(-1, 0), "max"),
    replace(_layer(4, 9, IntType(0, 15), "sum", pe=2, pixels=(3, 4)), row_counts=(2, 3, 2), column_counts=(2, 3, 3, 2)),
    replace(_layer(3, 9, IntType(-8, 7), "sum", 4, pixels=(3, 1)), row_counts=(1, 3, 2), column_counts=(1,)),
    replace(_layer(2, 4, IntType(-1, 0), "sum", pe=2, pixels=(1, 2)), row_counts=(2,), column_counts=(1, 2)),
    replace(_layer(5, 25, IntType(0, 1), "sum", 1, pixels=(4, 2)), row_counts=(3, 4, 5, 2), column_counts=(5, 4)),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("pool"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_is_taken_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_a_sum_is_truncated_toward_minus_infinity():
    layer = _layer(1, 2, IntType(-8, 7), "sum", shift=1, pixels=(1, 2))
    values = np.array([[[[-1, -2], [3, 4]]]])
    assert layer.reference(values)[0].ravel().tolist() == [-2, 3]
    assert layer.outputs()[0].type == IntType(-8, 7)


def test_a_sum_with_counts_is_a_multiple_of_the_average_of_what_counts():
    layer = replace(_layer(1, 9, IntType(0, 9), "sum"), row_counts=(2, 3), column_counts=(3, 2))
    frames = np.random.default_rng(0).integers(0, 10, (3, *layer.inputs()[0].shape))
    averages = frames.sum(axis=3, keepdims=True) / np.multiply.outer((2, 3), (3, 2))[:, :, None]
    assert layer.multiple == 36
    assert np.allclose(layer.reference(frames)[0], 36 * averages, rtol=1e-12)
    assert layer.outputs()[0].type == IntType(0, 9 * 9 * 9)  # also of windows whose padding is not 0


def test_results_leave_during_the_last_element():
    layer = _layer(2, 3, IntType(0, 15), "max", pixels=(1, 2))
    assert layer.inputs_needed().tolist() == [5, 6, 11, 12]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="max and sum can be built"):
        _layer(4, 4, IntType(0, 15), "mean")
    with pytest.raises(UnsupportedError, match="only sums are shifted"):
        _layer(4, 4, IntType(0, 15), "max", shift=1)
    with pytest.raises(UnsupportedError, match="pools 0 elements"):
        _layer(4, 0, IntType(0, 15), "max")
    with pytest.raises(UnsupportedError, match="in 1 rows and 2 columns of windows, of a sum for .2, 2. pixels"):
        replace(_layer(4, 4, IntType(0, 15), "sum"), row_counts=(1,), column_counts=(1, 2))
    with pytest.raises(UnsupportedError, match="counts 0 to 2 rows"):
        replace(_layer(4, 4, IntType(0, 15), "sum"), row_counts=(0, 1), column_counts=(1, 2))
    with pytest.raises(ConfigError, match="PE = 3 does not divide"):
        _layer(4, 4, IntType(0, 15), "max", pe=3)
