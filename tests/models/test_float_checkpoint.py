from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import ModelError
from pipeline.models import registry
from pipeline.models.float_checkpoint import load_float
from pipeline.models.names import Preprocessing, spec_of
from pipeline.models.quantization import Quantization

A2Q = Quantization.parse("w4a4_a2q_14b")


def tiny(quantization: Quantization | None, family: str = "resnet8") -> nn.Module:
    return registry.network(spec_of(family, quantization, width=0.25))


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(0)
    model = tiny(None)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
    return model.eval()


def test_a_float_network_is_filled(trained: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    wrapped = {f"module.{name}": tensor for name, tensor in trained.state_dict().items() if "batches" not in name}
    torch.save({"state_dict": wrapped, "best_prec1": 90.0}, path)
    model = tiny(None)
    load_float(model, path)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images), trained(images))


def test_a_quantized_network_begins_from_float(trained: nn.Module, tmp_path: Path) -> None:
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    model = tiny(A2Q)
    registry.initialise(model, str(tmp_path / "w.pth"))
    for name, tensor in trained.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    layer = model.layer1[0].conv1
    norms = layer.weight_quant.tensor_quant.pre_scaling_impl.value.exp2().flatten()
    assert torch.allclose(norms, layer.weight.abs().flatten(1).sum(dim=1), rtol=1e-4), (
        "quantizers begin from the weights"
    )


def test_a_quantized_network_begins_from_a_quantized_one(tmp_path: Path) -> None:
    source = tiny(Quantization(4, 4)).train()
    with torch.no_grad():
        source(torch.rand(4, 3, 32, 32))
    torch.save({"record": {}, "state": source.state_dict()}, tmp_path / "w.pth")
    model = tiny(A2Q)
    load_float(model, tmp_path / "w.pth")
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in source.state_dict().items())
    assert "layer1.0.relu1.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value" in state
    registry.initialise(tiny(None), str(tmp_path / "w.pth"))


def test_a_bias_in_the_file_gets_a_place(trained: nn.Module, tmp_path: Path) -> None:
    torch.save({**trained.state_dict(), "conv1.bias": torch.arange(4.0)}, tmp_path / "w.pth")
    model = tiny(A2Q)
    load_float(model, tmp_path / "w.pth")
    assert torch.equal(model.conv1.bias, torch.arange(4.0))


def test_what_a2q_learned_is_for_a2q_only(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    source = tiny(A2Q).train()
    with torch.no_grad():
        source(torch.rand(4, 3, 32, 32))
        source.layer1[0].conv1.weight_quant.tensor_quant.pre_scaling_impl.value.sub_(3)
    record = spec_of("resnet8", A2Q, width=0.25).as_record()
    torch.save({"record": record, "state": source.state_dict()}, path)
    model = tiny(Quantization.parse("w4a4_a2q_12b"))
    load_float(model, path)
    ours, theirs = (m.layer1[0].conv1.weight_quant.tensor_quant.pre_scaling_impl for m in (model, source))
    assert torch.equal(ours.value, theirs.value) and int(ours.accumulator_bit_width()) == 12
    for other in (None, Quantization(4, 4)):
        with pytest.raises(ModelError, match="has weights of A2Q, such as layer1.0.conv1's"):
            load_float(tiny(other), path)
    with pytest.raises(ModelError, match="A2Q's scales for weights of 4 bits, the network weights of 6"):
        load_float(tiny(Quantization.parse("w6a4_a2q_12b")), path)


@pytest.mark.parametrize("quantization", [None, A2Q])
def test_what_does_not_fit_is_named(quantization: Quantization | None, trained: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    state = trained.state_dict()

    def refused(changed: dict[str, Tensor], message: str) -> None:
        torch.save(changed, path)
        with pytest.raises(ModelError, match=message):
            load_float(tiny(quantization), path)

    without = {name: tensor for name, tensor in state.items() if name != "layer2.0.conv2.weight"}
    refused(without, r"w\.pth is not of this network: the file lacks layer2\.0\.conv2\.weight\.")
    refused({**state, "head.weight": torch.zeros(1)}, r"the network has no head\.weight")
    refused(
        {**state, "linear.weight": torch.zeros(5, 16)}, r"linear\.weight is \(5, 16\) in the file and \(10, 16\) in"
    )
    refused(tiny(None, "vgg11").state_dict(), r"lacks conv1\.weight, .* more; the network has no features\.0\.weight")
    refused({}, "the file lacks conv1.weight")
    with pytest.raises(ModelError, match="There is no checkpoint .*none.pth"):
        load_float(tiny(quantization), tmp_path / "none.pth")


class OptionABlock(nn.Module):
    """A block of https://github.com/akamaster/pytorch_resnet_cifar10, whose shortcuts have no parameters."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.changes, self.planes = stride != 1 or inputs != planes, planes

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.changes:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.planes // 4, self.planes // 4))
        return functional.relu(out + x)


class OptionAResNet(nn.Module):
    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for index, planes in enumerate((16, 32, 64), start=1):
            stage = [OptionABlock(inputs, planes, min(index, 2))]
            stage += [OptionABlock(planes, planes, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{index}", nn.Sequential(*stage))
            inputs = planes
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean(dim=(2, 3)))


def test_shortcuts_without_parameters_become_convolutions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = OptionAResNet(3)
    published.train()(torch.randn(8, 3, 32, 32))
    published.eval()
    torch.save({"state_dict": {f"module.{n}": t for n, t in published.state_dict().items()}}, tmp_path / "w.th")
    normalization = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    model = registry.network(spec_of("resnet20", None, normalization=normalization))
    load_float(model, tmp_path / "w.th")
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        difference = (model(images) - published(model.normalize(images))).abs().max()
    assert difference < 1e-5

    quantized = registry.network(spec_of("resnet20", A2Q, normalization=normalization))
    load_float(quantized, tmp_path / "w.th")
    shortcut = quantized.layer2[0].downsample[0].weight
    assert torch.allclose(shortcut, model.layer2[0].downsample[0].weight, atol=1e-3)
    outputs = quantized.train()(images)
    outputs.square().sum().backward()
    assert torch.isfinite(outputs).all(), "channels of zeros have no direction"
    assert all(torch.isfinite(p.grad).all() for p in quantized.parameters() if p.grad is not None)


def test_pixels_are_taken_as_the_checkpoint_takes_them(trained: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    record = spec_of("resnet8", None, width=0.25).as_record()
    torch.save({"record": record, "state": trained.state_dict()}, path)
    normalization = Preprocessing((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    other = registry.network(spec_of("resnet8", None, width=0.25, normalization=normalization))
    with pytest.raises(
        ModelError, match=r"mean \(0.0, 0.0, 0.0\).*this network has \(0.5, 0.5, 0.5\).*Set normalization"
    ):
        registry.initialise(other, str(path))
    registry.initialise(tiny(None), str(path))
