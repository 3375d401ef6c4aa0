"""Image data sets as plain uint8 arrays."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["ImageSet", "load_cifar10"]


@dataclass(frozen=True)
class ImageSet:
    """Images of shape (N, C, H, W), uint8, their labels of shape (N,), int64, and where they come from."""

    images: np.ndarray
    labels: np.ndarray
    source: str

    def __len__(self) -> int:
        return len(self.images)


def load_cifar10(folder: Path, split: str, limit: int | None = None) -> ImageSet:
    """CIFAR-10 in the Hugging Face parquet layout: `folder`/plain_text/{train,test}-00000-of-00001.parquet.

    Raises FileNotFoundError if the file is absent. `limit` takes the first images only.
    """
    from PIL import Image
    from pyarrow import parquet

    path = folder / "plain_text" / f"{split}-00000-of-00001.parquet"
    if not path.is_file():
        raise FileNotFoundError(path)
    table = parquet.read_table(path, columns=["img", "label"])
    if limit is not None:
        table = table.slice(0, limit)
    encoded = table.column("img").combine_chunks().field("bytes")
    images = np.empty((len(encoded), 3, 32, 32), np.uint8)
    for index, data in enumerate(encoded):
        with Image.open(io.BytesIO(data.as_py())) as image:
            images[index] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    labels = table.column("label").to_numpy().astype(np.int64)
    return ImageSet(images, labels, f"CIFAR-10 {split} set ({path.name})")
