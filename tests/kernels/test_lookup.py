"""Lookup: tables of each size, shared or of each channel, against the reference."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.lookup import Lookup
from tests.kernels.side_by_side import simulate_side_by_side

unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)


def _layer(channels: int, input_type: IntType, output_type: IntType, *, shared: bool = False, pe: int = 1) -> Lookup:
    rng = np.random.default_rng([channels, input_type.bits])
    shape = (1 if shared else channels, input_type.hi - input_type.lo + 1)
    table = rng.integers(output_type.lo, output_type.hi, shape, endpoint=True)
    return Lookup("layer", ("x",), ("y",), (2, 3, channels), input_type, output_type, table, pe)


CONFIGURATIONS = (
    _layer(4, unsigned(8), signed(8), shared=True, pe=2),
    _layer(6, signed(8), unsigned(8), pe=2),  # block RAM of three folds
    _layer(3, signed(3), signed(5)),
    _layer(4, unsigned(1), unsigned(1), pe=4),
    _layer(2, signed(1), signed(1), shared=True),
    _layer(2, IntType(-3, 9), IntType(-1, 40), pe=1),  # fewer words than its bits address
    _layer(10, signed(7), signed(9), shared=True, pe=10),  # beats of more than 64 bits
    _layer(1, unsigned(10), unsigned(12)),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("lookup"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_leaves_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_the_reference_is_the_table():
    table = np.array([[5, 6, 7], [-1, -2, -3]])
    layer = Lookup("layer", ("x",), ("y",), (1, 2, 2), IntType(-1, 1), IntType(-3, 7), table)
    frames = np.array([[[[-1, -1], [1, 0]]]])
    assert layer.reference(frames)[0].tolist() == [[[[5, -1], [7, -2]]]]


def test_the_words_of_signed_elements_stand_by_their_bits():
    layer = Lookup("layer", ("x",), ("y",), (1, 1, 1), IntType(-2, 1), IntType(0, 7), np.array([[2, 3, 4, 5]]))
    assert layer.memory_sets()["TableFiles"]["0"].words == (4, 5, 2, 3)


@pytest.mark.parametrize(
    ("shape", "input_type", "output_type", "pe", "error", "message"),
    [
        ((1, 4), unsigned(2), unsigned(2), 3, ConfigError, "PE = 3 does not divide its 4 channels"),
        ((2, 4), unsigned(2), unsigned(2), 1, UnsupportedError, r"expected \(4, 4\) or \(1, 4\)"),
        ((1, 5), unsigned(2), unsigned(2), 1, UnsupportedError, r"a table of shape \(1, 5\)"),
        ((1, 4), unsigned(2), IntType(-2, -1), 1, UnsupportedError, "does not hold"),
        ((1, 1 << 13), unsigned(13), unsigned(2), 1, UnsupportedError, "elements of 13 bits; at most 12"),
    ],
)
def test_what_cannot_be_built_is_refused(shape, input_type, output_type, pe, error, message):
    with pytest.raises(error, match=message):
        Lookup("layer", ("x",), ("y",), (1, 1, 4), input_type, output_type, np.zeros(shape, np.int64), pe)
