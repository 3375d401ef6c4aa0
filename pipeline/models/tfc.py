"""TFC of BNN-PYNQ: three linear layers of 64 on the flattened image, and a classifier.

Topology: brevitas_examples/bnn_pynq/models/FC.py in Brevitas 0.13.4, and FINN (arXiv 1612.07119), without dropout.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.models.layers import ImageNetwork, Layers, Place, channels
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["TFC"]

_HIDDEN = (64, 64, 64)


class TFC(ImageNetwork):
    """TFC for images of any shape."""

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
        inputs = prod(input_shape)
        features: list[nn.Module] = []
        for planes in _HIDDEN:
            outputs = channels(planes, width)
            place: Place = "hidden" if features else "first"
            features += [layers.linear(inputs, outputs, place=place), nn.BatchNorm1d(outputs), layers.activation()]
            inputs = outputs
        self.features = nn.Sequential(*features)
        self.linear = layers.linear(inputs, num_classes, place="last")

    def forward(self, images: Tensor) -> Tensor:
        # flattened before it is quantized: the hardware's input is then a vector and not an image
        x = self.normalize(images)
        return self.linear(self.features(self.input_quant(x.view(x.size(0), -1))))
