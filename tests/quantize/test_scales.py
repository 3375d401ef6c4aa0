"""Scales of weights and activations: what each method promises, and that nothing is divided by zero."""

import numpy as np
import pytest
import torch

from pipeline.quantize.scales import RANGES, activation_scale, quantized, weight_scales


def error(values, scale, lowest, last, power=2.4):
    return float((quantized(values, scale, lowest, last) - values).abs().pow(power).sum())


def test_minmax_makes_the_largest_magnitude_the_last_integer():
    weight = torch.tensor([[0.7, -1.4, 0.1], [0.2, 0.05, -0.1]])
    scales = weight_scales(weight, 4, "minmax", per_channel=True)
    torch.testing.assert_close(scales, torch.tensor([[0.2], [0.2 / 7]]))
    assert weight_scales(weight, 4, "minmax", per_channel=False) == pytest.approx(0.2)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_mse_is_never_worse_than_minmax(bits):
    rows = torch.randn(20, 144, generator=torch.Generator().manual_seed(bits)) ** 3
    last = 2 ** (bits - 1) - 1
    for row in rows:
        best, largest = (weight_scales(row[None], bits, method, per_channel=True) for method in ("mse", "minmax"))
        assert error(row, best, -last, last) <= error(row, largest, -last, last)


# the clippings of table 1 of arXiv 1810.05723, which has them for integers of b bits in units of the spread
@pytest.mark.parametrize(("bits", "clipping"), [(2, 2.83), (3, 3.89), (4, 5.03)])
def test_aciq_clips_a_laplace_distribution_as_published(bits, clipping):
    draw = np.random.default_rng(0).laplace(size=200_000).astype(np.float32)
    scale = activation_scale(torch.from_numpy(draw), bits + 1, True, "aciq")  # of which half have each sign
    last = 2**bits - 1
    assert scale * last == pytest.approx(_laplace_optimum(bits + 1), rel=0.02)
    assert _laplace_optimum(bits) == pytest.approx(clipping, abs=0.01)


def _laplace_optimum(bits):
    clippings = np.linspace(0.5, 12, 20_000)
    return clippings[np.argmin(2 * np.exp(-clippings) + clippings**2 / (3 * 4**bits))]


@pytest.mark.parametrize("method", RANGES)
@pytest.mark.parametrize("signed", [False, True])
def test_activations_of_one_sign_use_all_integers(method, signed):
    values = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    scale = activation_scale(values, 4, signed, method)
    assert 0 < scale <= 1.001 / (7 if signed else 15)


@pytest.mark.parametrize("method", RANGES)
def test_what_is_zero_throughout_gets_a_scale(method):
    weight = torch.zeros(2, 3, 3, 3)
    weight[1] = 0.5
    scales = weight_scales(weight, 4, method, per_channel=True)
    assert scales.isfinite().all() and (scales > 0).all()
    assert activation_scale(torch.zeros(100), 4, False, method) > 0
    assert not quantized(weight, scales, -7, 7)[0].any()
