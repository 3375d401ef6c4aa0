"""A small detector of two scales, of YOLOv3-tiny's kind (arXiv 1804.02767): a coarse grid of cells for large things, and one
twice as fine, which sees the coarse features beside its own, for small ones.

Boxes are made of what it gives on the host, by `boxes` of the package's Accelerator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.layers import ImageNetwork, Layers, Place, channels
from pipeline.models.quantization import Quantization
from pipeline.models.tinyyolo import BOX_NUMBERS

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["COARSE_ANCHORS", "FINE_ANCHORS", "TinyYOLOv3"]

_PLANES = (16, 32, 64, 128, 256)  # a max pool behind each; the fine grid sees the last before it
_COARSE, _NARROW, _UP = 512, 256, 128
# width and height in cells of 32 × 32 and of 16 × 16 pixels: the six sizes that fit boxes of `shape_boxes` best, by k-means
COARSE_ANCHORS = ((1.0, 0.95), (0.95, 1.45), (1.4, 1.2))
FINE_ANCHORS = ((1.4, 1.25), (1.25, 2.25), (2.7, 1.3))
_MULTIPLE = 2 ** len(_PLANES)
_HEAD_STD = 0.01  # of the last layers' first weights, as RetinaNet has them (arXiv 1708.02002, section 4.1)


class _Block(nn.Module):
    """A convolution with its normalisation. `end` is the activation behind them; None for one of its own."""

    def __init__(
        self,
        layers: Layers,
        inputs: int,
        outputs: int,
        kernel: int,
        end: nn.Module | None = None,
        place: Place = "hidden",
    ) -> None:
        super().__init__()
        self.conv = layers.conv(inputs, outputs, kernel, padding=kernel // 2, place=place)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu: nn.Module = layers.activation() if end is None else end

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class TinyYOLOv3(ImageNetwork):
    """A detector with two outputs, which give for each cell, anchor by anchor, place, size and confidence of a box and a
    number for each class: (N, 3 · (5 + `num_classes`), H / 32, W / 32), and the same at twice the height and width."""

    output_names: ClassVar = ("coarse", "fine")
    grids: ClassVar = (COARSE_ANCHORS, FINE_ANCHORS)

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
                f"tinyyolov3 halves images {len(_PLANES)} times; the input shape is {tuple(input_shape)}. Use a height and "
                f"a width that are multiples of {_MULTIPLE}."
            )
        layers = Layers(quantization)
        inputs = input_shape[0]
        blocks: list[_Block] = []
        for index, planes in enumerate(_PLANES):
            outputs = channels(planes, width)
            blocks.append(_Block(layers, inputs, outputs, 3, place="hidden" if index else "first"))
            inputs = outputs
        self.features = nn.ModuleList(blocks)
        self.pool = nn.MaxPool2d(2)
        coarse, narrow, up = (channels(planes, width) for planes in (_COARSE, _NARROW, _UP))
        coarse_boxes, fine_boxes = (len(anchors) * (BOX_NUMBERS + num_classes) for anchors in self.grids)
        self.neck = nn.Sequential(_Block(layers, inputs, coarse, 3), _Block(layers, coarse, narrow, 1))
        self.coarse = nn.Sequential(
            _Block(layers, narrow, coarse, 3), layers.conv(coarse, coarse_boxes, 1, place="last")
        )
        self.up = _Block(layers, narrow, up, 1, blocks[-1].relu)
        self.upsample = nn.UpsamplingNearest2d(scale_factor=2)
        self.fine = nn.Sequential(
            _Block(layers, inputs + up, narrow, 3), layers.conv(narrow, fine_boxes, 1, place="last")
        )
        self._initialise()
        for head in (self.coarse, self.fine):  # else sigmoids of places and confidences begin where they hardly learn
            last = head[-1]
            assert isinstance(last, nn.Conv2d)
            nn.init.normal_(last.weight, std=_HEAD_STD)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.input_quant(self.normalize(images))
        for block in self.features:
            skipped = block(x)
            x = self.pool(skipped)
        x = self.neck(x)
        return self.coarse(x), self.fine(torch.cat([skipped, self.upsample(self.up(x))], dim=1))
