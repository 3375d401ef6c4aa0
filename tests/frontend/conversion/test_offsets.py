"""Offsets that stay pending on a tensor, such as a bias after a quantizer, go through sums and joins exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare

BIAS = np.array([0.5, -1.25, 2.0], np.float32).reshape(3, 1, 1)


def convolution_of_an_offset(n: Network) -> None:
    n.quant(0.25, 4)
    n.quant(0.25, 4, at=n.conv(2, 3, 1))
    n.add("Add", BIAS)
    n.conv(3, 2, 3)


def difference_of_offsets(n: Network) -> None:
    x = n.quant(0.25, 4)
    a = n.add("Add", BIAS, at=n.quant(0.25, 4, at=n.conv(2, 3, 1, at=x)))
    b = n.add("Sub", 3 * BIAS, at=n.quant(0.25, 4, at=n.conv(2, 3, 1, at=x)))
    n.node("Sub", [a, b])
    n.quant(0.25, 6)
    n.conv(3, 2, 1)


def matrix_of_an_offset(n: Network) -> None:
    n.quant(0.25, 4)
    n.quant(0.25, 4, at=n.conv(2, 3, 1))
    n.add("Add", BIAS)
    n.add("Flatten")
    n.matmul(48, 3)


@pytest.mark.parametrize(
    "feature", [convolution_of_an_offset, difference_of_offsets, matrix_of_an_offset], ids=lambda f: f.__name__
)
def test_offsets_are_exact(feature: Callable[[Network], None]) -> None:
    network = Network(2, 4, 4)
    feature(network)
    result = compare(network, np.random.default_rng(0).integers(-9, 9, (8, 2, 4, 4)).astype(np.float32) / 4)
    assert not result.wrong and not result.refused and not result.in_double
