"""Sums of branches whose scales are in any ratio: every pair of integers gets the network's level."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.conversion.sums import _thresholds
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare


def branches(first: float, second: float, last: float, *, bits: int = 4, operator: str = "Add", factor=1.0) -> Network:
    """The sum of a quantized input and of the same quantized again, of a scale each, with 2 channels."""
    n = Network(2)
    x = n.quant(first, bits)
    last_layer = n.matmul(2, 2, scale=0.7)
    y = n.quant(second, bits, at=last_layer)
    n.node(operator, [x, y])
    n.add("Mul", np.float32(factor))
    n.quant(last, bits)
    return n


def every_pair(network: Network, scale: float, levels: range) -> np.ndarray:
    return np.array(list(product(levels, levels)), np.float32) * np.float32(scale)


@pytest.mark.parametrize("scales", [(0.3, 0.217, 0.411), (0.1, 7.3, 4.9), (1.37, 0.011, 0.9), (0.3, 0.6, 0.45)])
@pytest.mark.parametrize("operator", ["Add", "Sub"])
@pytest.mark.parametrize("factor", [1.0, -0.37])
def test_every_pair_of_integers_is_exact(scales, operator: str, factor: float) -> None:
    network = branches(*scales, operator=operator, factor=factor)
    frames = every_pair(network, scales[0], range(-8, 8))
    result = compare(network, frames, top1=False)
    assert not result.refused and not result.wrong and result.undecided == 0
    assert result.elements


@pytest.mark.parametrize("signs", [(1, 1), (-1, -0.5), (1, -1)])
def test_a_function_may_follow_the_sum(signs: tuple[float, float]) -> None:
    n = Network(2)
    x = n.quant(0.3, 4)
    y = n.quant(0.217, 4, at=n.matmul(2, 2, scale=0.7))
    n.node("Add", [x, y])
    n.add("Mul", np.array([signs], np.float32))
    n.add("Sigmoid")
    n.quant(0.07, 4, signed=0)
    result = compare(n, every_pair(n, 0.3, range(-8, 8)), top1=False)
    assert not result.wrong
    if signs[0] * signs[1] < 0:  # the multipliers are the same in all channels
        assert "Quant_7 quantizes a sum whose levels no multipliers of 24 bits tell apart" in result.refused
    else:
        assert not result.refused


def test_the_multipliers_are_small() -> None:
    network = branches(0.3, 0.217, 0.411)
    graph = dataflow.convert(network.model(), every_pair(network, 0.3, range(-8, 8)), top1=False).graph
    assert [layer.op_type for layer in graph.layers][-2:] == ["AddStreams", "Thresholding"]
    (adder,) = (layer for layer in graph.layers if layer.op_type == "AddStreams")
    assert max(adder.multipliers) < 64


def test_levels_that_sums_do_not_tell_apart_have_no_thresholds() -> None:
    sums, type_ = np.array([3, 1, 1, 2]), IntType(0, 2)
    assert _thresholds(sums, np.array([[2, 0, 1, 1]]), type_) is None, "one sum of two levels"
    assert _thresholds(sums, np.array([[0, 1, 1, 1]]), type_) is None, "a level that falls"
    assert _thresholds(sums, np.array([[2, 0, 0, 1]]), type_).tolist() == [[2, 3]]
    assert _thresholds(sums, np.array([[1, 1, 1, 1]]), type_).tolist() == [[1, 4]], "a level that none reaches"


def test_sums_of_many_integers_are_refused() -> None:
    n = Network(2)
    x = n.quant(0.3, 8)
    n.node("Add", [n.matmul(2, 2, scale=0.217, bits=8), x])
    n.quant(0.5, 4)
    with pytest.raises(
        UnsupportedError, match=r"Add_3 adds .* in no ratio of small integers .* a quantizer of 8 bits each"
    ):
        dataflow.convert(n.model(), n.frames(), top1=False)


def test_a_sum_without_a_quantizer_is_refused() -> None:
    n = branches(0.3, 0.217, 0.411)
    n.nodes.pop()
    n.last = n.nodes[-1].output[0]
    with pytest.raises(UnsupportedError, match="nonlinear function"):
        dataflow.convert(n.model(), n.frames(), top1=False)
