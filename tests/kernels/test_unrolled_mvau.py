"""UnrolledMVAU: the hardware against the reference at corner widths, in one digit and in several."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, VerificationError
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.tools.verilator import simulate
from tests.kernels.matrices import matrix_layer
from tests.kernels.requantized import requantized_matrix
from tests.kernels.side_by_side import simulate_side_by_side

unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)


_layer = partial(matrix_layer, UnrolledMVAU)


CONFIGURATIONS = {
    "a_layer": _layer(8, 24, unsigned(4), 4, 15, density=0.3),
    "a_bit_at_a_time": _layer(8, 24, unsigned(4), 4, 15, density=0.3, digits=4),
    "two_bits_at_a_time": _layer(8, 24, unsigned(4), 4, 15, density=0.3, digits=2),
    "a_stem": _layer(5, 27, signed(8), 8, 15),
    "a_stem_in_digits": _layer(5, 27, signed(8), 8, 15, bias=True, digits=4),
    "digits_that_do_not_divide": _layer(3, 6, signed(7), 4, 3, digits=3),
    "sums_with_a_bias": _layer(4, 9, unsigned(5), 5, bias=True),
    "sums_with_a_bias_in_digits": _layer(4, 9, unsigned(5), 5, bias=True, digits=5),
    "sums_of_signed_digits": _layer(4, 7, signed(3), 3, digits=3),
    "bipolar": _layer(6, 10, IntType(-1, 1), 1, 1, output_lo=-1),
    "bits": _layer(6, 10, unsigned(1), 1, 2),
    "all_zero": _layer(3, 5, unsigned(4), 4, 3, density=0.0),
    "rows_of_zeros": _layer(9, 4, unsigned(2), 3, density=0.2, digits=2),
    "one_weight": _layer(1, 1, unsigned(8), 8, digits=2),
    "deep": _layer(2, 60, unsigned(2), 4, 15),
    "two_adders_a_stage": _layer(5, 27, signed(8), 8, 15, adders_per_stage=2),
    "three_adders_a_stage_in_digits": _layer(4, 24, unsigned(6), 6, 3, bias=True, digits=3, adders_per_stage=3),
    "all_adders_in_a_stage": _layer(4, 12, unsigned(4), 4, adders_per_stage=9),
    "three_pixels": _layer(5, 12, unsigned(4), 4, 15, density=0.5, m=3),
    "three_pixels_in_digits": _layer(3, 9, signed(4), 4, 7, bias=True, digits=2, m=3),
    "sums_of_three_pixels": _layer(4, 9, unsigned(3), 3, bias=True, m=3),
    "levels_of_three_pixels": requantized_matrix(UnrolledMVAU, 3, 8, unsigned(4), 4, 15, m=3),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(CONFIGURATIONS.values()), tmp_path_factory.mktemp("unrolled"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_follow_each_other_without_a_gap(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_what_cannot_be_built_is_refused():
    layer = CONFIGURATIONS["a_layer"]
    with pytest.raises(ConfigError, match="elements of 4 bits cannot be taken in 5 digits"):
        replace(layer, digits=5, adders=None, results=None)
    with pytest.raises(VerificationError, match="a graph of adders that does not multiply by its weights"):
        replace(layer, weights=-layer.weights)


def test_an_accumulator_holds_its_extremes_and_one_bit_less_does_not(tmp_path):
    layer = UnrolledMVAU(
        "layer", ("x",), ("y",), np.array([[7, -8, 7, 7]]), unsigned(4), IntType(-120, 315), (1, 2), None, None, (10,)
    )
    witnesses = np.where(layer.weights[0] > 0, [[15], [0]], [[0], [15]]).reshape(1, 1, 2, 4)
    exact = simulate([layer], {"x": witnesses}, tmp_path / "exact").outputs["y"]
    assert exact.ravel().tolist() == [315, -120]
    narrow = simulate([replace(layer, accumulator_bits=(9,))], {"x": witnesses}, tmp_path / "narrow").outputs["y"]
    assert narrow.ravel().tolist() == [315 - 512, -120]


def test_what_is_on_its_way_in_a_pipeline_finds_room(tmp_path):
    """Two layers as one pipeline, the second with hardly more places than it must have, in front of a reader that takes a
    result in 24 cycles: no result is lost or taken twice."""
    first = replace(_layer(4, 20, unsigned(2), 2, pushes=True), output_names=("between",))
    second = _layer(24, 4, first.output_type, 2, adders_per_stage=4, ahead=first.latency())
    second = replace(second, name="second", input_names=("between",), output_names=("wide",))
    words = 1 << (3 + second.latency() + 2 * second.ahead - 1).bit_length()
    assert (
        3 + second.latency() + 3 * second.ahead > words + 2
    )  # places that do not wait for these results would overflow
    (stream,) = second.outputs()
    reader = StreamingDataWidthConverter("reader", ("wide",), ("y",), stream.shape, stream.type, 24, 1)
    layers = [first, second, reader]
    frames = np.random.default_rng(0).integers(0, 4, (12, *first.inputs()[0].shape))
    expected = second.reference(*first.reference(frames))[0]
    for stalls in (None, 0, 1):
        result = simulate(layers, {"x": frames}, tmp_path, stalls=stalls)
        np.testing.assert_array_equal(result.outputs["y"], expected)
