"""CIFAR as Hugging Face stores it: a table whose column `img` holds encoded images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.datasets.image_set import ImageSet, image_count
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["read_parquet"]

_SIDE = 32
_LABELS = {10: "label", 100: "fine_label"}
_REMEDY = "Fetch the file again."


def read_parquet(path: Path, title: str, classes: int, limit: int | None = None) -> ImageSet:
    """The first `limit` images of the parquet file `path`; only these are decoded.

    The source says where images are stored as JPEG. Raises InputError for a file that is missing or damaged.
    """
    import pyarrow
    from pyarrow import parquet

    column = _LABELS[classes]
    try:
        missing = sorted({"img", column} - set(parquet.read_schema(path).names))
        if missing:
            raise ValueError(f"it has no column {' and no column '.join(missing)}")
        with parquet.ParquetFile(path) as file:  # read_table does the same, and imports pandas for it
            table = file.read(columns=["img", column])
        total = table.num_rows
        table = table.slice(0, limit)
        encoded = pyarrow.chunked_array([chunk.field("bytes") for chunk in table.column("img").chunks])
        labels = table.column(column).to_numpy()
        if labels.dtype.kind not in "iu" or (labels.size and not 0 <= labels.min() <= labels.max() < classes):
            raise ValueError(f"its column {column} does not hold labels from 0 to {classes - 1}")
        images, formats = _decoded(encoded)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pyarrow.ArrowException) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"{path} cannot be read: {reason}. {_REMEDY}") from None
    # The official files hold PNG images. Copies are in use that hold JPEG ones, which costs accuracy.
    lossy = ", JPEG re-compressed" if "JPEG" in formats else ""
    source = f"{title} ({path.name}{lossy})"
    if len(images) < total:
        source = f"first {image_count(len(images))} of the {source}"
    return ImageSet(images, labels.astype(np.int64), source, classes)


def _decoded(encoded: pyarrow.ChunkedArray) -> tuple[np.ndarray, set[str | None]]:
    """The images (N, 3, 32, 32), uint8, and the names of their file formats. Raises ValueError for a damaged one."""
    from PIL import Image

    images = np.empty((len(encoded), 3, _SIDE, _SIDE), np.uint8)
    formats = set()
    for index, data in enumerate(encoded):
        try:
            with Image.open(io.BytesIO(data.as_py()), formats=("PNG", "JPEG")) as image:
                size = image.size
                pixels = np.asarray(image.convert("RGB")) if size == (_SIDE, _SIDE) else None
                formats.add(image.format)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise ValueError(f"image {index} is damaged, or neither PNG nor JPEG") from None
        if pixels is None:
            raise ValueError(f"image {index} has {size[0]}x{size[1]} pixels; expected {_SIDE}x{_SIDE}")
        images[index] = pixels.transpose(2, 0, 1)
    return images, formats
