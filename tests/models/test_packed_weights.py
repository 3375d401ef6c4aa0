from __future__ import annotations

from pathlib import Path

import pytest
import torch
from brevitas.core.scaling import ParameterFromRuntimeStatsScaling

from pipeline.errors import ModelError
from pipeline.models.names import find, spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.registry import load_checkpoint, network, read_state
from pipeline.quantize.calibration import quantized_layers
from pipeline.training.checkpoints import save_checkpoint

PLAIN = [(8, 4, "channel"), (4, 4, "channel"), (3, 3, "tensor"), (2, 2, "channel"), (5, 2, "tensor")]


def settled(quantization: Quantization, seed: int = 0):
    """A small network whose activation scales are found."""
    torch.manual_seed(seed)
    return settle(spec_of("resnet8", quantization, width=0.5))


def settle(spec):
    model = network(spec)
    for module in model.modules():
        if isinstance(module, ParameterFromRuntimeStatsScaling):
            module.counter = module.collect_stats_steps + 1
    return spec, model


def outputs_again(spec, path: Path, images):
    model = network(spec)
    load_checkpoint(model, path)
    return model.eval()(images)


@pytest.mark.parametrize(("weight_bits", "act_bits", "scaling"), PLAIN)
def test_all_weights_are_packed_and_compute_the_same(weight_bits, act_bits, scaling, tmp_path: Path) -> None:
    spec, model = settled(Quantization(weight_bits, act_bits, weight_scaling=scaling), seed=weight_bits)
    with torch.no_grad():
        images = torch.rand(8, 3, 32, 32)
        expected = model(images)
        whole, small = tmp_path / "whole.pth", tmp_path / "small.pth"
        save_checkpoint(model, whole, spec.as_record())
        assert save_checkpoint(model, small, spec.as_record(), packed=True) == 10
        assert torch.equal(model(images), expected)
        assert torch.equal(outputs_again(spec, small, images), expected)
    weights = sum(w.numel() for name, w in read_state(whole).items() if name.endswith(("conv1.weight", "conv2.weight")))
    saved = whole.stat().st_size - small.stat().st_size
    assert saved > 0.9 * weights * (32 - weight_bits) / 8  # a file has more entries in it


@pytest.mark.parametrize(("weight_bits", "scaling"), [(2, "channel"), (3, "tensor"), (4, "channel"), (8, "channel")])
def test_weights_whose_scales_are_parameters_are_packed(weight_bits, scaling, tmp_path: Path) -> None:
    """As quantization after training leaves them: no weight of a channel may be the largest integer."""
    quantization = Quantization(weight_bits, 4, weight_scaling=scaling, weight_scales="fixed", residual="signed")
    spec, model = settled(quantization, seed=weight_bits)
    with torch.no_grad():
        images = torch.rand(4, 3, 32, 32)
        model(images)
        for layer in quantized_layers(model):
            layer.set_scales(1.3 * layer.scales)
            layer.module.weight.copy_(layer.module.quant_weight().value)
        expected = model(images)
        assert save_checkpoint(model, tmp_path / "small.pth", spec.as_record(), packed=True) == 10
        assert torch.equal(outputs_again(spec, tmp_path / "small.pth", images), expected)


def test_a_network_that_brevitas_released_is_packed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec, model = settle(find("quant_resnet18_w4a4_a2q_14b"))
    with torch.no_grad():
        images = torch.rand(1, 3, 32, 32)
        expected = model(images)
        path = tmp_path / "small.pth"
        assert save_checkpoint(model, path, spec.as_record(), packed=True) == 21
        assert torch.equal(outputs_again(spec, path, images), expected)


def bounded(method: str):
    """A small network of A2Q's, a channel of which has no weight left."""
    spec, model = settled(Quantization(4, 4, accumulator_method=method, accumulator_bits=14))
    with torch.no_grad():
        norm = model.layer1[0].conv1.weight_quant.tensor_quant.pre_scaling_impl.value
        norm[0] = -40.0  # a logarithm
    return spec, model


def test_directions_of_a2q_are_packed_and_compute_the_same(tmp_path: Path) -> None:
    spec, model = bounded("a2q")
    whole, small = tmp_path / "whole.pth", tmp_path / "small.pth"
    with torch.no_grad():
        images = torch.rand(4, 3, 32, 32)
        expected = model(images)
        save_checkpoint(model, whole, spec.as_record())
        assert save_checkpoint(model, small, spec.as_record(), packed=True) == 10
        assert torch.equal(model(images), expected)
        assert torch.equal(outputs_again(spec, small, images), expected)
    empty = read_state(small)["layer1.0.conv1.weight"][0]
    assert float(empty.abs().sum()) > 0  # of a direction of zeros, Brevitas makes NaN
    assert small.stat().st_size < 0.5 * whole.stat().st_size


def test_a2q_plus_weights_stay_as_they_are(tmp_path: Path) -> None:
    spec, model = bounded("a2q_plus")
    path = tmp_path / "a2q.pth"
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        images = torch.rand(4, 3, 32, 32)
        expected = model(images)
        assert save_checkpoint(model, path, spec.as_record(), packed=True) == 2  # stem and classifier
        assert torch.equal(model(images), expected)
        assert torch.equal(outputs_again(spec, path, images), expected)
    after = read_state(path)
    assert all(torch.equal(after[name], before[name]) for name in before if "layer1.0.conv1." in name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: entry.pop("codes"), "packed weights are damaged: conv1 needs bits, codes, largest, shape"),
        (lambda entry: entry.update(codes=entry["codes"][:-1]), "packed weights are damaged: conv1 has .* bytes"),
        (
            lambda entry: entry.update(largest=torch.ones(9, 1, 1, 1, 1)),
            "conv1 is not of the shape that it says",
        ),
        (lambda entry: entry.update(bits=33), "packed weights are damaged: conv1 has"),
        (lambda entry: entry.update(shape="no"), "cannot be read"),
    ],
)
def test_damage_is_told(change, message, tmp_path: Path) -> None:
    spec, model = settled(Quantization(4, 4))
    path = tmp_path / "net.pth"
    save_checkpoint(model, path, spec.as_record(), packed=True)
    content = torch.load(path, weights_only=True)
    change(content["packed"]["conv1"])
    torch.save(content, path)
    with pytest.raises(ModelError, match=message) as caught:
        read_state(path)
    assert str(path) in str(caught.value)
