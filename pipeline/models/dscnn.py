"""DS-CNN for keyword spotting (arXiv 1711.07128), as in MLPerf Tiny: four depthwise separable blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pipeline.models.layers import ImageNetwork, Layers, after, channels
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["DSCNN"]

_PLANES, _BLOCKS = 64, 4
_STEM, _STEM_PADDING = (10, 4), (5, 1)
_STRIDE = 2


class DSCNN(ImageNetwork):
    """DS-CNN on features of speech, (N, 1, times, coefficients), 49 × 10 in the paper."""

    input_range = (-1.0, 1.0)

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
        planes = channels(_PLANES, width)
        stem = layers.conv(input_shape[0], planes, _STEM, stride=_STRIDE, padding=_STEM_PADDING, place="first")
        features: list[nn.Module] = [stem, nn.BatchNorm2d(planes), layers.activation()]
        for _ in range(_BLOCKS):
            features += [layers.conv(planes, planes, 3, padding=1, groups=planes), nn.BatchNorm2d(planes)]
            features += [layers.activation(), layers.conv(planes, planes, 1), nn.BatchNorm2d(planes)]
            features.append(layers.activation())
        self.features = nn.Sequential(*features)
        pixels = after((input_shape[1], input_shape[2]), _STEM, stride=_STRIDE, padding=_STEM_PADDING)
        self.final_pool = layers.average_pool(pixels)
        self.linear = layers.linear(planes, num_classes, place="last")
        self._initialise()

    def forward(self, features: Tensor) -> Tensor:
        x = self.final_pool(self.features(self.input_quant(self.normalize(features))))
        return self.linear(x.view(x.size(0), -1))
