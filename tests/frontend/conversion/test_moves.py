"""Operators that move, leave out, repeat or join elements, against QONNX's executor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import InputError, UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare, executed

FRAMES = np.random.default_rng(0).integers(-10, 11, (6, 4, 6, 6)).astype(np.float32) / 4


def quantized(**options) -> Network:
    """A network that begins with the quantizer of four channels of 6 × 6 pixels."""
    network = Network(4, 6, 6)
    network.quant(0.25, 4, **options)
    return network


def exact(network: Network, frames: np.ndarray = FRAMES) -> list[str]:
    """The kinds of the layers of `network`, which computes what QONNX's executor does."""
    result = compare(network, frames)
    assert not result.wrong and not result.refused, result
    assert not result.in_double
    return [layer.op_type for layer in dataflow.convert(network.model(), frames, top1=False).graph]


def exact_from_a_file(network: Network, tmp_path: Path) -> LayerGraph:
    """The layer graph of the file of `network`, whose outputs are those of QONNX's executor: their scales are powers of two."""
    expected = executed(network.model(), FRAMES)[network.last]
    graph = dataflow.convert(read(network, tmp_path), FRAMES, top1=False).graph
    real = graph.run(graph.input_transform.apply(FRAMES)) * graph.output_transform.scale + graph.output_transform.bias
    np.testing.assert_array_equal(real.transpose(0, 3, 1, 2), expected)
    return graph


