"""Images or signals in memory, what is known of each of them, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

__all__ = ["PIXEL_SCALE", "ImageSet", "Labels", "image_count"]

Labels = Literal["classes", "pixels", "boxes"]  # what is known: a class, the class of each pixel, or boxes with classes
PIXEL_SCALE = 255.0


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images (N, C, H, W), what is known of them, and a phrase for their source.

    A network takes `images`, uint8 pixels or int8 samples of signals, divided by `full_scale`. `labels` are one of:
    classes, int64 (N,); classes of pixels, uint8 (N, H, W); both from 0 to `classes` - 1; or boxes, float32 (N, B, 5), the
    class, the middle (x, y) and the size (w, h) as shares of the image's, with a class of -1 where there are less than B.

    Raises ValueError for arrays of other shapes or types.
    """

    images: np.ndarray
    labels: np.ndarray
    source: str
    classes: int
    full_scale: float = PIXEL_SCALE

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (np.uint8, np.int8):
            raise ValueError(f"images are {self.images.dtype} {self.images.shape}, expected uint8 or int8 (N, C, H, W)")
        count, _, *pixels = self.images.shape
        boxes = (count, *self.labels.shape[1:2], 5)
        allowed = {
            (np.dtype(np.int64), (count,)),
            (np.dtype(np.uint8), (count, *pixels)),
            (np.dtype(np.float32), boxes),
        }
        if (self.labels.dtype, self.labels.shape) not in allowed:
            raise ValueError(
                f"labels are {self.labels.dtype} {self.labels.shape}, expected int64 ({count},), uint8 {(count, *pixels)} or "
                f"float32 ({count}, B, 5)"
            )

    def __len__(self) -> int:
        return len(self.images)

    def take(self, count: int) -> ImageSet:
        """The first `count` images, and a source that says so; all of them where there are no more."""
        if count >= len(self):
            return self
        source = f"first {image_count(count)} of the {self.source}"
        return replace(self, images=self.images[:count], labels=self.labels[:count], source=source)

    def pick(self, indices: np.ndarray, source: str) -> ImageSet:
        """A copy of the images at `indices`, in that order, called `source`."""
        return replace(self, images=self.images[indices], labels=self.labels[indices], source=source)


def image_count(count: int) -> str:
    """`count` as a phrase: 1 image, 50,000 images."""
    return f"{count:,} image{'' if count == 1 else 's'}"
