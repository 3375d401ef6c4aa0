from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from pipeline.models import registry
from pipeline.models.a2q import a2q_layers, norms, norms_from_weights, pre_scaling, weights_from_norms
from pipeline.models.integer_weights import integer_weights
from pipeline.models.names import spec_of
from pipeline.models.quantization import Quantization

IMAGE = torch.zeros(1, 3, 32, 32)


@pytest.fixture(params=["a2q", "a2q_plus"])
def model(request) -> nn.Module:
    torch.manual_seed(0)
    return registry.network(spec_of("resnet8", Quantization.parse(f"w4a4_{request.param}_14b"), width=0.25))


def integers(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: layer.weights for name, layer in integer_weights(model.eval(), IMAGE).items()}


def test_a_network_begins_with_the_norms_and_scales_of_its_weights(model: nn.Module) -> None:
    for layer in a2q_layers(model).values():
        flat = layer.weight.flatten(1)
        norm, scale = norms(layer)
        assert torch.allclose(norm.flatten(), flat.abs().sum(dim=1), rtol=1e-4)
        assert torch.allclose(scale.flatten() * 7, flat.abs().amax(dim=1), rtol=1e-4)


def test_a_channel_without_a_direction_gets_one(model: nn.Module) -> None:
    layer = model.layer1[0].conv1
    with torch.no_grad():
        layer.weight[0] = 0
        others = layer.weight[1:].clone()
    assert not torch.isfinite(model(torch.rand(2, 3, 32, 32))).all()
    norms_from_weights(model)
    assert torch.isfinite(model(torch.rand(2, 3, 32, 32))).all()
    assert torch.equal(layer.weight[1:], others) and 0 < layer.weight[0].abs().max() < 0.01 * others.abs().max()


def test_directions_get_the_size_of_their_norms(model: nn.Module) -> None:
    with torch.no_grad():
        for layer in a2q_layers(model).values():
            layer.weight.mul_(50)  # of no effect on what is computed
            pre_scaling(layer).value.add_(0.01)  # else the largest quotients are integers but for rounding
    before = integers(model)
    weights_from_norms(model)
    assert all(torch.equal(weights, before[name]) for name, weights in integers(model).items())
    for layer in a2q_layers(model).values():
        norm, _ = norms(layer)
        assert torch.allclose(layer.weight.flatten(1).abs().sum(dim=1), norm.flatten(), rtol=1e-4)


def test_a_compiled_brevitas_is_refused_and_not_asked_for() -> None:
    """Its modules call no hooks: A2Q's penalty and EP-init would do nothing."""
    code = "import {0}; from pipeline.models import names, registry; registry.network(names.find('quant_cnv_w4a4'))"
    for first, status in (("pipeline", 0), ("brevitas.config", 1)):
        result = subprocess.run(
            [sys.executable, "-c", code.format(first)],
            env={"BREVITAS_JIT": "1", "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=False,
            text=True,
        )
        assert result.returncode == status, result.stderr
    assert "set BREVITAS_JIT=0" in result.stderr
