"""FMPadding: borders on every side, and on none."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.fm_padding import FMPadding
from tests.kernels.side_by_side import simulate_side_by_side

UINT4 = IntType(0, 15)


def _layer(shape, pads, simd, type_=UINT4, value=0):
    return FMPadding("layer", ("x",), ("y",), shape, type_, pads, value, simd)


CONFIGURATIONS = (
    _layer((3, 4, 4), (1, 1, 1, 1), 2),
    _layer((2, 3, 2), (0, 2, 1, 0), 2),
    _layer((1, 1, 3), (3, 0, 0, 1), 1, IntType(-8, 7), value=-8),
    _layer((2, 2, 1), (0, 0, 0, 0), 1, IntType(0, 1)),
    _layer((1, 1, 2), (0, 0, 2, 3), 2, IntType(-1, 0), value=-1),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("padding"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_leaves_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_reference_surrounds_the_frame():
    (padded,) = _layer((1, 1, 1), (1, 2, 0, 1), 1, IntType(-1, 7), value=-1).reference(np.array([[[[5]]]]))
    assert padded[0, :, :, 0].tolist() == [[-1, -1, -1, -1], [-1, -1, 5, -1]]


def test_a_beat_needs_the_beats_of_the_image_up_to_it():
    assert _layer((1, 2, 2), (1, 1, 0, 0), 1).inputs_needed().tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="cannot be negative"):
        _layer((2, 2, 1), (-1, 0, 0, 0), 1)
    with pytest.raises(UnsupportedError, match="pads with -1, which its type UINT4"):
        _layer((2, 2, 1), (1, 0, 0, 0), 1, value=-1)
    with pytest.raises(ConfigError, match="SIMD = 3 does not divide"):
        _layer((2, 2, 4), (1, 0, 0, 0), 3)
