from __future__ import annotations

import numpy as np

from pipeline.dataflow.types import IntType
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline.input_range import quantizer_range
from tests.dataflow.networks import Network


def ends(network: Network) -> tuple[np.ndarray, np.ndarray] | None:
    return quantizer_range(network.model())


def test_what_the_quantizer_of_the_input_can_tell_apart() -> None:
    network = Network(6)
    network.quant(0.5, 4)
    assert ends(network) == (-4, 3.5)
    network = Network(6)
    network.quant(2.0, 8, signed=0)
    assert ends(network) == (0, 510)


def test_scales_and_biases_before_it_are_undone() -> None:
    network = Network(2, 5, 5)
    network.add("Sub", np.array([10.0, 20.0]).reshape(1, 2, 1, 1))
    network.add("Div", np.array([4.0, -2.0]).reshape(1, 2, 1, 1))
    network.quant(0.25, 4, signed=0)
    network.conv(2, 3)
    low, high = ends(network)
    assert low.shape == (2, 5, 5)
    assert (low[0] == 10).all() and (high[0] == 10 + 4 * 3.75).all()
    assert (low[1] == 20 - 2 * 3.75).all() and (high[1] == 20).all()
    frames = np.stack([low, high])
    integers = dataflow.convert(network.model(), frames, top1=False).graph.input_transform.apply(frames)
    assert (integers.min(), integers.max()) == (0, 15) == (IntType(0, 15).lo, IntType(0, 15).hi)


def test_what_cannot_be_undone_is_not_known() -> None:
    network = Network(6)
    network.add("Relu")
    network.quant(0.5, 4)
    assert ends(network) is None
    network = Network(6)
    network.matmul(6, 3)
    network.quant(0.5, 4)
    assert ends(network) is None
