"""MobileNetV1 (arXiv 1704.04861): thirteen depthwise separable convolutions after a stem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.models.layers import ImageNetwork, Layers, after, channels, is_small
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["MobileNetV1"]

_STEM = 32
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


class MobileNetV1(ImageNetwork):
    """MobileNetV1, whose stem has stride 2 for ImageNet's images and 1 for small ones."""

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
        blocks = []
        for planes, stride in _BLOCKS:
            outputs = channels(planes, width)
            blocks.append(_Separable(layers, inputs, outputs, stride))
            inputs, pixels = outputs, after(pixels, 3, stride=stride, padding=1)
        self.features = nn.Sequential(*blocks)
        self.final_pool: nn.Module = nn.Identity()
        if pixels != (1, 1):
            self.final_pool = layers.average_pool(pixels[0] if pixels[0] == pixels[1] else pixels)
        self.linear = layers.linear(inputs, num_classes, place="last")
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(self.input_quant(self.normalize(images)))))
        x = self.final_pool(self.features(x))
        return self.linear(x.view(x.size(0), -1))
