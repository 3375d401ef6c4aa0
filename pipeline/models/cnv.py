"""CNV of BNN-PYNQ: six 3×3 convolutions without padding and two hidden linear layers.

Topology: brevitas_examples/bnn_pynq/models/CNV.py in Brevitas 0.13.4, and FINN (arXiv 1612.07119). There activations
have a sign and the last layer has no bias; here both are as in the other networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.layers import ImageNetwork, Layers, Place, channels
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["CNV"]

_CONVOLUTIONS = ((64, False), (64, True), (128, False), (128, True), (256, False), (256, False))  # planes, max pool
_LINEAR = (512, 512)
_SIDE = 32


class CNV(ImageNetwork):
    """CNV for images of 32×32 pixels, after whose convolutions one pixel is left."""

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
        if tuple(input_shape[1:]) != (_SIDE, _SIDE):
            raise ModelError(
                f"cnv takes images of {_SIDE}×{_SIDE} pixels, the input shape is {tuple(input_shape)}. Pad smaller "
                "images, or choose another network."
            )
        layers = Layers(quantization)
        inputs = input_shape[0]
        features: list[nn.Module] = []
        for planes, pooled in _CONVOLUTIONS:
            outputs = channels(planes, width)
            place: Place = "hidden" if features else "first"
            features += [layers.conv(inputs, outputs, 3, place=place), nn.BatchNorm2d(outputs), layers.activation()]
            if pooled:
                features.append(nn.MaxPool2d(2))
            inputs = outputs
        self.features = nn.Sequential(*features)
        self.classifier = layers.classifier(inputs, [channels(planes, width) for planes in _LINEAR], num_classes)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = self.features(self.input_quant(self.normalize(images)))
        return self.classifier(x.view(x.size(0), -1))
