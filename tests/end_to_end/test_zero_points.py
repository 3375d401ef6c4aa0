"""A network in QDQ whose zero points lie off the middle, in the simulated hardware: its moved integers, bias and thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from pipeline.codegen.rtl import write_design
from pipeline.folding.fold import fold
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.reading import read_model
from pipeline.stages import accumulators
from pipeline.verification import rtlsim
from tests.dataflow.networks import Network


def network() -> Network:
    n = Network(2, 4, 4)

    def quantized(zero: int) -> None:
        scale, point = n.constant(0.25), n.constant(zero, np.uint8)
        n.node("DequantizeLinear", [n.node("QuantizeLinear", [n.last, scale, point]), scale, point])

    def conv(outputs: int, kernel: int, **options) -> None:
        last, inputs = n.last, 2 // options.get("group", 1)
        weights = n.constant(n.rng.integers(-127, 128, (outputs, inputs, kernel, kernel)), np.int8)
        real = n.node("DequantizeLinear", [weights, n.constant(2.0**-6), n.constant(0, np.int8)])
        n.node("Conv", [last, real], kernel_shape=[kernel, kernel], **options)

    quantized(114)
    conv(2, 3, pads=[1, 1, 1, 1], group=2)
    quantized(40)
    conv(2, 1)
    quantized(99)
    conv(3, 2, pads=[0, 0, 1, 1])
    n.output_shape = (1, 3, 4, 4)
    return n


def test_the_hardware_is_exact_and_eight_bits_wide(tmp_path: Path) -> None:
    n = network()
    frames = (np.random.default_rng(0).integers(-200, 201, (4, 2, 4, 4)) / 4).astype(np.float32)
    onnx.save(n.model(), tmp_path / "network.onnx")
    model = read_model(tmp_path / "network.onnx")
    streamlined = streamline.streamline(model, frames, run_graph(model, frames)).model
    assigned = accumulators.assign(dataflow.convert(streamlined, frames, top1=False).graph)[0]
    graph = fold(assigned, 400).graph
    last = graph.accumulating[-1]
    assert last.bias is not None and {layer.input_type.bits for layer in graph.accumulating} == {8}
    design = write_design(graph.layers, [graph.input], [graph.output], tmp_path / "stitched", "stitched")
    integers = graph.input_transform.apply(frames)
    assert integers.min() >= -128 and integers.max() <= 127 and np.ptp(integers) > 200
    rtlsim.run_network(design, graph, integers, tmp_path, tmp_path / "verified", stall_seed=1, log=lambda line: None)
    real = graph.output_transform.outputs(graph.run(integers))
    assert np.array_equal(np.moveaxis(real, -1, 1), run_graph(model, frames))
