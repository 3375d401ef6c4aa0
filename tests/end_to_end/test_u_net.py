"""A small U-Net, from QONNX to the simulated hardware: skip connections that wait for what is below, and end in a join."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.accumulators.witness import witness_inputs
from pipeline.codegen import hls
from pipeline.codegen.rtl import write_design
from pipeline.dataflow.graph import LayerGraph
from pipeline.folding.fold import fold
from pipeline.frontend.conversion import dataflow
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.stages import accumulators
from pipeline.verification import cppsim, rtlsim
from tests.dataflow.random_networks import compare
from tests.dataflow.u_net import u_net

FRAMES = np.random.default_rng(0).integers(-9, 9, (6, 2, 8, 8)).astype(np.float32) / 8
BUDGET = 600


@pytest.fixture(scope="module")
def graph() -> LayerGraph:
    whole = dataflow.convert(u_net(channels=2).model(), FRAMES, top1=False, name="u_net").graph
    return fold(accumulators.assign(whole)[0], BUDGET).graph


@pytest.fixture(scope="module")
def integers(graph) -> np.ndarray:
    return graph.input_transform.apply(FRAMES)


def test_every_integer_is_that_of_qonnx():
    result = compare(u_net(), FRAMES)
    assert not result.wrong and not result.refused and not result.in_double


def test_the_hardware_is_exact_at_the_predicted_rate(graph, integers, tmp_path):
    """With random stalls too; and the FIFOs are deep enough for the slowest layer never to wait."""
    design = write_design(graph.layers, [graph.input], [graph.output], tmp_path / "stitched", "stitched")
    run = rtlsim.run_network(
        design, graph, integers, tmp_path, tmp_path / "verified", stall_seed=1, log=lambda line: None
    )
    assert run.steady_cycles <= BUDGET
    assert all(peak <= depth for peak, depth in run.fifo_peaks.values())
    assert max(layer.cycles() for layer in graph) <= run.steady_cycles


def test_the_cpp_is_exact_and_does_not_hang(graph, integers, tmp_path):
    witnesses = {layer.name: witness_inputs(layer) for layer in graph if isinstance(layer, MatrixVector)}
    result = cppsim.run(
        graph,
        hls.write_network(graph, tmp_path / "hls", "finn_design"),
        integers,
        range(len(integers)),
        witnesses,
        tmp_path / "objects",
        tmp_path / "verified",
        workers=2,
        log=lambda line: None,
        on_progress=lambda done, total, what: None,
    )
    assert "no deadlock" in result.summary
