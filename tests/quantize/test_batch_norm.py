"""Folding keeps what a network computes."""

import torch
from torch import nn

from pipeline.models.names import find
from pipeline.models.registry import image_network
from pipeline.quantize.batch_norm import fold_batch_norms


def settle(network):
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.weight.data.uniform_(0.5, 2.0, generator=generator)
            module.bias.data.normal_(generator=generator)


def test_a_folded_network_computes_the_same():
    for name, count in (("resnet8", 9), ("tfc", 3)):
        network = image_network(find(name))
        settle(network)
        images = torch.rand(4, *network.input_shape, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = network(images).double()
            assert fold_batch_norms(network, images) == count
            torch.testing.assert_close(network(images).double(), expected, rtol=1e-3, atol=1e-3)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
        assert all((norm.weight == 1).all() and (norm.running_mean == 0).all() for norm in norms)


def test_a_normalisation_of_something_else_stays():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1))
    settle(network)
    before = network[0].running_mean.clone()
    assert fold_batch_norms(network, torch.rand(2, 3, 4, 4)) == 0
    assert torch.equal(network[0].running_mean, before)
