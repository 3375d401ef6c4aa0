"""StreamingDataWidthConverter: wider and narrower, by two and by more."""

from __future__ import annotations

import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from tests.kernels.side_by_side import simulate_side_by_side

INT4 = IntType(-8, 7)


def _layer(in_lanes, out_lanes, type_=INT4):
    return StreamingDataWidthConverter("layer", ("x",), ("y",), (2, 3, 12), type_, in_lanes, out_lanes)


CONFIGURATIONS = (
    _layer(1, 2),
    _layer(2, 6),
    _layer(12, 4),
    _layer(4, 2),
    _layer(3, 3),
    _layer(1, 12, IntType(0, 1)),
    _layer(12, 1, IntType(-1, 0)),
    _layer(1, 4, IntType(0, 100_000)),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("converter"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_the_narrow_side_moves_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_a_beat_needs_the_beats_that_hold_its_elements():
    assert _layer(1, 4).inputs_needed()[:3].tolist() == [4, 8, 12]
    assert _layer(6, 2).inputs_needed()[:7].tolist() == [1, 1, 1, 2, 2, 2, 3]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ConfigError, match="one must be a multiple of the other"):
        _layer(2, 3)
    with pytest.raises(ConfigError, match="both must divide its 12 channels"):
        _layer(1, 8)
