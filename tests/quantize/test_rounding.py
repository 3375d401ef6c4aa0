"""Weights on the grid of their scales, within a bound where there is one, and better than to the nearest integer."""

import pytest
import torch
from brevitas.graph.calibrate import quantization_status_manager
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models.integer_weights import integer_weights
from pipeline.models.names import spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.registry import image_network
from pipeline.quantize.calibration import quantized_layers, set_scales_of_activations, set_scales_of_weights
from pipeline.quantize.method import ROUNDINGS
from pipeline.quantize.rounding import round_weights

FLOAT = {"disable_act_quant": True, "disable_weight_quant": True, "disable_bias_quant": True}


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


@pytest.mark.parametrize("rounding", ["adaround", "gptq", "gpfq", "qronos"])
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
    rounding=st.sampled_from(["gptq", "gpfq", "qronos"]),
    weight_bits=st.integers(2, 5),
    act_bits=st.integers(2, 5),
    above_least=st.integers(0, 8),
    seed=st.integers(0, 1000),
)
def test_no_sum_is_wider_than_asked_for(rounding, weight_bits, act_bits, above_least, seed):
    accumulator = act_bits + 2 + above_least
    network, batches = network_of(weight_bits, act_bits, seed)
    calibrated(network, batches)
    names = [layer.name for layer in quantized_layers(network)]
    try:
        round_weights(network, batches, rounding, accumulator_bits=accumulator, free=(names[0], names[-1]))
    except ModelError as error:  # so few weights are left that nothing goes into the last layer
        assert rounding == "qronos" and "Give more images, a wider bound, or take another method" in str(error)
        return
    layers = integer_weights(network, batches[0][:1])
    assert set(layers) == set(names)
    for name in names[1:-1]:
        assert int(layers[name].sum_bits().max()) <= accumulator


def test_qronos_with_a_bound_that_binds_nothing_is_as_good_as_without():
    errors = []
    for bits in (None, 32):
        network, batches = network_of(3, 8, seed=1)
        with torch.no_grad(), quantization_status_manager(network, **FLOAT):
            expected = network(batches[0])
        calibrated(network, batches)
        round_weights(network, batches, "qronos", accumulator_bits=bits)
        with torch.no_grad():
            outputs = network(batches[0])
            errors.append(float((getattr(outputs, "value", outputs) - expected).square().mean()))
    assert errors[1] == pytest.approx(errors[0], rel=0.25)


@pytest.mark.parametrize("rounding", ["gptq", "qronos"])
def test_moments_that_have_no_inverse_are_said(rounding, monkeypatch):
    """Brevitas warns of them and leaves the weights to the nearest integers."""

    def fail(*_arguments, **_options):
        raise torch.linalg.LinAlgError("the input is not positive-definite")

    network, batches = network_of()
    calibrated(network, batches)
    monkeypatch.setattr(torch.linalg, "cholesky", fail)
    with pytest.raises(
        ModelError,
        match=rf"{rounding} cannot be done with these 64 images: Failed to compute.* Give more images, or take another",
    ):
        round_weights(network, batches, rounding)
