"""VGG with batch normalisation (arXiv 1409.1556), of its hidden linear layers too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.models.layers import ImageNetwork, Layers, Place, after, channels, is_small
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["VGG"]

_CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_CHANNELS = (64, 128, 256, 512, 512)
_HIDDEN = 4096


class VGG(ImageNetwork):
    """VGG-`depth`: five groups of 3×3 convolutions, a max pool after each, and a classifier.

    The classifier is one linear layer after an average pool for small images, three layers for those of ImageNet.
    """

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
        inputs, pixels = input_shape[0], (input_shape[1], input_shape[2])
        features: list[nn.Module] = []
        for count, planes in zip(_CONVOLUTIONS[depth], _CHANNELS, strict=True):
            outputs = channels(planes, width)
            for _ in range(count):
                place: Place = "hidden" if features else "first"
                features += [layers.conv(inputs, outputs, 3, padding=1, place=place), nn.BatchNorm2d(outputs)]
                features.append(layers.activation())
                inputs = outputs
            features.append(nn.MaxPool2d(2))
            pixels = after(pixels, 2, stride=2)
        self.features = nn.Sequential(*features)
        if is_small(input_shape):
            self.final_pool = layers.final_pool(pixels)
            self.classifier = layers.linear(inputs, num_classes, place="last")
        else:
            hidden = channels(_HIDDEN, width)
            self.final_pool = nn.Identity()
            self.classifier = layers.classifier(inputs * pixels[0] * pixels[1], (hidden, hidden), num_classes)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = self.features(self.input_quant(self.normalize(images)))
        x = self.final_pool(x)
        return self.classifier(x.view(x.size(0), -1))
