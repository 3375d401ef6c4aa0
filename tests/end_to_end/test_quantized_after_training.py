"""Networks quantized after training, from the float checkpoint over their own to the simulated RTL: every integer is that of
the layer graph, and every sum fits the bound that was asked for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.codegen.rtl import write_design
from pipeline.folding.fold import fold
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.models import export
from pipeline.models.names import find
from pipeline.models.registry import fetch, image_network, load_checkpoint, trained_network
from pipeline.models.resolve import drawn_frames
from pipeline.quantize import rounding
from pipeline.quantize.batch_norm import fold_batch_norms
from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.images import Images
from pipeline.quantize.quantize import Source, quantize, twin_of
from pipeline.stages import accumulators
from pipeline.training.checkpoints import save_checkpoint
from pipeline.verification import rtlsim

FRAMES = 2


def source_of(name: str, side: int) -> Source:
    """The float network `name` for images of `side` × `side` pixels, to be quantized by drawn ones. ResNet-8 is trained."""
    spec = replace(find(name), input_shape=(3, side, side))
    network = image_network(spec)
    if name == "resnet8":
        load_checkpoint(network, fetch(find(name)))
    images = torch.from_numpy(drawn_frames(spec, 0, 48).frames)
    fold_batch_norms(network, images[:2])
    drawn = Images(images[:40], images[40:], "drawn frames", [], "", [], "")
    return Source(spec.name, spec.input_shape, network, twin_of(spec), drawn, [], 0.0, 0, spec)


def check(source: Source, config: QuantizeConfig, folder: Path, budget: int) -> None:
    quantized = quantize(config, source)
    assert source.spec is not None
    path = folder / f"{quantized.name}.pth"
    save_checkpoint(quantized.network, path, replace(source.spec, quantization=config.quantized()).as_record())
    frames = drawn_frames(source.spec, 1, FRAMES).frames
    spec, network, _ = trained_network(str(path))
    assert spec.quantization == config.quantized()
    with torch.no_grad():
        assert torch.equal(network(torch.from_numpy(frames)), quantized.network(torch.from_numpy(frames)))
    model, golden, _ = export.export_brevitas(network, frames, folder)
    with torch.no_grad():
        np.testing.assert_array_equal(golden.outputs, network(torch.from_numpy(frames)).numpy())
    streamlined = streamline.streamline(model, golden.inputs, golden.outputs)
    converted = dataflow.convert(streamlined.model, golden.inputs, top1=None).graph
    graph = accumulators.assign(converted)[0]
    if config.accumulator is not None:
        hidden = [layer for layer in quantized.integers.values() if layer.place == "hidden"]
        assert max(int(layer.sum_bits().max()) for layer in hidden) <= config.accumulator
    graph = fold(graph, budget).graph
    design = write_design(graph.layers, [graph.input], [graph.output], folder / "stitched", "stitched")
    integers = graph.input_transform.apply(frames)
    rtlsim.run_network(design, graph, integers, folder, folder / "verified", stall_seed=1, log=lambda line: None)


@pytest.mark.parametrize(
    "given",
    [
        {"weight_bits": 8, "act_bits": 8, "method": "mse_channel"},
        {"weight_bits": 4, "act_bits": 4, "method": "awq", "bias_correct": True},
        {"weight_bits": 3, "act_bits": 4, "method": "gptq/mse_channel", "accumulator": 13},
        {"weight_bits": 3, "act_bits": 3, "method": "qronos/mse_channel", "accumulator": 12},
    ],
    ids=["w8a8", "w4a4", "w3a4_13b", "w3a3_12b"],
)
def test_resnet8_is_exact_in_simulation(given: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "_FACTORS", (1.0,))  # what is searched is the best scale
    check(source_of("resnet8", 8), QuantizeConfig(network="resnet8", **given), tmp_path, 12_000)


@pytest.mark.on_demand
@pytest.mark.parametrize(("name", "side", "budget"), [("resnet20", 8, 12_000), ("cnv", 32, 200_000)])
def test_larger_networks_are_exact_in_simulation(
    name: str, side: int, budget: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounding, "_FACTORS", (1.0,))
    given = {"weight_bits": 4, "act_bits": 4, "method": "gptq/mse_channel", "bias_correct": True, "accumulator": 14}
    check(source_of(name, side), QuantizeConfig(network=name, **given), tmp_path, budget)
