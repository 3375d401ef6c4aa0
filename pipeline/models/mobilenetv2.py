"""MobileNetV2 (arXiv 1801.04381): inverted residuals, whose ends are linear.

Quantized, what a block gives has a sign, and both parts of a sum are of one quantizer, as in the residual networks here.
"""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.models.layers import Layers, after, channels, is_small
from pipeline.models.mobilenet import MobileNet

__all__ = ["MobileNetV2"]

_HEAD = 1280
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


class MobileNetV2(MobileNet):
    """MobileNetV2 (see MobileNet), whose second stage has stride 2 for ImageNet's images and 1 for small ones."""

    def _make_blocks(
        self, layers: Layers, inputs: int, pixels: tuple[int, int], width: float
    ) -> tuple[list[nn.Module], int, tuple[int, int]]:
        blocks: list[nn.Module] = []
        shared: nn.Module | None = None
        for index, (expansion, planes, repeats, first_stride) in enumerate(_BLOCKS):
            outputs = channels(planes, width)
            for repeat in range(repeats):
                stride = 1 if repeat or (index == 1 and is_small(self.input_shape)) else first_stride
                block = _InvertedResidual(layers, inputs, outputs, expansion, stride, shared)
                blocks.append(block)
                inputs, pixels, shared = outputs, after(pixels, 3, stride=stride, padding=1), block.out
        return blocks, inputs, pixels

    def _make_head(self, layers: Layers, inputs: int, width: float) -> int:
        head = channels(_HEAD, width)
        self.conv2 = layers.conv(inputs, head, 1)
        self.bn2 = nn.BatchNorm2d(head)
        self.relu2 = layers.activation()
        return head

    def _head(self, x: Tensor) -> Tensor:
        return self.relu2(self.bn2(self.conv2(x)))
