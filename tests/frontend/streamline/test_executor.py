"""The executor's arithmetic: in `precise` mode a convolution on integers is exact, however it is calculated."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.frontend.streamline.executor import Evaluation, graph_output, run_graph
from tests.dataflow.networks import Network


def convolution(inputs: int, kernel: int, weight_bits: int, scale: np.ndarray | float = 0.25, **options) -> Network:
    network = Network(inputs, 7, 6)
    network.quant(0.5, 8)
    network.conv(inputs, 4, kernel, scale=scale, bits=weight_bits, **options)
    return network


def sums(network: Network, frames: np.ndarray, stride: int, pad: int, groups: int) -> np.ndarray:
    """The network's output, its sums calculated on int64 by definition."""
    quantized, weight = (node for node in network.nodes if node.op_type == "Quant")
    scales = [network.arrays[node.input[1]].astype(np.float64) for node in (quantized, weight)]
    integers = np.clip(np.round(frames / np.float32(0.5)), -128, 127).astype(np.int64)
    integers = np.pad(integers, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    w = np.round(network.arrays[weight.input[0]] / network.arrays[weight.input[1]]).astype(np.int64)
    outputs, depth, kernel, _ = w.shape
    windows = np.lib.stride_tricks.sliding_window_view(integers, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    of_group = outputs // groups
    parts = [
        np.einsum("ncyxij,ocij->noyx", windows[:, g * depth : (g + 1) * depth], w[g * of_group : (g + 1) * of_group])
        for g in range(groups)
    ]
    return np.concatenate(parts, axis=1) * (scales[0] * scales[1]).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("scale", "stride", "pad", "groups"),
    [(0.3, 1, 1, 1), (np.array([0.1, 0.2, 0.3, 0.7]).reshape(4, 1, 1, 1), 2, 1, 1), (0.3, 1, 0, 2)],
)
def test_a_precise_convolution_is_the_sum_of_integers(scale, stride: int, pad: int, groups: int) -> None:
    network = convolution(4, 3, 4, scale, group=groups, strides=[stride] * 2, pads=[pad] * 4)
    frames = 10 * network.frames(3)
    computed = run_graph(network.model(), frames, precise=True)
    assert computed.dtype == np.float64
    assert np.array_equal(computed, sums(network, frames, stride, pad, groups))


def test_sums_that_float32_does_not_hold_are_exact() -> None:
    """Sums of 1170 products of eight bits each go beyond 2²⁴."""
    network = convolution(130, 3, 8, 1.0)
    network.arrays[network.nodes[1].input[0]][...] = 127
    frames = np.full((1, *network.shape[1:]), 63.5, np.float32)
    frames[:, 0] = 63
    expected = sums(network, frames, 1, 0, 1)
    integers = 2 * expected.astype(np.float64)
    assert integers.min() > 1 << 24 and (integers % 2 == 1).all()
    assert np.array_equal(run_graph(network.model(), frames, precise=True), expected)


def test_weights_with_a_scale_for_each_input_channel() -> None:
    """The scale cannot be taken out of such a sum."""
    scale = np.array([0.1, 0.2, 0.3, 0.7]).reshape(1, 4, 1, 1)
    network = convolution(4, 3, 4, scale)
    frames = network.frames(2)
    whole = run_graph(network.model(), frames, precise=True)
    plain = run_graph(network.model(), frames)
    np.testing.assert_allclose(whole, plain, rtol=1e-5, atol=1e-5)
    assert whole.dtype == np.float64


def test_batches_change_nothing() -> None:
    network = convolution(4, 3, 4, 0.3, bias=np.array([0.1, -0.2, 0.3, 7]))
    network.quant(0.7, 4)
    network.conv(4, 3, 1, scale=0.11)
    model, frames = network.model(), network.frames(5)
    one = run_graph(model, frames, precise=True, batch=1)
    assert np.array_equal(one, run_graph(model, frames, precise=True, batch=5))


def test_what_a_run_gives() -> None:
    network = convolution(2, 3, 4)
    quantized = network.nodes[0].output[0]
    model, frames = network.model(), network.frames(2)
    evaluation = Evaluation(model, precise=True)
    values = evaluation.run(frames, keep={quantized})
    assert set(values) == {quantized, graph_output(model.graph)}
    integers = np.clip(np.round(frames / np.float32(0.5)), -128, 127)
    assert np.array_equal(values[quantized], integers.astype(np.float64) * 0.5)
    assert set(evaluation.run(frames, until=quantized)) == {quantized}
    again = evaluation.run(frames, keep={quantized})
    assert all(np.array_equal(values[name], again[name]) for name in values)


@pytest.mark.parametrize("scale", [0.3, np.array([0.1, 0.2, 0.7]).reshape(1, 3, 1, 1)], ids=["one", "a channel"])
def test_a_precise_transposed_convolution_is_zero_where_its_sums_cancel(scale: np.ndarray | float) -> None:
    """Rounded away from zero, a rest of 1e-17 would be a level."""
    network = Network(4, 3, 3)
    network.quant(0.7, 8)
    weights = network.weights(4, 3, 2, 2, scale=scale, bits=5)
    network.node("ConvTranspose", [network.last, weights], strides=[2, 2], kernel_shape=[2, 2])
    network.output_shape = (None,) * 4
    frames = network.frames(40) * 3
    result = run_graph(network.model(), frames, precise=True)
    integers = np.clip(np.round(frames / np.float32(0.7)), -128, 127).astype(np.int64)
    w = np.round(network.arrays[network.nodes[1].input[0]] / network.arrays[network.nodes[1].input[1]]).astype(np.int64)
    sums = np.einsum("nchw,coij->nohiwj", integers, w).reshape(40, 3, 6, 6)
    assert (sums == 0).any() and np.array_equal(result == 0, sums == 0)
    np.testing.assert_allclose(
        result / np.float64(np.float32(0.7)) / np.float32(scale).reshape(-1, 1, 1), sums, rtol=1e-12
    )
