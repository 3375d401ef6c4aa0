"""Every kernel in Yosys' simulator, which reads the sources as synthesis does: exact, and in the cycles that are predicted."""

from __future__ import annotations

import pytest

from tests.hw.cxxrtl import build_cxxrtl_model
from tests.hw.every_kernel import EVERY_KERNEL
from tests.kernels.side_by_side import simulate_side_by_side


# apart, as input waits for the weights of a design
@pytest.fixture(scope="module", params=[False, True], ids=["weights_in_memories", "weights_that_are_loaded"])
def simulated(request, tmp_path_factory):
    # a part of a pipeline waits for no reader, so it is simulated as it is alone; pipelines in tests/folding/test_latency.py
    layers = [layer.alone for layer in EVERY_KERNEL if layer.loads_weights == request.param]
    return simulate_side_by_side(layers, tmp_path_factory.mktemp("cxxrtl"), build_cxxrtl_model)


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_are_as_far_apart_as_predicted(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()
