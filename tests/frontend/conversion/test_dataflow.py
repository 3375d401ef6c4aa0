"""Each feature that a stranger's network may have, exact against QONNX's own executor; each refusal by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from pipeline.errors import UnsupportedError, VerificationError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline.executor import Evaluation, graph_output
from tests.dataflow.networks import Network


def mlp(n: Network) -> None:
    n.quant(0.5, 4)
    n.matmul(6, 5)
    n.batch_norm(5)
    n.add("Relu")
    n.quant(0.3, 3, signed=0)
    n.matmul(5, 3)


def signed_activations(n: Network) -> None:
    n.quant(0.5, 4)
    n.matmul(6, 5)
    n.quant(0.7, 3, narrow=1)
    n.matmul(5, 3)


def ties_go_to_even(n: Network) -> None:
    n.quant(1.0, 4)
    n.matmul(6, 4, scale=1.0)
    n.quant(2.0, 4)
    n.matmul(4, 3)


def floor_and_ceil(n: Network) -> None:
    n.quant(1.0, 4, rounding="FLOOR")
    n.matmul(6, 4, scale=1.0)
    n.quant(4.0, 4, rounding="CEIL")
    n.matmul(4, 3)


def zero_point(n: Network) -> None:
    n.quant(0.5, 4, zero=3.0, signed=0)
    n.matmul(6, 5)
    n.quant(0.5, 4, zero=2.0, signed=0)
    n.matmul(5, 3)


def bipolar(n: Network) -> None:
    n.add("BipolarQuant", 1.0)
    weight = n.constant(n.rng.normal(size=(6, 5)))
    last = n.last
    binary = n.add("BipolarQuant", 0.5, at=weight)
    n.node("MatMul", [last, binary])
    n.batch_norm(5)
    n.add("BipolarQuant", 0.5)
    n.matmul(5, 3)


def gemm(n: Network) -> None:
    n.quant(0.5, 4)
    n.add("Gemm", n.weights(5, 6), n.rng.normal(size=5), transB=1, alpha=0.5, beta=2.0)
    n.add("Relu")
    n.quant(0.4, 4, signed=0)
    n.add("Gemm", n.weights(5, 3))


def clip_and_leaky(n: Network) -> None:
    n.quant(0.5, 4)
    n.matmul(6, 5)
    n.add("Clip", np.float32(-1), np.float32(1.5))
    n.quant(0.25, 4)
    n.matmul(5, 4)
    n.add("LeakyRelu", alpha=0.125)
    n.add("Mul", n.rng.normal(size=4))
    n.quant(0.5, 4)
    n.matmul(4, 3)


def float_normalisation(n: Network) -> None:
    n.add("Sub", n.rng.normal(size=6))
    n.add("Div", n.rng.random(6) + 0.5)
    n.add("Neg")
    n.add("Clip", np.float32(-2), np.float32(2))
    mlp(n)


DENSE = [
    mlp,
    signed_activations,
    ties_go_to_even,
    floor_and_ceil,
    zero_point,
    bipolar,
    gemm,
    clip_and_leaky,
    float_normalisation,
]


def convolution(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 4, bias=n.rng.normal(size=4), pads=[1, 1, 1, 1])
    n.batch_norm(4)
    n.add("Relu")
    n.quant(0.5, 4, signed=0)
    n.conv(4, 3, 1, strides=[2, 2])


def uneven_window(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 4, (3, 2), pads=[1, 0, 0, 1], strides=[2, 1])
    n.quant(0.5, 4)
    n.conv(4, 3, (1, 3))


def grouped(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 4, group=2, pads=[1, 1, 1, 1])
    n.quant(0.5, 4)
    n.conv(4, 4, group=4)


def max_pool_after_batch_norm(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 4)
    n.batch_norm(4)
    n.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    n.add("Relu")
    n.quant(0.5, 4, signed=0)
    n.conv(4, 3, 1)


def padded_max_pool(n: Network) -> None:
    n.quant(0.5, 4)
    n.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    n.conv(2, 3, 1)


def pool_of_a_falling_fork(n: Network) -> None:
    n.quant(0.5, 4)
    fork = n.quant(0.5, 3, at=n.conv(2, 3, pads=[1, 1, 1, 1]))
    n.add("Mul", [[[-1.0]], [[1.0]], [[-0.5]]], at=fork)
    n.add("MaxPool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    a = n.quant(0.5, 3)
    n.node("Add", [a, fork])
    n.quant(1.0, 3)
    n.conv(3, 2, 1)


def average_pool(n: Network) -> None:
    n.quant(0.5, 4, signed=0)
    n.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    n.add("Trunc", 0.125, 0.0, 6.0, 0.5, 4.0, rounding_mode="FLOOR", signed=0)
    n.conv(2, 3, 1)


def average_pool_truncated_as_in_version_1(n: Network) -> None:
    n.quantizers_version = 1
    n.quant(0.5, 4, signed=0)
    n.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    n.add("Trunc", 0.125, 0.0, 6.0, 4.0, rounding_mode="FLOOR")
    n.conv(2, 3, 1)


def average_pool_requantized(n: Network) -> None:
    n.quant(0.5, 4, signed=0)
    n.add("AveragePool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=1)
    n.quant(0.3, 4, signed=0)
    n.conv(2, 3, 1)


def global_average(n: Network) -> None:
    n.quant(0.5, 4)
    n.add("GlobalAveragePool")
    n.add("Flatten")
    n.matmul(2, 3)


def reduce_mean(n: Network) -> None:
    n.quant(0.5, 4)
    n.add("ReduceMean", axes=[2, 3], keepdims=0)
    n.matmul(2, 3)


def flatten_after_convolution(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 3)
    n.quant(0.5, 4)
    n.add("Flatten")
    n.matmul(48, 3)


def transposed_flatten(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 3)
    n.quant(0.5, 4)
    n.add("Transpose", perm=[0, 2, 3, 1])
    n.node("Reshape", [n.last, n.constant([1, -1], np.int64)])
    n.matmul(48, 3)


def flattened_input(n: Network) -> None:
    n.quant(0.5, 4)
    n.add("Flatten")
    n.matmul(72, 3)


def residual(n: Network) -> None:
    n.quant(0.5, 4)
    x = n.quant(0.5, 4, signed=0, at=n.conv(2, 3, pads=[1, 1, 1, 1]))
    y = n.quant(0.5, 4, signed=0, at=n.conv(3, 3, pads=[1, 1, 1, 1]))
    n.node("Add", [y, x])
    n.add("Relu")
    n.quant(0.7, 4, signed=0)
    n.conv(3, 2, 1)


def residual_on_accumulator(n: Network) -> None:
    n.quant(0.5, 4)
    x = n.quant(0.5, 4, signed=0, at=n.conv(2, 3, pads=[1, 1, 1, 1]))
    y = n.conv(3, 3, pads=[1, 1, 1, 1], scale=0.125, bias=n.rng.normal(size=3))
    n.node("Add", [y, x])
    n.quant(0.5, 4)
    n.conv(3, 2, 1)


def three_branches(n: Network) -> None:
    x = n.quant(0.5, 4)
    a, b, c = (n.quant(s, 4, at=n.conv(2, 3, pads=[1, 1, 1, 1], at=x)) for s in (0.5, 1.5, 0.25))
    n.node("Sub", [n.node("Add", [a, b]), c])
    n.quant(0.6, 4)
    n.conv(3, 2, 1)


def twice_itself(n: Network) -> None:
    x = n.quant(0.5, 4)
    n.node("Add", [x, x])
    n.quant(0.7, 4)
    n.conv(2, 3, 1)


def identical_requantizers(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 3)
    x = n.quant(0.5, 4)
    a = n.conv(3, 2, 1, at=n.quant(0.5, 4, at=x))
    b = n.conv(3, 2, 1, at=n.quant(0.5, 3, at=x))
    n.node("Add", [a, b])


IMAGES = [
    convolution,
    uneven_window,
    grouped,
    max_pool_after_batch_norm,
    padded_max_pool,
    pool_of_a_falling_fork,
    average_pool,
    average_pool_truncated_as_in_version_1,
    average_pool_requantized,
    global_average,
    reduce_mean,
    flatten_after_convolution,
    transposed_flatten,
    flattened_input,
    residual,
    residual_on_accumulator,
    three_branches,
    twice_itself,
    identical_requantizers,
]


def reference(model, frames: np.ndarray) -> np.ndarray:
    """The outputs by QONNX's own executor, one frame at a time."""
    wrapper = ModelWrapper(model).transform(InferShapes())
    name = graph_output(model.graph)
    return np.concatenate([execute_onnx(wrapper, {"input": frame[None]})[name] for frame in frames])


