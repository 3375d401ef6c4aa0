"""DepthToSpace: against ONNX' own, in squares of two and three, and in other blocks."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.depth_to_space import DepthToSpace
from tests.kernels.side_by_side import simulate_side_by_side

UINT4 = IntType(0, 15)


def _layer(shape, block=2, simd=1, type_=UINT4):
    return DepthToSpace(
        "layer", ("x",), ("y",), shape, type_, (block, block) if isinstance(block, int) else block, simd
    )


CONFIGURATIONS = (
    _layer((3, 4, 8), simd=2),
    _layer((2, 3, 4), simd=1),
    _layer((2, 2, 27), 3, simd=3),
    _layer((3, 1, 16), simd=2, type_=IntType(-1, 0)),
    _layer((1, 5, 12), simd=1, type_=IntType(0, 1)),
    _layer((2, 3, 36), simd=9, type_=IntType(-128, 127)),  # beats of 72 bits
    _layer((1, 1, 24), (3, 4), simd=2),
    _layer((2, 3, 6), (1, 3)),
    _layer((3, 2, 8), (4, 1), simd=2),
    _layer((1, 1, 6), (1, 6)),
    _layer((1, 1, 5), (5, 1)),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("depth"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_leaves_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


@pytest.mark.parametrize("layer", [layer for layer in CONFIGURATIONS if layer.block[0] == layer.block[1]])
def test_it_is_what_onnx_says(layer):
    node = onnx.helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=layer.block[0], mode="DCR")
    frames = np.arange(2 * np.prod(layer.shape), dtype=np.float32).reshape(2, *layer.shape)
    (expected,) = ReferenceEvaluator(node).run(None, {"x": frames.transpose(0, 3, 1, 2)})
    np.testing.assert_array_equal(layer.reference(frames)[0], expected.transpose(0, 2, 3, 1))


def test_a_block_need_be_no_square():
    layer = _layer((1, 2, 6), (1, 3))
    (frames,) = layer.reference(np.arange(12).reshape(1, 1, 2, 6))
    assert frames.shape == (1, 1, 6, 2) and frames.ravel().tolist() == list(range(12))
    (frames,) = _layer((1, 2, 6), (3, 1)).reference(np.arange(12).reshape(1, 1, 2, 6))
    assert frames[0, :, :, 0].tolist() == [[0, 6], [2, 8], [4, 10]]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="makes 2 × 2 pixels of 6 channels"):
        _layer((2, 2, 6))
    with pytest.raises(UnsupportedError, match="expected two pixels or more"):
        _layer((2, 2, 6), 1)
    with pytest.raises(ConfigError, match="SIMD = 4 does not divide the 2 channels that are left"):
        _layer((2, 2, 8), simd=4)
