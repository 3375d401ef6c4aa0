"""Small networks with activations of 12 and 16 bits, from QONNX to the simulated hardware, in RTL and in C++."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.codegen import hls
from pipeline.codegen.rtl import write_design
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.folding.fold import fold
from pipeline.frontend.conversion import dataflow
from pipeline.stages import accumulators
from pipeline.verification import cppsim, rtlsim
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare

BUDGET = 1300


def network(bits: int) -> tuple[Network, np.ndarray]:
    """Convolutions, a residual sum, an average and a matrix, all of whose streams have `bits` bits; and frames."""
    n = Network(2, 4, 4)
    n.exact = True
    n.quant(2.0**-8, bits)
    x = n.quant(2.0**-6, bits, signed=0, at=n.conv(2, 4, 3, bits=3, pads=[1, 1, 1, 1]))
    y = n.quant(2.0**-5, bits, at=n.conv(4, 4, 1, bits=2))
    n.node("Add", [x, y])
    n.add("Relu")
    n.quant(2.0**-5, bits, signed=0)
    n.add("GlobalAveragePool")
    n.quant(2.0**-6, bits, signed=0)
    n.add("Flatten")
    n.matmul(4, 3, bits=2)
    n.quant(2.0**-7, bits)
    frames = np.random.default_rng(bits).integers(-(1 << bits - 1), 1 << bits - 1, (5, 2, 4, 4))
    return n, (frames * 2.0**-8).astype(np.float32)


def converted(bits: int) -> tuple[LayerGraph, np.ndarray]:
    n, frames = network(bits)
    result = compare(n, frames, top1=False)
    assert not result.wrong and not result.refused and not result.in_double, result
    return dataflow.convert(n.model(), frames, top1=False, name="wide").graph, frames


@pytest.mark.parametrize(("bits", "style"), [(12, "sparse"), (16, "folded")])
def test_the_hardware_is_exact(bits: int, style: str, tmp_path: Path) -> None:
    """Its input and output have so many bits as well; a graph that is stored and read is the same."""
    whole, frames = converted(bits)
    graph = fold(accumulators.assign(whole)[0], BUDGET, mvau_style=style).graph
    save_graph(graph, tmp_path / "graph")
    graph = load_graph(tmp_path / "graph")
    integers = graph.input_transform.apply(frames)
    np.testing.assert_array_equal(graph.run(integers), whole.run(integers))
    assert graph.layers[0].inputs()[0].type.bits == graph.layers[-1].outputs()[0].type.bits == bits
    design = write_design(graph.layers, [graph.input], [graph.output], tmp_path / "stitched", "stitched")
    run = rtlsim.run_network(
        design, graph, integers, tmp_path, tmp_path / "verified", stall_seed=1, log=lambda line: None
    )
    assert run.steady_cycles <= BUDGET
    if style == "folded":
        run_in_cpp(graph, integers, tmp_path)


def run_in_cpp(graph: LayerGraph, integers: np.ndarray, folder: Path) -> None:
    result = cppsim.run(
        graph,
        hls.write_network(graph, folder / "hls", "finn_design"),
        integers,
        range(len(integers)),
        {},
        folder / "objects",
        folder / "verified",
        workers=2,
        log=lambda line: None,
        on_progress=lambda done, total, what: None,
    )
    assert "no deadlock" in result.summary
