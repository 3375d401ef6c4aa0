"""The same random matrices in all styles of MVAU: every width of 1 to 8 bits, signed and unsigned, from no weight to
dense, with random gaps on all ports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.dataflow.random_layers import divisors
from pipeline.dataflow.types import IntType
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from tests.kernels.matrices import matrix_layer
from tests.kernels.side_by_side import simulate_side_by_side

DENSITIES = (0.0, 0.2, 0.5, 1.0)


def drawn(input_bits: int, signed: bool) -> MVAU:
    """A small MVAU with elements of `input_bits` and everything else at random."""
    rng = np.random.default_rng([input_bits, signed])
    mh, mw = (int(size) for size in rng.choice([1, 2, 3, 4, 6, 8], 2))
    weight_bits = 9 - input_bits if signed else input_bits
    thresholds, bias = int(rng.choice([0, 1, 3, 7])), bool(rng.integers(2))
    element = IntType.of_bits(input_bits, signed=signed)
    density = DENSITIES[input_bits % len(DENSITIES)]
    layer = matrix_layer(MVAU, mh, mw, element, weight_bits, thresholds, bias=bias, density=density)
    if input_bits == 3:
        weights = np.zeros_like(layer.weights)
        weights[rng.integers(mh), rng.integers(mw)] = -1
        layer = replace(layer, weights=weights)
    return layer


def in_all_styles(layer: MVAU) -> list[MatrixVector]:
    """`layer` folded, sparse, unrolled, and in DSPs, with lanes and digits at random."""
    rng = np.random.default_rng([layer.mh, layer.mw, layer.input_type.bits])
    pe, simd = (int(rng.choice(divisors(size))) for size in (layer.mh, layer.mw))
    lanes = int(rng.choice(divisors(layer.mh)))
    walkers = lanes * int(rng.integers(1, layer.mh // lanes + 1))
    digits = int(rng.choice([folding.fields["digits"] for folding in layer.foldings_in("unrolled")]))
    return [
        layer.styled("folded", {"pe": pe, "simd": simd}),
        layer.styled("sparse", {"pe": walkers, "simd": simd, "lanes": lanes}),
        layer.styled("unrolled", {"digits": digits}),
        layer.styled("dsp", {"pe": layer.mh, "simd": simd}),
    ]


MATRICES = [drawn(bits, signed) for bits in range(1, 9) for signed in (False, True)]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    layers = [layer for matrix in MATRICES for layer in in_all_styles(matrix)]
    return simulate_side_by_side(layers, tmp_path_factory.mktemp("styles"))


def test_every_style_gives_what_the_matrix_gives(simulated):
    simulated.assert_exact()


def test_every_style_keeps_its_rate(simulated):
    simulated.assert_cycles()
