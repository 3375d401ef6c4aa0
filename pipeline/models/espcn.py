"""ESPCN (arXiv 1609.05158): convolutions on an image as it is, and sub-pixels that become a larger one.

Topology: brevitas_examples/super_resolution/models/espcn.py in Brevitas 0.13.4, whose release files its own classes are
filled with. There convolutions have biases, and the output is quantized behind the pixel shuffle, which gives the same
integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.models.layers import ImageNetwork, Layers, Place, channels
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["ESPCN"]

_CONVOLUTIONS = ((64, 5), (64, 3), (32, 3))  # planes, kernel


class ESPCN(ImageNetwork):
    """ESPCN, which gives an image of as many channels in [0, 1], `upscale` times as high and wide.

    `num_classes` has no meaning for it.
    """

    def __init__(
        self,
        upscale: int,
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
        inputs = input_shape[0]
        features: list[nn.Module] = []
        for planes, kernel in _CONVOLUTIONS:
            outputs = channels(planes, width)
            place: Place = "hidden" if features else "first"
            features.append(layers.conv(inputs, outputs, kernel, padding=kernel // 2, place=place))
            features += [nn.BatchNorm2d(outputs), layers.activation()]
            inputs = outputs
        self.features = nn.Sequential(*features)
        self.last_conv = layers.conv(inputs, input_shape[0] * upscale**2, 3, padding=1, place="last")
        self.image = layers.image()
        self.pixel_shuffle = nn.PixelShuffle(upscale)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = self.features(self.input_quant(self.normalize(images)))
        return self.pixel_shuffle(self.image(self.last_conv(x)))
