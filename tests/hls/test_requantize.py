"""Requantizers in HLS C++ against their reference, in every kernel that thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.layer import Layer
from tests.hls.frames import frames_of
from tests.hls.programs import program_of
from tests.kernels.test_activation import MATRICES, THRESHOLDING, near_thresholds

pytestmark = pytest.mark.xdist_group("hls_requantize")  # they share a compiled program

# those for DSPs differ in a pragma: two are enough
LAYERS: dict[str, Layer] = {
    name: layer
    for name, layer in {**THRESHOLDING, **MATRICES}.items()
    if "dsps" not in name or name in ("two_dsps", "dsps_sparse")
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return program_of(LAYERS, tmp_path_factory.mktemp("requantize"))


@pytest.mark.parametrize("numbers", ["strict", "fast"])
@pytest.mark.parametrize("name", LAYERS)
def test_levels_are_exact_frame_after_frame(program, name, numbers):
    layer = LAYERS[name]
    inputs = [near_thresholds(layer)] if name in THRESHOLDING else frames_of(layer)
    (results,), _ = program.run(name, inputs, numbers)
    np.testing.assert_array_equal(results, layer.reference(*inputs)[0])
