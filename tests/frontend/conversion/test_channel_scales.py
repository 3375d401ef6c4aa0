"""Activations with a scale a channel, in front of every operator, against QONNX's executor."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare

FRAMES = np.random.default_rng(0).integers(-10, 11, (6, 4, 6, 6)).astype(np.float32) / 4
INTEGERS = np.array([0.25, 0.5, 0.75, 1.0], np.float32).reshape(4, 1, 1)
REAL = np.array([0.31, 0.17, 0.5, 0.233], np.float32).reshape(4, 1, 1)


def by_channel(scales: np.ndarray) -> tuple[Network, str]:
    """A network that begins with a convolution, and a quantizer with `scales`."""
    network = Network(4, 6, 6)
    network.quant(0.25, 4)
    network.conv(4, 4, 3, pads=[1, 1, 1, 1])
    return network, network.quant(scales, 4)


def add_behind(network: Network, operator: str) -> None:
    x = network.last
    if operator == "depthwise":
        network.conv(4, 8, 3, group=4)
    elif operator == "product":
        network.node("Mul", [x, network.quant(REAL[::-1], 5, at=network.conv(4, 4, 1, group=4))])
    elif operator == "concat":
        other = network.quant(0.5, 3, at=network.nodes[0].output[0])
        network.node("Concat", [x, other], axis=1)
    elif operator == "MaxPool":
        network.add("MaxPool", kernel_shape=[2, 2])
    elif operator == "AveragePool":
        network.add("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    elif operator == "add itself":
        network.node("Add", [x, x])


@pytest.mark.parametrize("scales", [INTEGERS, REAL])
@pytest.mark.parametrize("operator", ["depthwise", "product", "concat", "MaxPool", "AveragePool", "add itself"])
def test_any_scales_in_front_of_what_leaves_channels_apart(operator: str, scales: np.ndarray) -> None:
    network, _ = by_channel(scales)
    add_behind(network, operator)
    network.quant(0.5, 5)
    result = compare(network, FRAMES)
    assert not result.wrong and not result.refused, result


def test_scales_in_a_ratio_of_integers_in_front_of_a_convolution() -> None:
    network, _ = by_channel(INTEGERS)
    network.conv(4, 3, 3)
    result = compare(network, FRAMES)
    assert not result.wrong and not result.refused and not result.in_double


def test_branches_whose_scales_have_another_ratio_in_each_channel_are_added() -> None:
    network, x = by_channel(INTEGERS)
    network.conv(4, 4, 1)
    y = network.quant(0.25, 4)
    network.node("Add", [x, y])
    network.quant(0.5, 5)
    result = compare(network, FRAMES)
    assert not result.wrong and not result.refused and not result.in_double


def test_other_scales_in_front_of_a_convolution_are_refused_by_name() -> None:
    network, _ = by_channel(REAL)
    network.conv(4, 3, 3)
    with pytest.raises(UnsupportedError, match="Conv_.* scales in no ratio of small integers, one a channel"):
        dataflow.convert(network.model(), FRAMES, top1=False)
