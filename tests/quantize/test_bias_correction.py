"""Biases are corrected where held-out images get better by it, and else left as they were."""

import torch

from pipeline.models.names import spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.registry import add_biases, image_network
from pipeline.quantize.batch_norm import fold_batch_norms
from pipeline.quantize.bias_correction import correct_biases
from pipeline.quantize.calibration import quantized_layers
from pipeline.quantize.rounding import round_weights
from tests.quantize.test_batch_norm import settle
from tests.quantize.test_rounding import calibrated


def pair():
    """A network of few bits, the float network that it was made of, and batches of images."""
    torch.manual_seed(0)
    shape = {"width": 0.25, "input_shape": (3, 8, 8)}
    reference = image_network(spec_of("resnet8", None, **shape))
    settle(reference)
    batches = [torch.rand(32, 3, 8, 8), torch.rand(16, 3, 8, 8)]
    fold_batch_norms(reference, batches[0][:2])
    network = image_network(spec_of("resnet8", Quantization(2, 8, weight_scales="fixed", residual="signed"), **shape))
    add_biases(network, reference.state_dict())
    network.load_state_dict(reference.state_dict(), strict=False)
    calibrated(network, batches)
    round_weights(network, batches, "nearest")
    return network, reference, batches


def biases(network):
    return [layer.module.bias.detach().clone() for layer in quantized_layers(network)]


def test_biases_are_corrected_where_it_helps():
    network, reference, batches = pair()
    before = biases(network)
    assert correct_biases(network, reference, batches, batches[0])
    assert not any(torch.equal(one, other) for one, other in zip(before, biases(network), strict=True))


def test_biases_stay_where_held_out_images_get_worse(monkeypatch):
    network, reference, batches = pair()
    before, held_out = biases(network), torch.rand(8, 3, 8, 8)
    forward = reference.forward
    with torch.no_grad():
        now = network(held_out)  # as if it were right for these already
    now = getattr(now, "value", now)
    monkeypatch.setattr(reference, "forward", lambda images: now if images is held_out else forward(images))
    assert not correct_biases(network, reference, batches, held_out)
    assert all(torch.equal(one, other) for one, other in zip(before, biases(network), strict=True))
