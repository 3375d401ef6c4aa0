"""Weights on the grid of their scales, within a bound where there is one, and better than to the nearest integer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.integer_weights import integer_weights
from pipeline.models.names import spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.registry import image_network
from pipeline.quantize.calibration import quantized_layers, set_scales_of_activations, set_scales_of_weights
from pipeline.quantize.method import ROUNDINGS
from pipeline.quantize.rounding import round_weights


def network_of(weight_bits=3, act_bits=3, seed=0, width=0.25):
    torch.manual_seed(seed)
    quantization = Quantization(weight_bits, act_bits, weight_scales="fixed", residual="signed")
    network = image_network(spec_of("resnet8", quantization, width=width, input_shape=(3, 8, 8)))
    images = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return network.eval(), [images[:32], images[32:]]


def calibrated(network, batches):
    set_scales_of_weights(network, "mse")
    set_scales_of_activations(network, batches, "mse")
    return network


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_weights_are_multiples_of_their_scales(rounding):
    network, batches = network_of()
    network.layer1[0].conv1.weight.data[1] = 0  # a channel that computes nothing
    calibrated(network, batches)
    round_weights(network, batches, rounding)
    for layer in quantized_layers(network):
        weight = layer.module.weight.detach()
        assert weight.isfinite().all()
        assert torch.equal(layer.module.quant_weight().value, weight)
        integers = weight / layer.scales
        assert float((integers - integers.round()).abs().max()) < 1e-4
        assert float(integers.abs().max()) < layer.last + 1e-4
    assert not any(name.endswith("weight_orig") for name in network.state_dict())


@pytest.mark.parametrize("rounding", ["adaround", "gptq", "gpfq"])
def test_what_a_layer_computes_is_nearer_to_float_than_with_the_nearest_integers(rounding):
    errors = {}
    for chosen in ("nearest", rounding):
        network, batches = network_of(2, 8)
        layer = network.layer2[0].conv1
        before = layer.weight.detach().clone()
        calibrated(network, batches)
        round_weights(network, batches, chosen)
        given: list[torch.Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, arguments, given=given: given.append(arguments[0].value))
        with torch.no_grad():
            network(batches[0])
            hook.remove()
            outputs = (
                torch.nn.functional.conv2d(given[0], weight, None, layer.stride, layer.padding)
                for weight in (layer.weight, before)
            )
            errors[chosen] = float((next(outputs) - next(outputs)).square().mean())
    assert errors[rounding] < errors["nearest"]


@settings(max_examples=6, deadline=None)
@given(
    rounding=st.sampled_from(["gptq", "gpfq"]),
    weight_bits=st.integers(2, 5),
    act_bits=st.integers(2, 5),
    accumulator=st.integers(8, 14),
    seed=st.integers(0, 1000),
)
def test_no_sum_is_wider_than_asked_for(rounding, weight_bits, act_bits, accumulator, seed):
    network, batches = network_of(weight_bits, act_bits, seed)
    calibrated(network, batches)
    names = [layer.name for layer in quantized_layers(network)]
    round_weights(network, batches, rounding, accumulator_bits=accumulator, free=(names[0], names[-1]))
    layers = integer_weights(network, batches[0][:1])
    assert set(layers) == set(names)
    for name in names[1:-1]:
        assert int(layers[name].sum_bits().max()) <= accumulator