def refused(network: Network, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        dataflow.convert(network.model(), FRAMES, top1=False)


def read(network: Network, tmp_path: Path, rank: int = 4) -> onnx.ModelProto:
    """The file of `network`, whose output has `rank` axes, as a build reads it."""
    path, network.output_shape = tmp_path / "network.onnx", (None,) * rank
    onnx.save(network.model(), path)
    return read_model(path)


# Concat


def three_branches(*scales: float, bits: tuple[int, ...] = (4, 2, 3)) -> Network:
    network = quantized()
    x, branches = network.last, []
    for index, (scale, width) in enumerate(zip(scales, bits, strict=True)):
        network.conv(4, 2 + index, 1, at=x)
        branches.append(network.quant(scale, width, signed=index % 2))
    network.node("Concat", branches, axis=1)
    return network


def test_streams_of_other_types_and_channels_are_joined_in_a_chain():
    network = three_branches(0.5, 0.5, 0.5)
    network.conv(9, 3)
    kinds = exact(network)
    assert kinds.count("StreamingConcat") == 2 and kinds.count("Thresholding") == 0


def test_weights_take_in_scales_in_a_ratio_of_integers():
    network = three_branches(0.5, 0.25, 0.75)
    network.conv(9, 3)
    assert "Thresholding" not in exact(network)


def test_a_matrix_takes_them_in_too():
    network = three_branches(0.5, 0.25, 1.0)
    network.add("Flatten")
    network.matmul(324, 5)
    exact(network)


def test_other_scales_need_a_quantizer():
    network = three_branches(0.5, 0.37, 0.61)
    network.quant(0.5, 4)
    network.conv(9, 3)
    assert "Thresholding" in exact(network)
    network = three_branches(0.5, 0.37, 0.61)
    network.conv(9, 3)
    refused(network, "Conv_.* has scales in no ratio of small integers, one a channel; put a quantizer")


def test_functions_of_one_branch_are_not_those_of_the_other():
    network = quantized()
    x = network.last
    a = network.add("Relu", at=network.conv(4, 2, 3, at=x, pads=[1, 1, 1, 1]))
    b = network.batch_norm(3) if network.conv(4, 3, 1, at=x) else ""
    network.node("Concat", [a, b], axis=1)
    network.quant(0.5, 4)
    network.conv(5, 2, 1)
    exact(network)


def test_vectors_are_joined():
    network = Network(5)
    x = network.quant(0.25, 4)
    branches = [network.quant(0.5, 4) if network.add("MatMul", network.weights(5, n), at=x) else "" for n in (3, 6)]
    network.node("Concat", branches, axis=1)
    network.matmul(9, 4)
    exact(network, FRAMES[:, 0, 0, :5])


def test_rows_of_sound_are_cut_and_joined(tmp_path):
    """Of one axis beside the channels."""
    network = Network(3, 12)
    x = network.quant(0.25, 4)
    convolved = network.node("Conv", [x, network.weights(4, 3, 3)], kernel_shape=[3], pads=[1, 1])
    branch = network.quant(0.25, 4, at=convolved)
    network.node("Concat", [x, branch], axis=1)
    network.add("Slice", *(network.constant(v, np.int64) for v in ([1, 2], [6, 11], [1, 2], [1, 2])))
    network.node("Conv", [network.last, network.weights(2, 5, 2)], kernel_shape=[2])
    frames = FRAMES[:, :3, :2].reshape(-1, 3, 12)
    expected = executed(network.model(), frames)[network.last]
    graph = dataflow.convert(read(network, tmp_path, 3), frames, top1=False).graph
    real = graph.run(graph.input_transform.apply(frames)) * graph.output_transform.scale
    np.testing.assert_array_equal(real[:, 0].transpose(0, 2, 1), expected)


@pytest.mark.parametrize(("axis", "constant", "why"), [(2, False, "axis 2"), (1, True, "joins the constant")])
def test_other_joins_are_refused_by_name(tmp_path, axis, constant, why):
    network = quantized()
    other = network.constant(np.ones((1, 4, 6, 6))) if constant else network.last
    network.node("Concat", [network.last, other], axis=axis)
    network.conv(8 if axis == 1 else 4, 2, 1)
    with pytest.raises(InputError, match=f"Concat_1 joins.*{why}|Concat_1 {why}"):
        read(network, tmp_path)


# Resize


def resized(*factors: float, mode: str = "nearest", **options) -> Network:
    network = quantized()
    operands = [network.last, "", network.constant([1, 1, *factors])]
    network.node("Resize", operands, mode=mode, **options)
    network.conv(4, 3, 3, pads=[1, 1, 1, 1])
    return network


@pytest.mark.parametrize(
    ("factors", "options"),
    [
        ((2, 2), {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
        ((2, 2), {"coordinate_transformation_mode": "asymmetric"}),
        ((2, 3), {}),
        ((3, 1), {"nearest_mode": "round_prefer_ceil"}),
        ((1, 4), {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}),
    ],
)
def test_what_repeats_pixels_is_built(tmp_path, factors, options):
    network = resized(*factors, **options)
    read(network, tmp_path)
    assert "UpsampleNearestNeighbour" in exact(network)


@pytest.mark.parametrize(
    ("factors", "options"),
    [
        ((2, 2), {"mode": "linear"}),
        ((2, 2), {"nearest_mode": "floor"}),
        ((3, 3), {"coordinate_transformation_mode": "asymmetric"}),
        ((1.5, 2), {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
        ((2, 2), {"coordinate_transformation_mode": "align_corners", "nearest_mode": "floor"}),
    ],
)
def test_another_resize_is_refused_by_name(tmp_path, factors, options):
    with pytest.raises(UnsupportedError, match="Resize_1 (has mode linear|makes .* no repetition of each pixel)"):
        read(resized(*factors, **options), tmp_path)


@pytest.mark.parametrize(("op", "version"), [("Upsample", 7), ("Upsample", 9), ("Resize", 10)])
def test_old_files_repeat_pixels_too(tmp_path, op, version):
    network = quantized()
    network.opset = version
    scales = [1.0, 1.0, 2.0, 3.0]
    if version == 7:
        network.add(op, scales=scales)
    else:
        network.add(op, network.constant(scales))
    network.conv(4, 2)
    assert "UpsampleNearestNeighbour" in [layer.op_type for layer in exact_from_a_file(network, tmp_path)]


def test_old_files_cut_and_pad_too(tmp_path):
    """Before they had operands, these operators had attributes."""
    network = quantized()
    network.opset = 9
    network.nodes.append(onnx.helper.make_node("Split", [network.last], ["a", "b"], axis=1, split=[1, 3]))
    network.node("Slice", ["b"], starts=[1], ends=[5], axes=[2])
    network.add("Pad", pads=[0, 0, 1, 0, 0, 0, 0, 2], value=0.0)
    network.conv(3, 2)
    kinds = [layer.op_type for layer in exact_from_a_file(network, tmp_path)]
    assert kinds == ["Crop", "Crop", "FMPadding", "ConvolutionInputGenerator", "MVAU"]


# Slice and Split


def sliced(starts, ends, axes, steps=None) -> Network:
    network = quantized()
    operands = [network.constant(values, np.int64) for values in (starts, ends, axes)]
    network.add("Slice", *operands, *([] if steps is None else [network.constant(steps, np.int64)]))
    return network


@pytest.mark.parametrize(
    ("bounds", "kinds"),
    [
        (([1], [3], [1]), {"Crop"}),
        (([1, -4], [5, 2**31], [2, 3]), {"Crop"}),
        (([0, 1], [6, 6], [2, 3], [2, 3]), {"Crop", "ConvolutionInputGenerator"}),
        (([0, 0], [6, 6], [2, 3], [2, 1]), {"ConvolutionInputGenerator"}),
    ],
)
def test_parts_of_images(tmp_path, bounds, kinds):
    network = sliced(*bounds)
    network.node("Conv", [network.last, network.weights(3, 2 if bounds[2] == [1] else 4, 1, 1)])
    read(network, tmp_path)
    assert kinds <= set(exact(network))


def test_a_part_keeps_the_functions_of_its_channels():
    network = quantized()
    network.conv(4, 4, 1)
    network.batch_norm(4)
    network.add("Relu")
    network.add("Mul", np.array([1.0, -0.5, 2.0, 0.25]).reshape(4, 1, 1))
    network.add("Slice", *(network.constant([v], np.int64) for v in (1, 3, 1)))
    network.quant(0.5, 4)
    network.conv(2, 2, 1)
    exact(network)


def test_a_split_becomes_slices_of_what_is_read(tmp_path):
    network = quantized()
    x = network.last
    parts = ["a", "b", "c"]
    network.nodes.append(onnx.helper.make_node("Split", [x, network.constant([1, 2, 1], np.int64)], parts, axis=1))
    network.node("Concat", ["c", "a"], axis=1)
    network.conv(2, 3, 1)
    graph = exact_from_a_file(network, tmp_path)
    assert [layer.start for layer in graph if layer.op_type == "Crop"] == [(0, 0, 0), (0, 0, 3)]


def test_channels_that_are_no_neighbours_are_refused(tmp_path):
    network = sliced([0], [4], [1], [2])
    network.conv(2, 2, 1)
    refused(network, "Slice_1 takes channels .* that do not lie next to each other")


# Pad


def padded(value: float, pads=(0, 0, 1, 2, 0, 0, 0, 1), **options) -> Network:
    network = quantized(**options)
    network.add("Pad", network.constant(pads, np.int64), np.float32(value))
    network.conv(4, 3)
    return network


@pytest.mark.parametrize("value", [0.0, -0.75])
def test_a_border_of_an_integer(tmp_path, value):
    read(padded(value), tmp_path)
    assert "FMPadding" in exact(padded(value))


@pytest.mark.parametrize("value", [0.1, 100.0])
def test_a_border_that_is_no_integer_of_the_stream_is_refused(value):
    refused(padded(value), f"Pad_1 pads with {value:g}, which is no integer that all channels")


def test_a_border_of_0_behind_a_bias_is_refused():
    network = quantized()
    network.add("Add", np.float32(0.1))
    network.add("Pad", network.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), np.float32(0))
    network.quant(0.5, 4)
    network.conv(4, 2, 1)
    refused(network, "Pad_2 pads with 0, which is no integer")


# DepthToSpace and SpaceToDepth


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("before", [True, False])
def test_squares_behind_a_quantizer_and_before_it(tmp_path, mode, before):
    """Before it, the quantizer still becomes thresholds of the convolution, whose rows change places."""
    network = quantized()
    network.conv(4, 12, 3, bias=None)
    if not before:
        network.quant(0.5, 4)
    network.add("DepthToSpace", blocksize=2, mode=mode)
    if before:
        network.add("Relu")
        network.quant(0.5, 4)
    network.conv(3, 2)
    read(network, tmp_path)
    kinds = exact(network)
    assert kinds.count("DepthToSpace") == 1 and kinds.count("MVAU") == 2 and "Thresholding" not in kinds


def test_squares_of_channels_that_others_read_too():
    network = quantized()
    x = network.conv(4, 8, 1)
    x = network.quant(0.5, 4)
    network.add("DepthToSpace", at=x, blocksize=2, mode="CRD")
    a = network.conv(2, 2)
    b = network.add("Slice", *(network.constant([v], np.int64) for v in (1, 3, 1)), at=x)
    network.last = b
    b = network.add("Resize", network.constant([]), network.constant([1.0, 1, 2, 2]), at=b, mode="nearest")
    b = network.node("Conv", [b, network.weights(2, 2, 3, 3)], kernel_shape=[3, 3])
    network.node("Add", [a, b])
    exact(network)


def test_squares_at_the_end_are_made_in_hardware():
    """As an image, as a host takes it."""
    network = quantized()
    network.conv(4, 12, 3)
    network.add("DepthToSpace", blocksize=2, mode="CRD")
    network.quant(0.5, 8)
    assert exact(network)[-1] == "DepthToSpace"
    graph = dataflow.convert(network.model(), FRAMES, top1=False).graph
    assert graph.layers[-1].outputs()[0].shape == (8, 8, 3)


def test_squares_with_a_bias_for_each_pixel_need_a_quantizer():
    network = quantized()
    network.conv(4, 8, 1, bias=np.arange(8) / 8)
    network.add("DepthToSpace", blocksize=2)
    network.conv(2, 2, 1)
    refused(network, "of which each pixel becomes 2 × 2, with another scale, bias or function")


@pytest.mark.parametrize("as_moves", [True, False])
def test_pixels_of_squares(as_moves):
    """As SpaceToDepth, and as the moves that PyTorch exports of PixelUnshuffle, whose channels have another order."""
    network = quantized()
    if as_moves:
        network.add("Reshape", network.constant([0, 4, 3, 2, 3, 2], np.int64))
        network.add("Transpose", perm=[0, 1, 3, 5, 2, 4])
        network.add("Reshape", network.constant([0, 16, 3, 3], np.int64))
    else:
        network.add("SpaceToDepth", blocksize=2)
    network.add("MaxPool", kernel_shape=[2, 2])
    network.conv(16, 3, 1)
    kinds = exact(network)
    assert kinds.count("ConvolutionInputGenerator") == 2 and kinds.count("MVAU") == 1


# ConvTranspose


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ((2, 2), {"strides": [2, 2]}),
        ((4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
        ((3, 3), {"strides": [2, 2], "pads": [1, 0, 0, 1]}),
        ((5, 3), {"strides": [3, 3], "pads": [2, 1, 1, 0], "output_padding": [2, 1]}),
        ((1, 1), {"strides": [2, 2], "output_padding": [1, 0]}),
        ((3, 3), {"pads": [2, 2, 2, 2]}),
        ((3, 2), {"strides": [2, 2], "dilations": [2, 1]}),
        ((2, 2), {"strides": [2, 2], "group": 2}),
        ((4, 3), {"strides": [2, 1], "pads": [1, 1, 1, 1]}),
        ((1, 4), {"strides": [1, 3], "output_padding": [0, 2]}),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolutions(tmp_path, kernel, options, bias):
    network = quantized()
    scales = np.array([0.5, 0.25, 0.125])[:, None, None] if options.get("group", 1) == 1 else 0.5
    weights = network.weights(4, 3, *kernel, scale=scales)
    operands = [network.last, weights, *([network.constant(np.array([0.5, -1, 2] * options.get("group", 1)))] * bias)]
    network.node("ConvTranspose", operands, kernel_shape=list(kernel), **options)
    network.add("Relu")
    network.quant(1.0, 4, signed=0)
    network.conv(3 * options.get("group", 1), 2, 1)
    read(network, tmp_path)
    exact(network)


@pytest.mark.parametrize("size", [(3, 2, 4), (2, 1, 5), (1, 4, 1), (6, 2, 2)])
@pytest.mark.parametrize("shared", [False, True])
def test_the_numbers_of_a_matrix_become_an_image(tmp_path, size, shared):
    """As a generator's do: channels first in the file, last in the stream."""
    network = Network(5)
    network.quant(0.25, 4)
    network.matmul(5, int(np.prod(size)))
    network.add("Relu")
    network.quant(0.5, 4, signed=0)
    vector = network.last
    network.node("Reshape", [vector, network.constant([-1, *size], np.int64)])
    image = network.quant(0.5, 3, signed=0) if shared else network.last
    if shared:  # the vector is read by another layer, too
        flat = network.node("Reshape", [image, network.constant([0, -1], np.int64)])
        network.node("Add", [vector, flat])
        network.quant(0.5, 4, signed=0)
        network.node("Reshape", [network.last, network.constant([-1, *size], np.int64)])
    network.conv(size[0], 3, (min(2, size[1]), 1), pads=[1, 0, 0, 1])
    network.quant(0.5, 4)
    network.node("ConvTranspose", [network.last, network.weights(3, 2, 2, 2)], strides=[2, 1])
    frames = np.random.default_rng(0).integers(-9, 10, (6, 5)).astype(np.float32) / 4
    read(network, tmp_path)
    layers = exact(network, frames)
    assert "DepthToSpace" in layers and (shared or layers.count("MVAU") == 3), layers


def test_the_quantizer_of_a_transposed_convolution_is_fused():
    network = quantized()
    network.node("ConvTranspose", [network.last, network.weights(4, 3, 2, 2)], strides=[2, 2])
    network.quant(1.0, 4)
    network.conv(3, 2, 1)
    assert exact(network) == ["MVAU", "DepthToSpace", "MVAU"]


@pytest.mark.parametrize(
    ("options", "why"),
    [({"output_shape": [12, 12], "strides": [2, 2]}, "with pads")],
)
def test_other_transposed_convolutions_are_refused_by_name(tmp_path, options, why):
    network = quantized()
    network.node("ConvTranspose", [network.last, network.weights(4, 3, 2, 2)], kernel_shape=[2, 2], **options)
    with pytest.raises(UnsupportedError, match=f"ConvTranspose_2 .*{why}"):
        read(network, tmp_path)


# what pools of images


@pytest.mark.parametrize(
    ("op", "options"),
    [("GlobalMaxPool", {}), ("ReduceMax", {"axes": [2, 3]}), ("ReduceMax", {"axes": [-1, 2], "keepdims": 0})],
)
def test_the_maximum_of_an_image(tmp_path, op, options):
    network = quantized()
    network.conv(4, 3, 1)
    network.add(op, **options)
    network.quant(0.5, 4)
    if options.get("keepdims", 1):
        network.add("Flatten")
    network.matmul(3, 4)
    read(network, tmp_path, 2)
    exact(network)


def test_a_maximum_whose_last_windows_reach_over_the_edge(tmp_path):
    network = quantized()
    network.add("MaxPool", kernel_shape=[2, 3], strides=[2, 2], pads=[1, 0, 0, 0], ceil_mode=1)
    network.conv(4, 2, 1)
    graph = exact_from_a_file(network, tmp_path)
    assert graph.layers[-1].outputs()[0].shape == (4, 3, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"dilations": [2, 2]},
        {"dilations": [2, 1], "pads": [1, 0, 2, 1]},
        {"dilations": [1, 3], "strides": [2, 1], "pads": [0, 1, 0, 1]},
    ],
)
def test_dilated_windows(tmp_path, options):
    """Of a convolution and a maximum; with one dilated convolution it could also be one with zeros between its weights."""
    network = quantized()
    network.add("MaxPool", kernel_shape=[3, 2], **{**options, "pads": options.get("pads", [1, 1, 1, 1])})
    network.conv(4, 3, 2, **options)
    exact_from_a_file(network, tmp_path)


def test_a_maximum_of_windows_without_an_element_is_refused(tmp_path):
    network = quantized()
    network.add("MaxPool", kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1)
    network.conv(4, 2, 1)
    with pytest.raises(UnsupportedError, match="MaxPool_1 has windows without any element of its input"):
        read(network, tmp_path)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_squares_of_a_depthwise_convolution(multiplier: int) -> None:
    """Its rows see the channels in their order, so that an MVAU is added which gives them in another."""
    n = Network(8 // multiplier, 4, 4)
    n.quant(0.25, 4)
    n.conv(8 // multiplier, 8, 3, pads=[1, 1, 1, 1], group=8 // multiplier)
    n.quant(0.25, 4)
    n.add("DepthToSpace", blocksize=2, mode="CRD")
    n.conv(2, 3, 1)
    result = compare(n, n.frames(6), top1=False)
    assert not result.wrong and not result.refused, result
