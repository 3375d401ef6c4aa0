"""Residual networks: ResNet-8 to 110 for CIFAR, ResNet-18 to 152 for ImageNet (arXiv 1512.03385).

Shortcuts that change shape are 1×1 convolutions. Quantized, every addition joins two unsigned activations of one shared
quantizer, which is what a streaming adder in hardware needs; so do blocks and names follow `QuantBasicBlock` of
brevitas_examples/bnn_pynq/models/resnet.py in Brevitas 0.13.4. Float networks have a ReLU after the addition only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.models.layers import (
    ImageNetwork,
    Layers,
    after,
    channels,
    is_small,
)
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["BasicBlock", "Bottleneck", "ResNet"]

_IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut. `shared` is the activation that the block's input came out of."""

    expansion = 1

    def __init__(self, layers: Layers, inputs: int, planes: int, stride: int, shared: nn.Module) -> None:
        super().__init__()
        self.conv1 = layers.conv(inputs, planes, 3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu1 = layers.activation()
        self.conv2 = layers.conv(planes, planes, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample, shared = _shortcut(layers, inputs, planes, stride, shared)
        self.relu2 = layers.branch_end(shared)
        self.relu_out = layers.activation()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        return self.relu_out(out + (self.downsample(x) if len(self.downsample) else x))


class Bottleneck(nn.Module):
    """1×1, 3×3 with the stride, and 1×1 convolution to four times the planes, and a shortcut."""

    expansion = 4

    def __init__(self, layers: Layers, inputs: int, planes: int, stride: int, shared: nn.Module) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = layers.conv(inputs, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu1 = layers.activation()
        self.conv2 = layers.conv(planes, planes, 3, stride=stride, padding=1)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu2 = layers.activation()
        self.conv3 = layers.conv(planes, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample, shared = _shortcut(layers, inputs, outputs, stride, shared)
        self.relu3 = layers.branch_end(shared)
        self.relu_out = layers.activation()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.relu3(self.bn3(self.conv3(out)))
        return self.relu_out(out + (self.downsample(x) if len(self.downsample) else x))


class ResNet(ImageNetwork):
    """ResNet-`depth`. Depths of 6n + 2 have three stages of n blocks and 16, 32 and 64 channels; 18, 34, 50, 101 and
    152 four stages of 64 to 512 planes."""

    aliases = ((r"^fc\.", "linear."),)

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        quantization: Quantization | None = None,
        width: float = 1.0,
        normalization: Preprocessing | None = None,
    ) -> None:
        super().__init__(
            num_classes=num_classes, input_shape=input_shape, quantization=quantization, normalization=normalization
        )
        layers = Layers(quantization)
        block = Bottleneck if depth in (50, 101, 152) else BasicBlock
        counts = _IMAGENET_BLOCKS.get(depth) or ((depth - 2) // 6,) * 3
        first = 64 if depth in _IMAGENET_BLOCKS else 16
        planes = [channels(first * 2**stage, width) for stage in range(len(counts))]
        pixels = (input_shape[1], input_shape[2])
        stem = (3, 1, 1) if is_small(input_shape) else (7, 2, 3)
        kernel, stride, padding = stem
        self.conv1 = layers.conv(input_shape[0], planes[0], kernel, stride=stride, padding=padding, place="first")
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.relu = layers.activation()
        pixels = after(pixels, kernel, stride=stride, padding=padding)
        self.maxpool: nn.Module = nn.Identity()
        if not is_small(input_shape):
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
            pixels = after(pixels, 3, stride=2, padding=1)
        inputs, shared, self.stages = planes[0], self.relu, len(counts)
        for index, (count, outputs) in enumerate(zip(counts, planes, strict=True)):
            blocks = []
            for position in range(count):
                stride = 2 if index and not position else 1
                blocks.append(block(layers, inputs, outputs, stride, shared))
                inputs, shared = outputs * block.expansion, blocks[-1].relu_out
                pixels = after(pixels, 3, stride=stride, padding=1)
            setattr(self, f"layer{index + 1}", nn.Sequential(*blocks))
        self.final_pool = layers.average_pool(pixels[0] if pixels[0] == pixels[1] else pixels)
        self.linear = layers.linear(inputs, num_classes, place="last")
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = self.input_quant(self.normalize(images))
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for index in range(1, self.stages + 1):
            x = getattr(self, f"layer{index}")(x)
        x = self.final_pool(x)
        return self.linear(x.view(x.size(0), -1))


def _shortcut(
    layers: Layers, inputs: int, outputs: int, stride: int, shared: nn.Module
) -> tuple[nn.Sequential, nn.Module]:
    """The layers of a shortcut, none where shapes agree and the block's input can be added as it is, and the quantizer
    that both branches share."""
    if stride == 1 and inputs == outputs:
        if not layers.signed_residual:
            return nn.Sequential(), shared
        shared = layers.branch_end()
        return nn.Sequential(shared), shared
    shared = layers.branch_end()
    return nn.Sequential(layers.conv(inputs, outputs, 1, stride=stride), nn.BatchNorm2d(outputs), shared), shared
