"""The direction of a channel, where functions are pending on it, against QONNX's executor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import Comparison, compare


def normalised(n: Network, gamma: list[float], beta: list[float]) -> None:
    """Integers that another quantizer made already, so that their layer cannot be changed, and a normalisation. The
    first channel reaches all of the type's range, the last a quarter of it: from -2 to 1.75."""
    n.quant(0.25, 4)
    n.conv(2, 3, 1, scale=1.0)
    n.arrays[n.nodes[1].input[0]] = np.array([[7, -7], [2, -1], [0, 1]], np.float32).reshape(3, 2, 1, 1)
    n.quant(0.25, 6)
    n.add("BatchNormalization", gamma, beta, np.zeros(3), np.ones(3), epsilon=0.0)


def relu_cuts_a_falling_channel_to_zero(n: Network) -> None:
    normalised(n, [1, -1, -1], [0, 0.5, -3])
    n.add("Relu")


def relu_cuts_every_falling_channel_to_zero(n: Network) -> None:
    normalised(n, [1, -1, -1], [0, -7, -3])
    n.add("Relu")


def clip_saturates_at_both_ends(n: Network) -> None:
    normalised(n, [-1, 1, -1], [2, -6, 5])
    n.add("Clip", np.float32(-1), np.float32(2))


def a_factor_turns_it_again(n: Network) -> None:
    normalised(n, [-1, 1, 0], [0.5, 0.5, 0.5])
    n.add("Relu")
    n.add("Mul", np.array([-1, -2, 1], np.float32).reshape(3, 1, 1))
    n.add("Clip", np.float32(-3), np.float32(3))


def saturated_between_two_functions(n: Network) -> None:
    normalised(n, [-1, 1, -2], [-0.5, 0.5, -6])
    n.add("LeakyRelu", alpha=0.0)
    n.add("Neg")


def slope_of_nothing(n: Network) -> None:
    normalised(n, [-0.5, 0.5, -2], [-0.5, 0.5, -1])
    n.add("LeakyRelu", alpha=0.25)


def sigmoid_of_a_falling_channel(n: Network) -> None:
    normalised(n, [-1, 1, -8], [0, 0, -1000])
    n.add("Sigmoid")


def maximum_of_saturated_channels(n: Network) -> None:
    normalised(n, [1, -1, -1], [0, 0.5, -3])
    n.add("Relu")
    n.add("MaxPool", kernel_shape=[2, 2], strides=[1, 1], pads=[1, 1, 0, 0])


FEATURES = [
    relu_cuts_a_falling_channel_to_zero,
    relu_cuts_every_falling_channel_to_zero,
    clip_saturates_at_both_ends,
    a_factor_turns_it_again,
    saturated_between_two_functions,
    slope_of_nothing,
    sigmoid_of_a_falling_channel,
    maximum_of_saturated_channels,
]


def compared(build: Callable[[Network], None], **options) -> Comparison:
    network = Network(2, 4, 4)
    build(network)
    frames = np.random.default_rng(0).integers(-9, 9, (20, *network.shape[1:])).astype(np.float32) / 4
    return compare(network, frames, **options)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.__name__)
def test_pending_functions_are_exact(feature: Callable[[Network], None], padded: bool) -> None:
    def build(n: Network) -> None:
        feature(n)
        n.quant(0.0625, 6)
        n.quant(0.25, 4)  # decides anew, by the bounds that the first one left
        n.conv(3, 2, 2, pads=[1, 0, 0, 1] if padded else [0, 0, 0, 0])

    result = compared(build)
    assert not result.wrong and not result.refused
    assert not result.in_double or "sigmoid" in feature.__name__


def test_a_falling_channel_of_one_value_is_compared_in_a_label() -> None:
    network = Network(4)
    network.quant(0.5, 4)
    network.matmul(4, 3, scale=np.ones((1, 3)))
    weights = network.arrays[network.nodes[1].input[0]]
    weights[:, 1] = 0
    network.add("Mul", np.array([[1, -1, 1]], np.float32))
    network.add("Add", np.array([[0, 0.5, -0.5]], np.float32))
    result = compare(network, np.random.default_rng(0).integers(-9, 9, (20, 4)).astype(np.float32) / 2, top1=True)
    assert not result.wrong and not result.refused and result.elements


def leaky(alpha: float) -> Network:
    network = Network(2, 4, 4)
    normalised(network, [1, -1, 1], [0, 0, 0])
    network.add("LeakyRelu", alpha=alpha)
    network.quant(0.25, 4)
    network.conv(3, 2, 1)
    return network


def test_a_function_that_falls_and_grows_of_short_sums_is_exact() -> None:
    result = compare(leaky(-0.125))
    assert not result.wrong and not result.refused and result.elements


def test_a_function_without_values_is_refused() -> None:
    network = leaky(np.nan)
    with pytest.raises(UnsupportedError, match="LeakyRelu_5 reads values from .* it has no value"):
        dataflow.convert(network.model(), network.frames(), top1=False)


def test_values_that_are_not_finite_are_refused() -> None:
    network = Network(2, 4, 4)
    normalised(network, [1, 1, 1], [0, 0, 0])
    network.add("Mul", np.array([1, np.inf, 1], np.float32).reshape(3, 1, 1))
    network.quant(0.25, 4)
    network.conv(3, 2, 1)
    with pytest.raises(UnsupportedError, match="Quant_6 reads values from .* in channel 1; they must be finite"):
        dataflow.convert(network.model(), network.frames(), top1=False)


def test_levels_are_counted_with_the_zero_that_padding_needs() -> None:
    def build(n: Network) -> None:
        n.quant(0.25, 4)
        n.conv(2, 3, 1, scale=1.0)
        n.quant(0.0625, 8, zero=-1.0, signed=0)
        n.conv(3, 2, 1)

    assert "Quant_3 behind layer MVAU_0 (c3) makes 257 levels of integers" in compared(build).refused
