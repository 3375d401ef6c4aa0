"""Networks of users' own classes: the trace computes the same, the quantized network nearly, and what cannot be is named."""

from __future__ import annotations

import operator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.names import Preprocessing
from pipeline.models.quantization import Quantization
from pipeline.quantize.calibration import (
    activation_quantizers,
    quantized_layers,
    set_scales_of_activations,
    set_scales_of_weights,
)
from pipeline.quantize.graph import traced

NORMALIZATION = Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


class Residual(nn.Module):
    """One ReLU for all, an addition in place, a shortcut or none."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, affine=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.shortcut is None else self.shortcut(x)
        return self.relu(y)


class ResidualNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2))
        self.pool, self.drop = nn.AdaptiveAvgPool2d(1), nn.Dropout(0.5)
        self.classifier = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.max_pool2d(F.relu(self.norm(self.stem(x))), 2))
        return self.classifier(self.drop(torch.flatten(self.pool(x), 1)))


class Branches(nn.Module):
    """A sum without a ReLU, a concatenation, a mean, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.c, self.d = nn.Conv2d(8, 8, 1), nn.Conv2d(16, 16, 1)
        self.e, self.f = nn.Linear(16, 32), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x).relu()
        x = operator.add(x, self.b(x))
        x = F.relu(self.d(torch.cat([x, self.c(x)], 1)))
        return self.f(F.relu(self.e(x.mean((2, 3)))))


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 6, 5), nn.Linear(6 * 36, 20), nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.a(x), 2))
        return self.c(F.relu(self.b(x.view(x.size(0), -1))))


def made(make: type[nn.Module]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    network = make().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return network, torch.rand(16, 3, 16, 16)


@pytest.mark.parametrize("normalization", [None, NORMALIZATION])
@pytest.mark.parametrize(("make", "folded", "layers"), [(ResidualNet, 5, 7), (Branches, 0, 6), (Plain, 0, 3)])
def test_a_trace_computes_the_same_and_eight_bits_nearly(make, folded, layers, normalization) -> None:
    network, images = made(make)
    graph = traced(network, images[:2], normalization, "net.py:Net")
    assert graph.folded == folded
    mean, std = (torch.tensor(v).reshape(1, -1, 1, 1) for v in (NORMALIZATION.mean, NORMALIZATION.std))
    with torch.no_grad():
        expected = network((images - mean) / std if normalization else images)
        torch.testing.assert_close(graph.network(images), expected, rtol=1e-3, atol=1e-4)
        quantized = graph.quantized(Quantization(8, 8, weight_scales="fixed", residual="signed"))
        set_scales_of_weights(quantized, "minmax")
        set_scales_of_activations(quantized, [images], "minmax")
        difference = (quantized(images) - expected).abs().mean()
    assert float(difference) < 0.03 * float(expected.abs().mean())
    found = quantized_layers(quantized)
    assert len(found) == layers
    assert [layer.module.place for layer in found].count("hidden") == layers - 2
    names = dict(graph.network.named_modules())
    assert all(layer.name in names for layer in found), "for bias correction"
    assert all(layer.module.bias is not None for layer in found)


def test_operands_of_an_addition_share_a_signed_quantizer_and_each_relu_has_its_own() -> None:
    network, images = made(ResidualNet)
    graph = traced(network, images[:2], None, "net.py:Net")
    quantized = graph.quantized(Quantization(4, 3, weight_scales="fixed", residual="signed"))
    quantizers = activation_quantizers(quantized)
    assert [(q.bits, q.signed) for q in quantizers].count((4, True)) == 2, "of two additions, a bit more for the sign"
    assert [(q.bits, q.signed) for q in quantizers].count((3, False)) == 5, "of five ReLUs, which two modules compute"


class Branching(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else x


class Unknown(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.pad = nn.SiLU(), nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.gate(self.pad(x))).softmax(1)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(self.a(x))).mean((2, 3)))


class Small(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(12, 2))


class Endless(Small):
    """Weights that are no finite numbers, in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.insert(0, nn.Conv2d(3, 3, 1))
        self.insert(1, nn.AdaptiveAvgPool2d(1))
        self[3] = nn.Linear(3, 2)
        self[0].bias.data.fill_(float("inf"))


class Image(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(3, 3, 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Branching, r"net.py:Net cannot be traced: TraceError: .* branch on nothing"),
        (Unknown, r"cannot be quantized: pad pads with reflect; gate is SiLU\(\); softmax calls softmax\. Known are"),
        (
            Small,
            r"net.py:Net cannot compute images of 3×16×16: RuntimeError: .*Where it is for others, name their size",
        ),
        (Endless, r"gives values that are no finite numbers, from 0 on"),
        (Twice, r"cannot be quantized: a is computed twice"),
        (Image, r"gives a tensor of \(2, 3, 16, 16\); expected \(N, classes\)"),
    ],
)
def test_what_cannot_be_quantized_is_named(make, said) -> None:
    network, images = made(make)
    with pytest.raises(ModelError, match=said):
        traced(network, images[:2], None, "net.py:Net")
