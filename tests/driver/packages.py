"""Small packages, made by the stage that makes all of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from a2q_driver.input_transform import HostStep, InputTransform
from a2q_driver.packing import stream_bytes
from a2q_driver.preprocessing import normalised
from pipeline import package
from pipeline.accumulators.certificate import write_proof
from pipeline.board_design.description import describe
from pipeline.board_design.hwh import render
from pipeline.codegen import rtl as codegen
from pipeline.codegen.accelerator import write_accelerator
from pipeline.dataflow.graph import LayerGraph, OutputTransform
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import load_board
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.mvau import MVAU
from pipeline.models.names import Preprocessing
from pipeline.models.resolve import Anchors, ResolvedModel
from pipeline.stages.accumulators import assign

__all__ = [
    "CONFIG_HASH",
    "PREPROCESSING",
    "golden_images",
    "label_graph",
    "loading_graph",
    "logits_graph",
    "make_package",
]

CONFIG_HASH = "0123456789abcdef8796a5b4c3d2e1f0" + "5a" * 16
PREPROCESSING = Preprocessing((0.491, 0.482, 0.447), (0.247, 0.243, 0.262))


def label_graph() -> LayerGraph:
    """Images of 4 × 4 in three channels, as one flat pixel of 6-bit integers; the label of five classes."""
    rng = np.random.default_rng(3)
    steps = (HostStep("mul", np.float32(0.9)), HostStep("add", np.array([[[0.1]], [[0.0]], [[-0.2]]], np.float32)))
    transform = InputTransform((3, 4, 4), (1, 1, 48), steps, np.float32(0.07), 0, -31, 31, flat=True)
    sums = IntType(-(1 << 13), (1 << 13) - 1)
    weights = rng.integers(-7, 8, (5, 48))
    dense = MVAU("dense", ("input",), ("scores",), weights, IntType(-31, 31), sums, (1, 1), pe=1, simd=12)
    layers = (dense, LabelSelect("label", ("scores",), ("output",), 5, sums))
    after = OutputTransform(np.ones(5), np.zeros(5))
    return LayerGraph("labels", layers, "input", "output", after, transform)


def loading_graph() -> LayerGraph:
    """The same as `label_graph`, with the weights in UltraRAM."""
    graph = label_graph()
    dense, label = graph.layers
    return replace(graph, name="loading", layers=(replace(dense, ram_style="ultra"), label))


def logits_graph() -> LayerGraph:
    """The same images with 4-bit pixels in their places; two logits each of the 16 pixels, of another scale each."""
    rng = np.random.default_rng(4)
    transform = InputTransform((3, 4, 4), (4, 4, 3), (), np.float32(0.2), 8, -8, 7)
    sums, weights = IntType(-128, 127), rng.integers(-4, 5, (2, 3))
    layer = MVAU("pixels", ("input",), ("output",), weights, IntType(-8, 7), sums, (4, 4), pe=2, simd=3)
    after = OutputTransform(np.array([0.5, 0.25]), np.array([1.0, -3.0]))
    return LayerGraph("logits", (layer,), "input", "output", after, transform)


def golden_images(count: int, seed: int = 0) -> np.ndarray:
    """uint8 images (count, 4, 4, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)


def make_package(
    folder: Path,
    graph: LayerGraph,
    frames: np.ndarray | None = None,
    expected: np.ndarray | None = None,
    *,
    preprocessing: Preprocessing | None = PREPROCESSING,
    sources: Sequence[str] = (),
    config_hash: str = CONFIG_HASH,
    board: str = "KV260",
    anchors: Anchors | dict[str, Anchors] = (),
) -> package.Package:
    """A package of `graph` in `folder`/deploy, with what it is made of beside it.

    `frames` are golden images where none are given, `expected` what they give; `sources` are read beside the others.
    """
    target, rtl = load_board(board), folder / "stitched_ip"
    if frames is None:
        frames = normalised(np.moveaxis(golden_images(6), -1, 1), PREPROCESSING.mean, PREPROCESSING.std)
    design = codegen.write_design(graph.layers, [graph.input], [graph.output], rtl, "finn_design_wrapper")
    for source in codegen.rtl_sources():
        shutil.copyfile(source, rtl / source.name)
    top = write_accelerator(design, rtl, config_hash)
    widths = [stream_bytes(port.bytes) for port in (*design.inputs, *design.outputs)]
    blocks = describe(target, target.clock_period_ns, input_stream_bytes=widths[0], output_stream_bytes=widths[1])
    (folder / "finn-accel.hwh").write_text(render(blocks))
    write_proof(assign(graph)[1], [layer for layer in graph if isinstance(layer, MVAU)], folder / "report")
    record = ResolvedModel(
        name=graph.name,
        kind="brevitas",
        file="checkpoint.pth",
        sha256="0" * 64,
        weights="synthetic",
        provenance="synthetic weights, for a test",
        input_shape=(3, 4, 4),
        preprocessing=preprocessing,
        dataset="cifar10",
        bounds={},
        golden_source="a draw",
        anchors=anchors,
    )
    return package.run(
        graph=graph,
        record=record,
        frames=frames,
        expected=graph.run(graph.input_transform.apply(frames)) if expected is None else expected,
        rtl=rtl,
        sources=[*(source.name for source in design.sources), top.name, *sources],
        proof=folder / "report",
        board=target,
        config_hash=config_hash,
        clock_mhz=blocks.clock_mhz,
        address_map=blocks.address_map,
        handoff=folder / "finn-accel.hwh",
        bitstream=None,
        folder=folder / "deploy",
    )
