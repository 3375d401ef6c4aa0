"""MobileNetV1 (arXiv 1704.04861): thirteen depthwise separable convolutions after a stem."""

from __future__ import annotations

from torch import nn

from pipeline.models.layers import Layers, after, channels
from pipeline.models.mobilenet import MobileNet

__all__ = ["MobileNetV1"]

_BLOCKS = (  # planes, stride
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


class _Separable(nn.Sequential):
    """A 3×3 convolution of each channel for itself, and a 1×1 convolution across them."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = layers.conv(inputs, inputs, 3, stride=stride, padding=1, groups=inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = layers.activation()
        self.conv2 = layers.conv(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = layers.activation()


class MobileNetV1(MobileNet):
    """MobileNetV1 (see MobileNet)."""

    def _make_blocks(
        self, layers: Layers, inputs: int, pixels: tuple[int, int], width: float
    ) -> tuple[list[nn.Module], int, tuple[int, int]]:
        blocks: list[nn.Module] = []
        for planes, stride in _BLOCKS:
            outputs = channels(planes, width)
            blocks.append(_Separable(layers, inputs, outputs, stride))
            inputs, pixels = outputs, after(pixels, 3, stride=stride, padding=1)
        return blocks, inputs, pixels
