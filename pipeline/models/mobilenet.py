"""What both MobileNets have: a stem, blocks, and a linear layer behind the average of all pixels."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.models.layers import ImageNetwork, Layers, after, channels, is_small
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["MobileNet"]

_STEM = 32


class MobileNet(ImageNetwork):
    """A network of blocks whose stem has stride 2 for ImageNet's images and 1 for small ones."""

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
        stem = channels(_STEM, width)
        self.conv1 = layers.conv(input_shape[0], stem, 3, stride=stride, padding=1, place="first")
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = layers.activation()
        pixels = after((input_shape[1], input_shape[2]), 3, stride=stride, padding=1)
        blocks, outputs, pixels = self._make_blocks(layers, stem, pixels, width)
        self.features = nn.Sequential(*blocks)
        outputs = self._make_head(layers, outputs, width)
        self.final_pool = layers.final_pool(pixels)
        self.linear = layers.linear(outputs, num_classes, place="last")
        self._initialise()

    @abstractmethod
    def _make_blocks(
        self, layers: Layers, inputs: int, pixels: tuple[int, int], width: float
    ) -> tuple[list[nn.Module], int, tuple[int, int]]:
        """The blocks, and the channels and pixels that come out of the last one."""

    def _make_head(self, layers: Layers, inputs: int, width: float) -> int:
        """What stands between the blocks and the average, and the channels that come out of it."""
        return inputs

    def _head(self, x: Tensor) -> Tensor:
        return x

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(self.input_quant(self.normalize(images)))))
        x = self.final_pool(self._head(self.features(x)))
        return self.linear(x.view(x.size(0), -1))
