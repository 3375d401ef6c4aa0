"""AddStreams: mixed signs and widths, and multipliers of either sign."""

from __future__ import annotations

import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.add_streams import AddStreams
from tests.kernels.side_by_side import simulate_side_by_side


def _layer(types, multipliers=(1, 1), pe=1, shape=(2, 3, 4)):
    return AddStreams("layer", ("a", "b"), ("y",), shape, types, multipliers, pe)


CONFIGURATIONS = (
    _layer((IntType(0, 15), IntType(0, 15)), pe=4),
    _layer((IntType(-2048, 2047), IntType(0, 15)), (1, 16), pe=2),
    _layer((IntType(-8, 7), IntType(-1, 0)), (-3, 5)),
    _layer((IntType(0, 1), IntType(0, 1)), shape=(1, 1, 2)),
    _layer((IntType(-128, -100), IntType(99, 100))),  # sums have fewer bits than their terms
    _layer((IntType(0, 255), IntType(-128, 127)), (2**31 - 1, 1 - 2**31), pe=2),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("add"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_leaves_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_the_output_holds_every_sum_and_no_more():
    assert _layer((IntType(0, 15), IntType(-8, 7)), (2, -3)).outputs()[0].type == IntType(-21, 54)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="multipliers .0, 1.; an input times 0"):
        _layer((IntType(0, 1), IntType(0, 1)), (0, 1))
    with pytest.raises(UnsupportedError, match="2147483647 can be built"):
        _layer((IntType(0, 1), IntType(0, 1)), (1, -(2**31)))
    with pytest.raises(UnsupportedError, match="sums of 64 bits"):
        _layer((IntType(0, 1), IntType.of_bits(63, signed=False)), (1, 2))
    with pytest.raises(UnsupportedError, match="terms or sums of 65 bits"):
        _layer((IntType(1 << 62, 1 << 62), IntType(-1 << 62, -1 << 62)), (4, 4))
    with pytest.raises(UnsupportedError, match="expected two of each"):
        AddStreams("layer", ("a", "b", "c"), ("y",), (1, 1, 1), (IntType(0, 1), IntType(0, 1)))
    with pytest.raises(ConfigError, match="PE = 3 does not divide"):
        _layer((IntType(0, 1), IntType(0, 1)), pe=3)
