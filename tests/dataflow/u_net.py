"""A small U-Net of QONNX: two levels, with Concat, Resize and ConvTranspose, and a head of 1 × 1, W4A4 with drawn weights."""

from __future__ import annotations

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.frontend.conversion.walk import convert_graph
from tests.dataflow.networks import Network

__all__ = ["u_net", "u_net_graph"]


def u_net(size: int = 8, channels: int = 4, *, seed: int = 0) -> Network:
    """Of images of 2 channels. All activations that meet have one scale. What is below is enlarged by a Resize, and on the
    outer level by a ConvTranspose."""
    network = Network(2, size, size, seed=seed)
    network.quant(1 / 8, 4)
    outer = _block(network, 2, channels)
    network.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    inner = _block(network, channels, 2 * channels)
    network.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    _block(network, 2 * channels, 2 * channels)
    names = [network.last, "", network.constant([1, 1, 2, 2])]
    network.node("Resize", names, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    network.node("Concat", [inner, network.last], axis=1)
    _block(network, 4 * channels, 2 * channels)
    weights = network.weights(2 * channels, channels, 2, 2, scale=1 / 8)
    network.node("ConvTranspose", [network.last, weights], strides=[2, 2])
    network.quant(1 / 4, 4, signed=0)
    network.node("Concat", [outer, network.last], axis=1)
    _block(network, 2 * channels, 2 * channels)
    network.conv(2 * channels, 3, 1)
    return network


def u_net_graph(size: int = 8, channels: int = 4) -> LayerGraph:
    """Its layer graph."""
    return convert_graph(u_net(size, channels).model(), top1=False, name="u_net").graph


def _block(network: Network, inputs: int, outputs: int) -> str:
    network.conv(inputs, outputs, 3, scale=np.float32(1 / 32), pads=[1, 1, 1, 1])
    network.add("Relu")
    return network.quant(1 / 4, 4, signed=0)
