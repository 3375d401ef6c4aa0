"""A small U-Net (arXiv 1505.04597): an encoder, a decoder, and at each size a path from one to the other.

Padded, so that the output has the input's size, and with one quantizer for both parts of what is joined. Pixels are
repeated before a 3×3 convolution where the paper has a transposed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.layers import ImageNetwork, Layers, Place, after, channels
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["UNet"]

_PLANES = (16, 32, 64)  # by size, the largest images first
_MULTIPLE = 2 ** (len(_PLANES) - 1)


class _Block(nn.Module):
    """Two 3×3 convolutions. `end` is the activation behind the second; None for one of its own."""

    def __init__(
        self, layers: Layers, inputs: int, outputs: int, end: nn.Module | None = None, place: Place = "hidden"
    ) -> None:
        super().__init__()
        self.conv1 = layers.conv(inputs, outputs, 3, padding=1, place=place)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = layers.activation()
        self.conv2 = layers.conv(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = layers.activation() if end is None else end

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))


class _Up(nn.Module):
    """Images of twice the size: each pixel four times, and a 3×3 convolution to `outputs` channels."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, shared: nn.Module) -> None:
        super().__init__()
        self.upsample = nn.UpsamplingNearest2d(scale_factor=2)
        self.conv = layers.conv(inputs, outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = shared

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(self.upsample(x))))


class _Join(nn.Module):
    """What the encoder had at a size, and beside it what comes from the size below."""

    def __init__(self, up: _Up, block: _Block) -> None:
        super().__init__()
        self.up = up
        self.block = block

    def forward(self, skipped: Tensor, x: Tensor) -> Tensor:
        return self.block(torch.cat([skipped, self.up(x)], dim=1))


class UNet(ImageNetwork):
    """A U-Net of three sizes, which gives a number for each class and pixel, (N, `num_classes`, H, W)."""

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
        if any(size % _MULTIPLE for size in input_shape[1:]):
            raise ModelError(
                f"unet halves images {len(_PLANES) - 1} times and doubles them again; the input shape is "
                f"{tuple(input_shape)}. Use a height and a width that are multiples of {_MULTIPLE}."
            )
        layers = Layers(quantization)
        *sizes, smallest = (channels(planes, width) for planes in _PLANES)
        inputs, pixels = input_shape[0], (input_shape[1], input_shape[2])
        encoder, decoder = [], []
        for index, planes in enumerate(sizes):
            encoder.append(_Block(layers, inputs, planes, place="hidden" if index else "first"))
            inputs, pixels = planes, after(pixels, 2, stride=2)
        self.encoder = nn.ModuleList(encoder)
        self.pool = nn.MaxPool2d(2)
        self.bridge = _Block(layers, inputs, smallest)
        inputs = smallest
        for block, planes in zip(reversed(encoder), reversed(sizes), strict=True):
            up = _Up(layers, inputs, planes, block.relu2)
            decoder.append(_Join(up, _Block(layers, 2 * planes, planes)))
            inputs = planes
        self.decoder = nn.ModuleList(decoder)
        self.last_conv = layers.conv(inputs, num_classes, 1, place="last")
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = self.input_quant(self.normalize(images))
        skipped = []
        for block in self.encoder:
            skipped.append(block(x))
            x = self.pool(skipped[-1])
        x = self.bridge(x)
        for join in self.decoder:
            x = join(skipped.pop(), x)
        return self.last_conv(x)
