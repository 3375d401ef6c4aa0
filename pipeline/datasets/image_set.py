"""Images in memory with their labels, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["ImageSet", "image_count"]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images (N, C, H, W), uint8, their labels (N,), int64, from 0 to `classes` - 1, and a phrase for their source.

    Raises ValueError for arrays of other shapes or types.
    """

    images: np.ndarray
    labels: np.ndarray
    source: str
    classes: int

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(f"images are {self.images.dtype} {self.images.shape}, expected uint8 (N, C, H, W)")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int64:
            expected = self.images.shape[:1]
            raise ValueError(f"labels are {self.labels.dtype} {self.labels.shape}, expected int64 {expected}")

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
        return ImageSet(self.images[indices], self.labels[indices], source, self.classes)


def image_count(count: int) -> str:
    """`count` as a phrase: 1 image, 50,000 images."""
    return f"{count:,} image{'' if count == 1 else 's'}"
