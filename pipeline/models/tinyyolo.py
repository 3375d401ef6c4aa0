"""A small detector of YOLOv2's kind (arXiv 1612.08242): convolutions and max pools to a coarse grid of cells.

Boxes are made of what it gives on the host, by `boxes` of the package's Accelerator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from pipeline.models.layers import ImageNetwork, Layers, Place, after, channels
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["ANCHORS", "BOX_NUMBERS", "TinyYOLO"]

_PLANES = (16, 32, 64, 128, 256)  # a max pool behind each but the last
# width and height in cells of 16 × 16 pixels; boxes of COCO and VOC are as many anchors of other sizes
ANCHORS = ((1.1, 1.1), (1.2, 2.4), (2.4, 1.2), (2.2, 2.2), (3.0, 3.0))
BOX_NUMBERS = 5  # place, size and confidence


class TinyYOLO(ImageNetwork):
    """A detector, which gives for each cell, anchor by anchor, place, size and confidence of a box and a number for each
    class: (N, 5 · (5 + `num_classes`), H / 16, W / 16)."""

    grids: ClassVar = (ANCHORS,)

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
        inputs, pixels = input_shape[0], (input_shape[1], input_shape[2])
        features: list[nn.Module] = []
        for planes in _PLANES:
            outputs = channels(planes, width)
            place: Place = "first"
            if features:
                place = "hidden"
                features.append(nn.MaxPool2d(2))
                pixels = after(pixels, 2, stride=2)
            features += [layers.conv(inputs, outputs, 3, padding=1, place=place), nn.BatchNorm2d(outputs)]
            features.append(layers.activation())
            inputs = outputs
        self.features = nn.Sequential(*features)
        self.last_conv = layers.conv(inputs, len(ANCHORS) * (BOX_NUMBERS + num_classes), 1, place="last")
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        return self.last_conv(self.features(self.input_quant(self.normalize(images))))
