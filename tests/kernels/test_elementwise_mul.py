"""ElementwiseMul: mixed signs and widths, of pairs of pixels and of one pixel for all."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.elementwise_mul import ElementwiseMul
from tests.kernels.side_by_side import simulate_side_by_side


def _layer(types, gated=False, pe=1, shape=(2, 3, 4)):
    return ElementwiseMul("layer", ("a", "b"), ("y",), shape, types, gated, pe)


CONFIGURATIONS = (
    _layer((IntType(0, 15), IntType(0, 15)), pe=4),
    _layer((IntType(-2048, 2047), IntType(0, 15)), pe=2),
    _layer((IntType(0, 1), IntType(-1, 0)), shape=(1, 1, 2)),
    _layer((IntType(-1, 0), IntType(-1, 0)), shape=(1, 3, 1)),
    _layer((IntType(-128, 127), IntType(-32768, 32767)), pe=4),  # 96 bits a beat
    _layer((IntType(100, 101), IntType(-3, -2))),
    _layer((IntType(0, 15), IntType(0, 255)), gated=True),
    _layer((IntType(-8, 7), IntType(0, 255)), gated=True, pe=4),
    _layer((IntType(-128, 127), IntType(-2, 1)), gated=True, pe=2, shape=(1, 1, 6)),
    _layer((IntType(0, 1), IntType(0, 1)), gated=True, shape=(3, 1, 5)),
    _layer((IntType(0, 65535), IntType(0, 65535)), gated=True, pe=3, shape=(2, 2, 3)),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("mul"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_leaves_in_every_cycle_but_those_that_a_gate_takes(simulated):
    simulated.assert_cycles()
    assert _layer((IntType(0, 1), IntType(0, 1)), gated=True, pe=2).cycles() == 2 + 6 * 2


def test_latency(simulated):
    simulated.assert_latency()


def test_the_output_holds_every_product_and_no_more():
    assert _layer((IntType(0, 15), IntType(-8, 7))).outputs()[0].type == IntType(-120, 105)
    assert _layer((IntType(-8, -2), IntType(-3, -1))).outputs()[0].type == IntType(2, 24)


def test_a_gate_is_one_pixel_for_all():
    layer = _layer((IntType(0, 9), IntType(0, 9)), gated=True, shape=(1, 2, 2))
    (products,) = layer.reference(np.array([[[[1, 2], [3, 4]]]]), np.array([[[[5, 6]]]]))
    assert products.tolist() == [[[[5, 12], [15, 24]]]]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="products of 64 bits"):
        _layer((IntType.of_bits(32, signed=False), IntType.of_bits(32, signed=False)))
    with pytest.raises(UnsupportedError, match="multiplies 1 streams of 2 types; expected two"):
        ElementwiseMul("layer", ("a",), ("y",), (1, 1, 1), (IntType(0, 1), IntType(0, 1)))
    with pytest.raises(ConfigError, match="PE = 3 does not divide"):
        _layer((IntType(0, 1), IntType(0, 1)), pe=3)
