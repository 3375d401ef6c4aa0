"""Requantizers in HLS C++ against their reference, in every kernel that thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.layer import Layer
from tests.hls.frames import frames_of
from tests.hls.programs import program_of
from tests.kernels.test_requantize import MATRICES, THRESHOLDING

pytestmark = pytest.mark.xdist_group("hls_requantize")  # they share a compiled program

LAYERS: dict[str, Layer] = {**THRESHOLDING, **MATRICES}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return program_of(LAYERS, tmp_path_factory.mktemp("requantize"))


@pytest.mark.parametrize("numbers", ["strict", "fast"])
@pytest.mark.parametrize("name", LAYERS)
def test_levels_are_exact_frame_after_frame(program, name, numbers):
    layer = LAYERS[name]
    inputs = frames_of(layer)
    if name in THRESHOLDING:  # around every threshold
        rows = np.broadcast_to(layer.thresholds, (layer.shape[2], layer.thresholds.shape[1]))
        near = np.clip(np.hstack([rows - 1, rows]).T, layer.input_type.lo, layer.input_type.hi)
        pixels = layer.shape[0] * layer.shape[1]
        near = np.resize(near, (-(-len(near) // pixels) * pixels, near.shape[1]))
        inputs = [np.concatenate([inputs[0], near.reshape(-1, *layer.shape)])]
    (results,), _ = program.run(name, inputs, numbers)
    np.testing.assert_array_equal(results, layer.reference(*inputs)[0])
