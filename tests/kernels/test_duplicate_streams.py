"""DuplicateStreams: every reader gets every beat, at its own pace."""

from __future__ import annotations

import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.duplicate_streams import DuplicateStreams
from tests.kernels.side_by_side import simulate_side_by_side

UINT4 = IntType(0, 15)


def _layer(copies, pe=1, shape=(2, 2, 4), type_=UINT4):
    outputs = tuple(f"y{i}" for i in range(copies))
    return DuplicateStreams("layer", ("x",), outputs, shape, type_, copies, pe)


CONFIGURATIONS = (_layer(2, pe=4), _layer(3), _layer(2, shape=(1, 1, 1), type_=IntType(-1, 0)), _layer(5, pe=2))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("duplicate"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_readers_that_keep_up_get_a_beat_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="makes 1 copies for 1 outputs; expected two or more"):
        _layer(1)
    with pytest.raises(UnsupportedError, match="makes 3 copies for 2 outputs"):
        DuplicateStreams("layer", ("x",), ("a", "b"), (1, 1, 1), IntType(0, 1), 3)
    with pytest.raises(ConfigError, match="PE = 3 does not divide"):
        _layer(2, pe=3)
