"""Average pooling against QONNX's executor: what is counted at the border is what ONNX says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.frontend.conversion import dataflow
from pipeline.frontend.conversion.walk import convert_graph
from pipeline.frontend.streamline.executor import graph_output, run_graph
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare, executed

FRAMES = np.random.default_rng(0).integers(0, 16, (6, 2, 4, 4)).astype(np.float32) / 2


def padded_average(scale: float = 0.25, **options) -> Network:
    network = Network(2, 4, 4)
    network.quant(0.5, 4, signed=0)
    options = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]} | options
    network.add("AveragePool", **options)
    network.quant(scale, 5, signed=0)
    network.conv(2, 3, 1)
    return network


def test_padding_is_not_counted_by_default() -> None:
    model = padded_average().model()
    expected = executed(model, FRAMES)[graph_output(model.graph)]
    assert np.array_equal(run_graph(model, FRAMES), expected)
    counted = padded_average(count_include_pad=1).model()
    assert not np.array_equal(run_graph(counted, FRAMES), expected)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel_shape": [3, 3], "strides": [1, 1], "count_include_pad": 0},
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]},
        {"kernel_shape": [4, 4], "strides": [3, 2], "pads": [3, 1, 0, 2]},
    ],
)
@pytest.mark.parametrize("scale", [0.25, 0.3])
def test_an_average_that_does_not_count_its_padding_is_exact(options: dict, scale: float) -> None:
    network = padded_average(scale, **options)
    result = compare(network, FRAMES)
    assert not result.wrong and not result.refused and not result.undecided
    pool = next(layer for layer in convert_graph(network.model(), top1=False, name="").graph if layer.op_type == "Pool")
    assert pool.row_counts and len(set(pool.row_counts)) > 1


def test_a_convolution_reads_averages_that_do_not_count_their_padding_and_an_offset() -> None:
    network = Network(2, 5, 4)
    network.quant(0.5, 4, signed=0)
    network.add("Add", np.float32(0.5))
    network.add("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    network.conv(2, 3, 1)
    network.quant(0.5, 6)
    result = compare(network)
    assert not result.wrong and not result.refused


def test_over_one_axis_too(tmp_path: Path) -> None:
    network = Network(2, 7)
    network.quant(0.5, 4)
    network.add("AveragePool", kernel_shape=[3], strides=[2], pads=[1, 1])
    network.quant(0.25, 5)
    network.output_shape = (None,) * 3
    onnx.save(network.model(), tmp_path / "network.onnx")
    frames = np.random.default_rng(0).integers(-20, 20, (6, 2, 7)).astype(np.float32) / 4
    graph = dataflow.convert(read_model(tmp_path / "network.onnx"), frames, top1=False).graph
    real = graph.run(graph.input_transform.apply(frames)) * graph.output_transform.scale
    np.testing.assert_array_equal(real[:, 0].transpose(0, 2, 1), executed(network.model(), frames)[network.last])


def test_an_average_that_counts_its_padding_is_exact() -> None:
    result = compare(padded_average(count_include_pad=1), FRAMES)
    assert not result.wrong and not result.refused and not result.in_double


BEHIND = ("Div", "Concat", "Slice")
POOLS = [(operator, side) for operator in ("AveragePool", "GlobalAveragePool", "ReduceMean") for side in (3, 6, 7)]
# what is behind the pool does not ask which one it was
MEANS = [(*pool, "Mul") for pool in POOLS] + [
    ("ReduceMean", 7, "Div"),
    *(("GlobalAveragePool", 6, op) for op in BEHIND),
]


@pytest.mark.parametrize(("operator", "side", "behind"), MEANS)
@pytest.mark.parametrize("scale", [0.5, 0.1, 1 / 3])
def test_a_mean_halfway_between_two_levels_goes_to_the_even_one(
    operator: str, side: int, behind: str, scale: float
) -> None:
    """By the definition, in fractions: a mean by a count that is no power of two, in double, too, whatever stands behind it.
    float32, in which onnxruntime sums, has most of these values only where scales are powers of two."""
    scale = np.float32(scale)
    network = Network(2, side, side)
    image = network.quant(scale, 8, signed=0)
    options = {"kernel_shape": [side, side]} if operator == "AveragePool" else {}
    mean = network.add(operator, **(options | ({"axes": [2, 3]} if operator == "ReduceMean" else {})))
    if behind == "Concat":
        network.node("Concat", [network.add("GlobalMaxPool", at=image), mean], axis=1)
    if behind == "Slice":
        network.add("Slice", *(network.constant([number], np.int64) for number in (0, 1, 1)), at=mean)
    factor, step = (np.float32(5.0), 2) if behind == "Div" else (np.float32(4.0), 8)
    network.add("Div" if behind == "Div" else "Mul", factor)
    network.quant(scale * step, 8, signed=0)
    channels = {"Concat": 4, "Slice": 1}.get(behind, 2)
    network.conv(channels, 3, 1)
    values = np.arange(256)[:, None, None]
    frames = np.stack([np.broadcast_to(values, (256, side, side)), np.zeros((256, side, side), np.int64)], axis=1)
    frames[:, 1, 0] = np.minimum(values[:, 0] * side, 255)  # other sums
    graph = dataflow.convert(network.model(), frames * scale, top1=False).graph
    streams = graph.execute(graph.input_transform.apply((frames * np.float64(scale)).astype(np.float32)))
    levels = streams[next(layer for layer in graph if layer.op_type == "MVAU").input_names[0]].reshape(256, channels)
    divisor = (10 if behind == "Div" else 2) * side**2
    sums = frames.reshape(256, 2, -1).sum(axis=2)[:, : min(channels, 2)].tolist()
    assert levels[:, -len(sums[0]) :].tolist() == [[round(Fraction(x, divisor)) for x in row] for row in sums]
    assert sum(Fraction(x, divisor).denominator == 2 for row in sums for x in row) >= 25
    result = compare(network, (frames * np.float64(scale)).astype(np.float32))
    assert not result.wrong and not result.undecided and (scale != 0.5 or behind == "Div" or not result.in_double)
