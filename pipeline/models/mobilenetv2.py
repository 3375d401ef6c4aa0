"""MobileNetV2 (arXiv 1801.04381): inverted residuals, whose ends are linear.

Quantized, what a block gives has a sign, and both parts of a sum are of one quantizer, as in the residual networks here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.models.layers import ImageNetwork, Layers, after, channels, is_small
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["MobileNetV2"]

_STEM, _HEAD = 32, 1280
_BLOCKS = (  # expansion, planes, repeats, stride
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


class _InvertedResidual(nn.Module):
    """A 1×1 convolution to `expansion` times the channels, a 3×3 convolution of each, and a 1×1 convolution to `outputs`.

    `shared` is the quantizer that the block's input came out of; the input is added where its shape is the output's.
    """

    def __init__(
        self, layers: Layers, inputs: int, outputs: int, expansion: int, stride: int, shared: nn.Module | None
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = nn.Sequential()
        if expansion > 1:
            self.expand = nn.Sequential(layers.conv(inputs, hidden, 1), nn.BatchNorm2d(hidden), layers.activation())
        self.conv1 = layers.conv(hidden, hidden, 3, stride=stride, padding=1, groups=hidden)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.relu1 = layers.activation()
        self.conv2 = layers.conv(hidden, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.adds = shared is not None and stride == 1 and inputs == outputs
        self.end = shared if shared is not None and self.adds else layers.linear_end()
        self.out = layers.linear_end() if self.adds else self.end

    def forward(self, x: Tensor) -> Tensor:
        y = self.end(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(self.expand(x)))))))
        return self.out(y + x) if self.adds else y


class MobileNetV2(ImageNetwork):
    """MobileNetV2, whose stem and second stage have stride 2 for ImageNet's images and 1 for small ones."""

    def __init__(
        self,
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
        stride = 1 if is_small(input_shape) else 2
        inputs = channels(_STEM, width)
        self.conv1 = layers.conv(input_shape[0], inputs, 3, stride=stride, padding=1, place="first")
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = layers.activation()
        pixels = after((input_shape[1], input_shape[2]), 3, stride=stride, padding=1)
        blocks: list[_InvertedResidual] = []
        for index, (expansion, planes, repeats, first_stride) in enumerate(_BLOCKS):
            outputs = channels(planes, width)
            for repeat in range(repeats):
                stride = 1 if repeat or (index == 1 and is_small(input_shape)) else first_stride
                shared = blocks[-1].out if blocks else None
                blocks.append(_InvertedResidual(layers, inputs, outputs, expansion, stride, shared))
                inputs, pixels = outputs, after(pixels, 3, stride=stride, padding=1)
        self.features = nn.Sequential(*blocks)
        head = channels(_HEAD, width)
        self.conv2 = layers.conv(inputs, head, 1)
        self.bn2 = nn.BatchNorm2d(head)
        self.relu2 = layers.activation()
        self.final_pool: nn.Module = nn.Identity()
        if pixels != (1, 1):
            self.final_pool = layers.average_pool(pixels[0] if pixels[0] == pixels[1] else pixels)
        self.linear = layers.linear(head, num_classes, place="last")
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(self.input_quant(self.normalize(images)))))
        x = self.relu2(self.bn2(self.conv2(self.features(x))))
        x = self.final_pool(x)
        return self.linear(x.view(x.size(0), -1))