def check(network: Network, expected_layers: set[str] = frozenset()) -> None:
    model, frames = network.model(), network.frames()
    result = dataflow.convert(model, frames, top1=False)
    graph = result.graph
    assert expected_layers <= {layer.op_type for layer in graph}
    transform = graph.output_transform
    actual = graph.run(graph.input_transform.apply(frames)) * transform.scale + transform.bias
    expected = reference(model, frames)
    if expected.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(actual.ravel(), expected.ravel(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("feature", DENSE, ids=lambda f: f.__name__)
def test_dense_network_is_exact(feature: Callable[[Network], None]) -> None:
    network = Network(6)
    feature(network)
    check(network)


@pytest.mark.parametrize("feature", IMAGES, ids=lambda f: f.__name__)
def test_image_network_is_exact(feature: Callable[[Network], None]) -> None:
    network = Network(2, 6, 6)
    feature(network)
    check(network)


def test_average_that_drops_bits_is_a_shift() -> None:
    network = Network(2, 6, 6)
    average_pool(network)
    graph = dataflow.convert(network.model(), network.frames(), top1=False).graph
    pools = [layer for layer in graph if layer.op_type == "Pool"]
    assert [pool.shift for pool in pools] == [2]
    assert "Thresholding" not in {layer.op_type for layer in graph}


def test_identical_requantizer_needs_no_layer() -> None:
    network = Network(2, 6, 6)
    identical_requantizers(network)
    graph = dataflow.convert(network.model(), network.frames(), top1=False).graph
    assert sum(layer.op_type == "Thresholding" for layer in graph) == 1  # the one of 3 bits


def test_flattened_input_is_sent_flat() -> None:
    network = Network(2, 6, 6)
    flattened_input(network)
    graph = dataflow.convert(network.model(), network.frames(), top1=False).graph
    assert [layer.op_type for layer in graph] == ["MVAU"]
    assert graph.input_transform.shape == (1, 1, 72)


def test_sources_name_the_users_weights() -> None:
    network = Network(6)
    mlp(network)
    graph = dataflow.convert(network.model(), network.frames(), top1=False).graph
    assert [layer.name for layer in graph] == ["MVAU_0", "MVAU_1"]
    assert all(layer.source for layer in graph)


@pytest.mark.parametrize("scale", [0.25, [[0.3, 0.7, 0.1]]], ids=["tensor", "channel"])
def test_label_is_the_largest_output(scale) -> None:
    network = Network(6)
    network.quant(0.5, 4)
    network.matmul(6, 3, scale=np.float32(scale))
    network.add("Add", [0.3, -0.7, 0.9])
    model, frames = network.model(), network.frames(40)
    graph = dataflow.convert(model, frames, top1=True).graph
    labels = graph.run(graph.input_transform.apply(frames)).ravel()
    assert np.array_equal(labels, reference(model, frames).argmax(axis=1))


def test_a_label_is_given_where_there_is_a_number_for_each_class() -> None:
    for size, label in ((3, True), (1, False)):
        network = Network(6)
        network.quant(0.5, 4)
        network.matmul(6, size)
        result = dataflow.convert(network.model(), network.frames(), top1=None)
        assert result.top1 == label == (result.graph.layers[-1].op_type == "LabelSelect")
    network = Network(3, 4, 5)
    network.quant(0.5, 4)
    network.conv(3, 2, kernel=1)
    model, frames = network.model(), network.frames()
    result = dataflow.convert(model, frames, top1=None)
    graph = result.graph
    assert not result.top1 and graph.streams[graph.output].shape == (4, 5, 2)
    with pytest.raises(
        UnsupportedError, match=r"is not one vector of logits; build without the label \(output: logits\)"
    ):
        dataflow.convert(model, frames, top1=True)


def test_equal_outputs_whose_sums_round_apart_have_the_first_label() -> None:
    """Each output sums the same products in another order: equal as integers, not in the network's last bits."""
    network = Network(64)
    network.quant(np.float32(0.3), 8)
    network.matmul(64, 8, scale=np.float32(0.1), bits=8)
    columns = [np.random.default_rng(seed).permutation(np.arange(-60, 68, 2)) for seed in range(8)]
    network.arrays[network.nodes[1].input[0]] = (np.stack(columns, axis=1) * np.float32(0.1)).astype(np.float32)
    frames = np.repeat(np.arange(1, 128, 3, dtype=np.float32)[:, None] * np.float32(0.3), 64, axis=1)
    model = network.model()
    sums = Evaluation(model, precise=True).run(frames)[graph_output(model.graph)]
    assert sums.argmax(axis=1).any()  # the rounding's choice
    graph = dataflow.convert(model, frames, top1=True).graph
    assert not graph.run(graph.input_transform.apply(frames)).any()


def test_a_label_of_another_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(6)
    network.quant(0.5, 4)
    network.matmul(6, 3)
    derive = dataflow.convert_graph

    def spoilt(*arguments, **options):
        conversion = derive(*arguments, **options)
        label = conversion.graph.layers[-1]
        layers = (*conversion.graph.layers[:-1], replace(label, offsets=np.array([10**6, 0, 0])))
        return replace(conversion, graph=replace(conversion.graph, layers=layers))

    monkeypatch.setattr(dataflow, "convert_graph", spoilt)
    with pytest.raises(VerificationError, match="selects output 0 for golden frame"):
        dataflow.convert(network.model(), network.frames(40), top1=True)


def refused(build: Callable[[Network], None], *shape: int) -> str:
    network = Network(*shape)
    build(network)
    with pytest.raises(UnsupportedError) as error:
        dataflow.convert(network.model(), network.frames(), top1=False)
    return str(error.value)


def test_float_weights_are_refused() -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.add("MatMul", n.rng.normal(size=(6, 3)))

    message = refused(build, 6)
    assert "MatMul_1" in message and "float weights" in message


def test_missing_quantizer_is_refused() -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.matmul(6, 4)
        n.add("Relu")
        n.matmul(4, 3)

    message = refused(build, 6)
    assert "MatMul_5" in message and "quantizer" in message


def test_wide_input_is_refused() -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 17)
        n.matmul(6, 4)

    message = refused(build, 6)
    assert "Quant_0" in message and "17 bits" in message


def test_unknown_operator_is_refused_with_what_is_supported() -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.matmul(6, 4)
        n.add("Hardmax")

    message = refused(build, 6)
    assert "Hardmax_3" in message and "MaxPool" in message


def classifier(end: str) -> Network:
    network = Network(6)
    network.quant(0.5, 4)
    network.matmul(6, 3)
    network.add(end, **({} if end == "Sigmoid" else {"axis": 1}))
    return network


@pytest.mark.parametrize("end", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_a_label_needs_no_softmax(end: str) -> None:
    network = classifier(end)
    model, frames = network.model(), network.frames(40)
    result = dataflow.convert(model, frames, top1=True)
    assert result.left_out == f"{end} node {end}_3"
    assert [layer.op_type for layer in result.graph] == ["MVAU", "LabelSelect"]
    labels = result.graph.run(result.graph.input_transform.apply(frames)).ravel()
    assert np.array_equal(labels, reference(model, frames).argmax(axis=1))


@pytest.mark.parametrize("end", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_of_logits_the_host_computes_a_softmax(end: str) -> None:
    network = classifier(end)
    model, frames = network.model(), network.frames(10)
    result = dataflow.convert(model, frames, top1=False)
    assert result.on_host == f"{end} node {end}_3" and not result.left_out
    outputs = result.graph.output_transform.outputs(result.graph.run(result.graph.input_transform.apply(frames)))
    np.testing.assert_allclose(outputs, reference(model, frames), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("top1", [True, False])
def test_a_quantized_bias_before_a_softmax_is_the_last_layers(top1: bool) -> None:
    network = Network(6)
    network.quant(0.5, 4)
    sums = network.matmul(6, 3)
    network.add("Add", network.quant(0.125, 6, at=network.constant(network.rng.normal(size=3))), at=sums)
    network.add("Softmax", axis=1)
    model, frames = network.model(), network.frames(40)
    result = dataflow.convert(model, frames, top1=top1)
    assert (result.left_out or result.on_host).startswith("Softmax node")
    given = result.graph.run(result.graph.input_transform.apply(frames))
    expected = reference(model, frames)
    if top1:
        assert np.array_equal(given.ravel(), expected.argmax(axis=1))
    else:
        np.testing.assert_allclose(result.graph.output_transform.outputs(given), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("step", [0.125, 0.0375, 1 / 1024, 0.37])
def test_one_scale_of_all_logits_needs_no_multiplication(step: float) -> None:
    """Their biases are no multiples of it; what is left of them decides between sums that are equal otherwise."""
    network = Network(6)
    network.quant(0.5, 2)
    sums = network.matmul(6, 5)
    network.add("Add", step * np.array([3.0, -1.0, 0.0, 2.0, 3.0]), at=sums)
    model, frames = network.model(), network.frames(200)
    graph = dataflow.convert(model, frames, top1=True).graph
    label = graph.layers[-1]
    shifts = set(() if label.multipliers is None else label.multipliers.tolist())
    assert shifts <= {1, 2, 4, 8} and len(shifts) <= 1 and label.legal_values() == {"pe": (1, 5)}
    expected = Evaluation(model, precise=True).run(frames)[graph_output(model.graph)].argmax(axis=1)
    assert np.array_equal(graph.run(graph.input_transform.apply(frames)).ravel(), expected)
    assert len(np.unique(expected)) > 3


def test_a_network_without_an_end_is_left_whole() -> None:
    network = Network(6)
    mlp(network)
    assert dataflow.convert(network.model(), network.frames(), top1=True).left_out == ""


def test_division_of_the_input_by_zero_is_refused() -> None:
    def build(n: Network) -> None:
        n.add("Div", n.quant(0.5, 4, at=n.constant([0.0] * 6)), at="input")
        n.quant(0.5, 4)
        n.matmul(6, 3)

    assert "divides by zero" in refused(build, 6)


def test_a_wrong_layer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(6)
    mlp(network)
    derive = dataflow.convert_graph

    def spoilt(*arguments, **options):
        conversion = derive(*arguments, **options)
        conversion.graph.layers[0].thresholds[:, :] += 1000
        return conversion

    monkeypatch.setattr(dataflow, "convert_graph", spoilt)
    with pytest.raises(VerificationError, match="Layer MVAU_0"):
        dataflow.convert(network.model(), network.frames(), top1=False)
