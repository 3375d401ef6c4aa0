"""Layers as FINN's nodes: what FINN itself makes of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from finn.builder.build_dataflow_config import DataflowBuildConfig
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp

from pipeline.config import load_config
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.registry import kernels
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import load_board
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.finn import check, export, record
from pipeline.finn.model import INPUT, to_finn
from pipeline.finn.releases import RELEASES
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.depth_to_space import DepthToSpace
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.elementwise_mul import ElementwiseMul
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool
from pipeline.kernels.streaming_concat import StreamingConcat
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.vvau import VVAU

KV260 = load_board("KV260")
UINT4, INT4 = IntType(0, 15), IntType(-8, 7)
RNG = np.random.default_rng(0)

# of every other kernel FINN has nodes, whatever the layer; a DspMVAU is FINN's MVAU with resType dsp
WITHOUT = {"DepthToSpace", "Lookup", "ParallelWindow", "SparseMVAU", "UnrolledMVAU"}
IN_NETWORKS = {"AddStreams", "DuplicateStreams", "ElementwiseMul", "StreamingConcat", "VVAU"}  # below
ALONE = sorted(
    name
    for name, kernel in kernels().items()
    if kernel.__module__.startswith("pipeline.") and not kernel.between_layers and name not in WITHOUT | IN_NETWORKS
)


def graph_of(*layers, output=None) -> LayerGraph:
    return LayerGraph("net", layers, layers[0].input_names[0], output or layers[-1].output_names[0])


def frames_for(graph: LayerGraph, count: int = 2) -> np.ndarray:
    stream = graph.streams[graph.input]
    return RNG.integers(stream.type.lo, stream.type.hi + 1, (count, *stream.shape))


def exported(graph, folded=None, budget=10**9):
    return to_finn(graph, folded or graph, budget)


def attribute(model, name, key):
    node = next(node for node in model.graph.node if node.name == name)
    return getCustomOp(node).get_nodeattr(key)


@pytest.mark.parametrize("name", ALONE)
def test_finn_computes_what_a_drawn_layer_does(name):
    for seed in range(3):
        layer = kernels()[name].draw(Draw(seed))
        if name == "Crop" and (layer.start[2], layer.size[2]) != (0, layer.shape[2]):
            with pytest.raises(UnsupportedError, match="channels, and Crop takes all"):
                layer.finn_graph()
            continue
        graph = graph_of(layer)
        model = exported(graph)
        assert check.check_frames(model, frames_for(graph)) == 2
        specialized = check.specialized(model, KV260.part)
        assert len(check.costs(model, specialized, KV260.part)) == len(model.model.graph.node)


def test_a_layer_that_finn_has_not_is_named_with_all_others():
    first = DepthToSpace(
        "DepthToSpace_0", ("a",), ("b",), shape=(4, 4, 16), type=UINT4, block=(2, 2), source="shuffle1"
    )
    second = DepthToSpace("DepthToSpace_1", ("b",), ("c",), shape=(8, 8, 4), type=UINT4, block=(2, 2))
    with pytest.raises(UnsupportedError) as error:
        exported(graph_of(first, second))
    assert "layer DepthToSpace_0 (shuffle1)" in str(error.value) and "layer DepthToSpace_1" in str(error.value)


@pytest.mark.parametrize("kind", ["add", "scaled", "mul", "concat"])
def test_branches_that_meet(kind):
    shape = (4, 4, 6)
    copies = DuplicateStreams("DuplicateStreams_0", ("x",), ("a", "b"), shape=shape, type=UINT4, copies=2)
    types = (UINT4, UINT4)
    join = {
        "add": lambda: AddStreams("Join_0", ("a", "b"), ("y",), shape=shape, types=types),
        "scaled": lambda: AddStreams("Join_0", ("a", "b"), ("y",), shape=shape, types=types, multipliers=(3, -2)),
        "mul": lambda: ElementwiseMul("Join_0", ("a", "b"), ("y",), shape=shape, types=types),
        "concat": lambda: StreamingConcat("Join_0", ("a", "b"), ("y",), pixels=shape[:2], channels=(6, 6), types=types),
    }[kind]()
    graph = graph_of(copies, join)
    assert check.check_frames(exported(graph), frames_for(graph)) == 4


def matrix(rows=6, columns=18, bias=None, thresholds=True, **fields) -> MVAU:
    weights = RNG.integers(-7, 8, (rows, columns))
    levels = np.sort(RNG.integers(-300, 300, (rows, 15))) if thresholds else None
    bits = 14
    given = {
        "weights": weights,
        "input_type": UINT4,
        "output_type": UINT4 if thresholds else IntType.of_bits(bits, signed=True),
    }
    return MVAU(
        "MVAU_0", ("w",), ("y",), **given, pixels=(4, 4), thresholds=levels, bias=bias, accumulator_bits=(bits,) * rows, **fields
    )  # fmt: skip


def network(unit: MVAU) -> LayerGraph:
    padding = FMPadding("FMPadding_0", ("x",), ("p",), shape=(4, 4, 2), type=UINT4, pads=(1, 1, 1, 1))
    windows = ConvolutionInputGenerator(
        "ConvolutionInputGenerator_0", ("p",), ("w",), shape=(6, 6, 2), type=UINT4, kernel=(3, 3), stride=(1, 1)
    )
    return graph_of(padding, windows, unit)


@pytest.mark.parametrize("thresholds", [True, False])
@pytest.mark.parametrize("bias", [None, np.array([90, -90, 0, 1, -1, 40])])
def test_a_bias_goes_into_thresholds_or_stands_behind_the_sums(thresholds, bias):
    graph = network(matrix(bias=bias, thresholds=thresholds))
    model = exported(graph)
    check.check_frames(model, frames_for(graph))
    kinds = [node.op_type for node in model.model.graph.node]
    assert kinds[2:] == ["MVAU"] + ["Thresholding"] * thresholds + ["ElementwiseAdd"] * (
        bias is not None and not thresholds
    )
    assert attribute(model.model, "MVAU_0", "accDataType") == "INT14"


def test_finns_widths_are_at_most_the_ones_that_are_proven_here():
    unit = matrix()
    exact = replace(unit, accumulator_bits=unit.exact_accumulator_bits())
    (width,) = check.check_widths(exported(network(exact)))
    assert width.exported == width.finn == f"INT{max(unit.exact_accumulator_bits())}"
    (wide,) = check.check_widths(exported(network(unit)))
    assert (wide.exported, wide.finn) == ("INT14", width.finn)


def test_an_accumulator_that_finn_finds_too_narrow_is_an_error():
    model = exported(network(matrix()))
    node = next(node for node in model.model.graph.node if node.op_type == "MVAU")
    getCustomOp(node).set_nodeattr("accDataType", "INT9")
    with pytest.raises(
        VerificationError, match="MVAU_0 has accumulators of type INT9, and FINN finds that it needs INT1"
    ):
        check.check_widths(model)


def test_another_integer_anywhere_is_an_error_that_names_the_layer():
    graph = network(matrix())
    model = exported(graph)
    (weights,) = (init for init in model.model.graph.initializer if init.name == "MVAU_0_param0")
    values = numpy_helper.to_array(weights).copy()
    values[0, 0] += 1
    model.model.set_initializer("MVAU_0_param0", values)
    with pytest.raises(
        VerificationError, match=r"FINN's execution differs at y|global_out, written by MVAU_0: frame 0"
    ):
        check.check_frames(model, frames_for(graph))


def depthwise(pe: int, simd: int) -> LayerGraph:
    windows = ConvolutionInputGenerator(
        "ConvolutionInputGenerator_0", ("x",), ("w",), shape=(6, 6, 4), type=UINT4, kernel=(3, 3), stride=(1, 1),
        simd=simd, depthwise=True,
    )  # fmt: skip
    unit = VVAU(
        "VVAU_0", ("w",), ("y",), weights=RNG.integers(-7, 8, (4, 9)), input_type=UINT4,
        output_type=IntType.of_bits(12, signed=True), pixels=(4, 4), accumulator_bits=(12,) * 4, pe=pe,
    )  # fmt: skip
    return graph_of(windows, unit)


@pytest.mark.parametrize("pe", [1, 2, 4])
def test_depthwise_windows_are_as_wide_as_their_unit(pe):
    graph = depthwise(pe, simd=pe)
    model = exported(graph)
    check.check_frames(model, frames_for(graph))
    window = next(node.name for node in model.model.graph.node if node.op_type == "ConvolutionInputGenerator")
    assert attribute(model.model, window, "depthwise") == 1 and attribute(model.model, window, "SIMD") == pe


def pooled(kernel, function, shift=0) -> LayerGraph:
    windows = ConvolutionInputGenerator(
        "ConvolutionInputGenerator_0", ("x",), ("w",), shape=(4, 4, 4), type=UINT4, kernel=kernel, stride=kernel, simd=2
    )
    size = kernel[0] * kernel[1]
    pool = Pool(
        "Pool_0", ("w",), ("y",), pixels=windows.output_pixels, channels=4, window=size, type=UINT4,
        function=function, shift=shift, pe=2,
    )  # fmt: skip
    return graph_of(windows, pool)


@pytest.mark.parametrize(
    ("kernel", "function", "shift", "nodes"),
    [
        ((2, 2), "max", 0, ["ConvolutionInputGenerator", "Pool"]),
        ((2, 2), "sum", 2, ["ConvolutionInputGenerator", "Pool"]),
        ((4, 4), "sum", 0, ["GlobalAccPool"]),
    ],
)
def test_pools_are_finns_own(kernel, function, shift, nodes):
    graph = pooled(kernel, function, shift)
    model = exported(graph)
    assert [node.op_type for node in model.model.graph.node] == nodes
    check.check_frames(model, frames_for(graph))
    if len(nodes) > 1:  # FINN's Pool takes the windows of a depthwise generator
        assert attribute(model.model, "ConvolutionInputGenerator_0", "depthwise") == 1


def test_a_label_is_selected_by_the_classes_scales():
    unit = LabelSelect(
        "LabelSelect_0", ("x",), ("y",), labels=5, input_type=INT4, multipliers=np.array([1, 2, 3, 1, 2]),
        offsets=np.array([0, -3, 4, 9, 0]),
    )  # fmt: skip
    graph = graph_of(unit)
    check.check_frames(exported(graph), frames_for(graph, 20))


def test_each_style_becomes_what_finn_has():
    graph = network(matrix(pe=1, simd=1))
    fields = {
        name: getattr(graph.layers[2], name)
        for name in ("weights", "input_type", "output_type", "pixels", "thresholds", "accumulator_bits")
    }
    dsp = DspMVAU("MVAU_0", ("w",), ("y",), **fields, pe=3, simd=6, family="xcup")
    fifo = StreamingFIFO("StreamingFIFO_0", ("p",), ("q",), shape=(6, 6, 2), type=UINT4, lanes=1, depth=7)
    windows = replace(graph.layers[1], input_names=("q",))
    folded = LayerGraph("net", (graph.layers[0], fifo, windows, dsp), "x", "y")
    model = exported(graph, folded)
    values = [attribute(model.model, "MVAU_0", key) for key in ("PE", "SIMD", "resType", "preferred_impl_style")]
    assert values == [3, 6, "dsp", "rtl"] and not model.notes
    assert attribute(model.model, "FMPadding_0", "outFIFODepths") == [7]
    assert attribute(model.model, "ConvolutionInputGenerator_0", "inFIFODepths") == [7]

    unrolled = UnrolledMVAU("MVAU_0", ("w",), ("y",), **fields)
    model = exported(graph, LayerGraph("net", (*graph.layers[:2], unrolled), "x", "y"), budget=16 * 18)
    pe, simd = (attribute(model.model, "MVAU_0", key) for key in ("PE", "SIMD"))
    assert pe * simd == 6 and attribute(model.model, "MVAU_0", "resType") == "lut"  # 4 × 4 × 6 × 18 / 6 cycles
    assert model.notes == ("MVAU_0: unrolled here, which FINN has not; folded for at most 288 cycles a frame",)


def test_the_folder_is_what_finns_flow_takes(tmp_path):
    graph = network(matrix(pe=3, simd=6))
    frames = frames_for(graph, 3)
    result = export.run(graph, graph, 10**9, frames, KV260, 3.3333, tmp_path, version="1")
    assert (result.frames, result.same_widths) == (3, False) and result.slowest.cycles > 36
    assert record.load(tmp_path) == result and record.load(tmp_path / "finn") is None
    finn = tmp_path / "finn"

    model = ModelWrapper(str(finn / "model.onnx"))
    given, expected = np.load(finn / "input.npy"), np.load(finn / "expected_output.npy")
    for frame, output in zip(given, expected, strict=True):
        assert np.array_equal(execute_onnx(model, {INPUT: frame[None]})["global_out"][0], output)

    settings = DataflowBuildConfig.construct_from(finn / "dataflow_build_config.json")
    assert settings.board == "KV260_SOM" and settings.synth_clk_period_ns == 3.333
    from finn.builder.build_dataflow_config import default_build_dataflow_steps

    assert set(settings.steps) <= set(default_build_dataflow_steps)
    for release in RELEASES:
        read = load_config(finn / release.config, {"model": "quant_tfc_w2a2"})
        assert (load_board(read.board).part, read.synth_clk_period_ns) == (KV260.part, 3.333)
        assert read.golden_inputs == finn / "input.npy" and read.folding_config_file == finn / "folding_config.json"
    for path in (settings.folding_config_file, settings.specialize_layers_config_file):
        assert path.is_file()
    folding = json.loads((finn / "folding_config.json").read_text())
    assert (folding["MVAU_hls_0"]["PE"], folding["MVAU_hls_0"]["SIMD"]) == (3, 6)
    depths = json.loads((finn / "fifo_config.json").read_text())["fifo_depths"]
    assert depths and all(name.startswith("StreamingFIFO_rtl_") for name in depths)
