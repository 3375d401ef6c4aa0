"""Products of two streams against QONNX's executor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare, executed

FRAMES = np.random.default_rng(0).integers(-10, 11, (6, 4, 6, 6)).astype(np.float32) / 4


def branches(scales=(0.25, 0.5), bits=(4, 6), channels=4) -> tuple[Network, list[str]]:
    """A network that begins with two convolutions of its quantized input, and their quantizers."""
    network = Network(4, 6, 6)
    x = network.quant(0.25, 4)
    tensors = []
    for scale, width in zip(scales, bits, strict=True):
        network.conv(4, channels, 3, at=x, pads=[1, 1, 1, 1])
        tensors.append(network.quant(scale, width))
    return network, tensors


def squeeze_and_excitation(*, swapped: bool, bits: float = 4) -> Network:
    """Each channel times a number that the averages of all channels make."""
    network = Network(4, 6, 6)
    x = network.quant(0.25, 4)
    network.add("GlobalAveragePool")
    network.quant(0.125, 5)
    network.conv(4, 2, 1)
    network.add("Relu")
    network.quant(0.25, 4, signed=0)
    network.conv(2, 4, 1)
    network.add("HardSigmoid", alpha=0.25)
    gate = network.quant(2.0**-bits, bits, signed=0)
    network.node("Mul", [gate, x] if swapped else [x, gate])
    network.quant(0.125, 6)
    network.conv(4, 3, 3)
    return network


def kinds(network: Network, frames: np.ndarray = FRAMES) -> list[str]:
    """Of the layers of `network`, which is built exactly."""
    result = compare(network, frames)
    assert not result.wrong and not result.refused, result
    return [layer.op_type for layer in dataflow.convert(network.model(), frames, top1=False).graph]


@pytest.mark.parametrize("scales", [(0.25, 0.5), (0.3, -0.17)])
def test_a_product_goes_through_thresholds(scales: tuple[float, float]) -> None:
    network, tensors = branches((abs(scales[0]), abs(scales[1])))
    if scales[1] < 0:
        tensors[1] = network.add("Neg", at=tensors[1])
    network.node("Mul", tensors)
    network.add("Relu")
    network.quant(0.5, 5, signed=0)
    network.conv(4, 2, 3)
    layers = kinds(network)
    assert layers[layers.index("ElementwiseMul") + 1] == ("Thresholding" if scales[1] > 0 else "MVAU")


def test_a_convolution_and_the_host_read_a_product() -> None:
    network, tensors = branches()
    network.node("Mul", tensors)
    assert kinds(network)[-1] == "ElementwiseMul"
    network.conv(4, 2, 3)
    assert "ElementwiseMul" in kinds(network)


def test_products_of_vectors() -> None:
    network = Network(5)
    x = network.quant(0.25, 4)
    tensors = []
    for scale in (0.25, 0.5):
        network.last = x
        network.matmul(5, 3)
        tensors.append(network.quant(scale, 4))
    network.node("Mul", tensors)
    network.quant(0.5, 4)
    frames = np.random.default_rng(0).integers(-9, 9, (6, 5)).astype(np.float32) / 4
    assert "ElementwiseMul" in kinds(network, frames)


def test_the_square_of_wide_integers_is_a_product_and_that_of_few_a_table() -> None:
    network, (a, _) = branches()
    network.node("Mul", [a, a])
    network.quant(0.5, 4, signed=0)
    assert "Lookup" in kinds(network)
    network = Network(4, 6, 6)
    network.quant(0.25, 8)
    y = network.conv(4, 3, 3, bits=8, scale=2.0**-7)
    network.node("Mul", [y, y])
    network.quant(8.0, 6, signed=0)
    assert "ElementwiseMul" in kinds(network)


@pytest.mark.parametrize("swapped", [False, True])
def test_squeeze_and_excitation(swapped: bool, tmp_path: Path) -> None:
    network = squeeze_and_excitation(swapped=swapped)
    assert "ElementwiseMul" in kinds(network)
    network.output_shape = (None,) * 4
    onnx.save(network.model(), tmp_path / "network.onnx")
    read_model(tmp_path / "network.onnx")


def test_a_gate_over_one_axis(tmp_path: Path) -> None:
    network = Network(3, 8)
    x = network.quant(0.25, 4)
    network.add("GlobalAveragePool")
    gate = network.quant(0.125, 5)
    network.node("Mul", [x, gate])
    network.quant(0.125, 6)
    network.output_shape = (None,) * 3
    onnx.save(network.model(), tmp_path / "network.onnx")
    frames = np.random.default_rng(0).integers(-9, 9, (6, 3, 8)).astype(np.float32) / 4
    graph = dataflow.convert(read_model(tmp_path / "network.onnx"), frames, top1=False).graph
    real = graph.run(graph.input_transform.apply(frames)) * graph.output_transform.scale
    np.testing.assert_array_equal(real[:, 0].transpose(0, 2, 1), executed(network.model(), frames)[network.last])


def test_what_cannot_be_multiplied_is_refused_by_name(tmp_path: Path) -> None:
    network, tensors = branches()
    network.node("Mul", [network.add("Add", 0.5, at=tensors[0]), tensors[1]])
    with pytest.raises(UnsupportedError, match="Mul_.* that has an offset left; put a quantizer"):
        dataflow.convert(network.model(), FRAMES, top1=False)
    network, tensors = branches()
    network.node("Mul", [network.add("Sigmoid", at=tensors[0]), tensors[1]])
    with pytest.raises(UnsupportedError, match="Mul_.* that is real-valued .*; put a quantizer"):
        dataflow.convert(network.model(), FRAMES, top1=False)
    network, tensors = branches()
    network.conv(4, 1, 1, at=tensors[1])
    network.node("Mul", [tensors[0], network.quant(0.5, 4)])
    network.output_shape = (None,) * 4
    onnx.save(network.model(), tmp_path / "network.onnx")
    with pytest.raises(
        UnsupportedError, match="broadcasts a tensor of shape .1, 1, 6, 6. .* but for a factor of each channel"
    ):
        read_model(tmp_path / "network.onnx")
