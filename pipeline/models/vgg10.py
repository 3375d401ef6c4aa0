"""VGG10 for modulations of radio signals (arXiv 1712.04578): seven convolutions of length 3 in one dimension, and three
linear layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.layers import ImageNetwork, Layers, Place, after, channels
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["VGG10"]

_PLANES, _CONVOLUTIONS = 64, 7
_LINEAR = (128, 128)


class VGG10(ImageNetwork):
    """VGG10 on signals (N, 2, 1, length), real and imaginary parts as the channels of images of one row."""

    input_range = (-2.0, 2.0)

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
        if input_shape[1] != 1:
            raise ModelError(
                f"vgg10 takes signals, images of one row; the input shape is {tuple(input_shape)}. Give (channels, 1, length)."
            )
        layers = Layers(quantization)
        inputs, pixels = input_shape[0], (input_shape[1], input_shape[2])
        features: list[nn.Module] = []
        for _ in range(_CONVOLUTIONS):
            outputs = channels(_PLANES, width)
            place: Place = "hidden" if features else "first"
            features += [layers.conv(inputs, outputs, (1, 3), padding=(0, 1), place=place), nn.BatchNorm2d(outputs)]
            features += [layers.activation(), nn.MaxPool2d((1, 2))]
            inputs, pixels = outputs, after(pixels, (1, 2), stride=2)
        self.features = nn.Sequential(*features)
        inputs *= pixels[0] * pixels[1]
        self.classifier = layers.classifier(inputs, [channels(planes, width) for planes in _LINEAR], num_classes)
        self._initialise()

    def forward(self, signals: Tensor) -> Tensor:
        x = self.features(self.input_quant(self.normalize(signals)))
        return self.classifier(x.view(x.size(0), -1))
