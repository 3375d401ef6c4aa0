"""Channels scaled between layers: the float network stays the same, and is quantized better."""

import copy

import pytest
import torch
from torch import nn

from pipeline.errors import ModelError
from pipeline.models.names import spec_of
from pipeline.models.registry import image_network
from pipeline.quantize.batch_norm import fold_batch_norms
from pipeline.quantize.equalization import equalize, scale_for_activations
from pipeline.quantize.moments import input_moments, output_errors
from pipeline.quantize.scales import quantized, weight_scales
from tests.quantize.test_batch_norm import settle

METHODS = ("cross_layer", "smoothquant", "awq")


def folded(name, shape, seed=0):
    torch.manual_seed(seed)
    network = image_network(spec_of(name, None, width=0.25, input_shape=shape))
    settle(network)
    images = torch.rand(8, *shape)
    fold_batch_norms(network, images[:2])
    return network, images


def scaled(network, images, method, bits=4):
    if method != "awq":
        return equalize(network, [images], method)
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return scale_for_activations(network, [images], dict.fromkeys(layers, bits), "mse")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "shape", "groups"),
    [("resnet8", (3, 16, 16), 6), ("tfc", (1, 28, 28), 3), ("dscnn", (1, 49, 10), 9)],
)
def test_a_float_network_stays_the_same(method, name, shape, groups):
    network, images = folded(name, shape)
    before = copy.deepcopy(network)
    assert scaled(network, images, method) == groups
    with torch.no_grad():
        expected = before(images)
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    pairs = zip(before.parameters(), network.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("method", METHODS)
def test_a_dead_channel_stays_finite(method):
    network, images = folded("resnet8", (3, 16, 16))
    with torch.no_grad():
        network.layer2[0].conv1.weight[1] = 0
        network.layer2[0].conv1.bias[1] = 0
        before = network(images)
        scaled(network, images, method)
        torch.testing.assert_close(network(images), before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


def test_awq_makes_the_error_of_a_layer_s_output_smaller():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 3)).eval()
    with torch.no_grad():
        network[0].weight *= torch.logspace(-0.3, 0.3, 16)[:, None, None, None]
    images = torch.rand(8, 3, 8, 8)

    def error(changed):
        weight, (moments,) = changed[2].weight.detach(), input_moments(changed, [changed[2]], [images])
        rounded = quantized(weight, weight_scales(weight, 4, "mse", per_channel=True), -7, 7)
        return float(output_errors((rounded - weight).flatten(1), moments).sum())

    before = error(network)
    assert scale_for_activations(network, [images], {"2": 4}, "mse") == 1
    assert error(network) < 0.8 * before


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else x


@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_layers_to_share_channels_is_refused(method):
    with pytest.raises(ModelError, match="Branching cannot be traced"):
        scaled(Branching(), torch.rand(2, 4), method)
    with pytest.raises(ModelError, match=rf"{method} finds no two layers of this network that share channels"):
        scaled(nn.Sequential(nn.Linear(4, 4)), torch.rand(2, 4), method)
