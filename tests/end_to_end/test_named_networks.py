"""Networks by name at small inputs, from weights to their simulated RTL: every integer is that of the layer graph. U-Net has
a file of its own.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.codegen.rtl import write_design
from pipeline.folding.fold import fold
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.models import export, mobilenetv1, mobilenetv2, registry
from pipeline.models.names import find
from pipeline.models.resolve import drawn_frames, golden_frames
from pipeline.models.synthetic import fill
from pipeline.stages import accumulators
from pipeline.verification import rtlsim

FRAMES = 3


@pytest.mark.parametrize(
    ("name", "input_shape", "output_shape", "budget"),
    [
        ("quant_vgg10x0.0625_w4a4_a2q_13b", (2, 1, 128), (1, 1, 1), 4000),
        ("quant_tinyyolox0.0625_w4a4_a2q_13b", (3, 32, 16), (2, 1, 40), 6000),
        ("quant_tinyyolov3x0.0625_w4a4_a2q_13b", (3, 32, 32), (1, 1, 24 * (1 * 1 + 2 * 2)), 12000),
        ("quant_dscnnx0.0625_w4a4_a2q_13b", (1, 12, 6), (1, 1, 1), 4000),
        ("quant_mobilenetv1x0.0625_w4a4_a2q_13b", (3, 8, 8), (1, 1, 1), 4000),
        ("quant_mobilenetv2x0.125_w4a4_a2q_13b", (3, 8, 8), (1, 1, 1), 4000),
    ],
)
def test_a_network_by_its_name_is_exact_in_simulation(
    name: str, input_shape: tuple[int, int, int], output_shape: tuple[int, ...], budget: int, tmp_path, monkeypatch
) -> None:
    """With random stalls too. Of MobileNets two or three blocks: with strides, and with a residual sum."""
    monkeypatch.setattr(mobilenetv1, "_BLOCKS", ((64, 1), (128, 2)))
    monkeypatch.setattr(mobilenetv2, "_BLOCKS", ((1, 16, 1, 1), (2, 24, 2, 2)))
    spec = replace(find(name), input_shape=input_shape)
    network = registry.network(spec)
    fill(network, drawn_frames(spec, 0, 16).frames, seed=0)
    frames = golden_frames(spec, 0, FRAMES).frames
    model, golden, _ = export.export_brevitas(network, frames, tmp_path)
    streamlined = streamline.streamline(model, golden.inputs, golden.outputs)
    converted = dataflow.convert(streamlined.model, golden.inputs, top1=None).graph
    graph = fold(accumulators.assign(converted)[0], budget).graph
    design = write_design(graph.layers, [graph.input], [graph.output], tmp_path / "stitched", "stitched")
    integers = graph.input_transform.apply(frames)
    assert graph.run(integers).shape[1:] == output_shape
    run = rtlsim.run_network(
        design, graph, integers, tmp_path, tmp_path / "verified", stall_seed=1, log=lambda line: None
    )
    assert run.steady_cycles <= budget
