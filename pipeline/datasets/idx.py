"""MNIST's IDX files: big-endian dimensions, then the bytes of one array, often compressed with gzip."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from pipeline.datasets.image_set import ImageSet
from pipeline.errors import InputError

__all__ = ["IdxReader", "read_idx"]

_UNSIGNED_BYTES = 0x08
_PREFIXES = {"train": "train", "test": "t10k"}
_MOST_BYTES = 2**30  # a header of 16 bytes may claim any size; MNIST takes 47 million bytes
_REMEDY = "Fetch the file again."


@dataclass(frozen=True)
class IdxReader:
    """A data set of grey 28x28 images that is stored as MNIST is, called `title`."""

    title: str
    classes: int = 10
    side: int = 28

    def files(self, folder: Path, split: str) -> list[Path]:
        """The files of `split` in `folder`, images first; both of them where one is there, none where none is."""
        paths = [_either(folder / name) for name in self._names(split)]
        return paths if any(path.is_file() for path in paths) else []

    def load(self, folder: Path, split: str, limit: int | None = None) -> ImageSet:
        """`split` from `folder`, its first `limit` images. Raises InputError for a file that is missing or damaged."""
        images_path, labels_path = (_either(folder / name) for name in self._names(split))
        images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
        if images.shape[1:] != (self.side, self.side):
            raise InputError(
                f"{images_path} holds images of {images.shape[1]}x{images.shape[2]}; "
                f"expected {self.side}x{self.side}. {_REMEDY}"
            )
        if len(images) != len(labels):
            raise InputError(
                f"{labels_path} holds {len(labels)} labels; expected {len(images)}, one for each image of "
                f"{images_path.name}. Both files must be of one data set."
            )
        if labels.size and labels.max() >= self.classes:
            raise InputError(
                f"{labels_path} holds the label {labels.max()}; expected 0 to {self.classes - 1}. {_REMEDY}"
            )
        source = f"{self.title} {split} set ({images_path.name})"
        result = ImageSet(images[:, None], labels.astype(np.int64), source, self.classes)
        return result if limit is None else result.take(limit)

    def _names(self, split: str) -> tuple[str, str]:
        return f"{_PREFIXES[split]}-images-idx3-ubyte", f"{_PREFIXES[split]}-labels-idx1-ubyte"


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array of the IDX file `path`, which must have so many `dimensions`.

    Raises InputError for a file that is missing, damaged, shorter or longer than its header says.
    """
    try:
        with _opened(path) as stream:
            header = stream.read(4 + 4 * dimensions)
            shape = _shape(path, header, dimensions)
            expected = math.prod(shape)
            # One byte more than there should be, to see a file that is too long.
            data = stream.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}. {_REMEDY}") from None
    if len(data) != expected:
        size = f"{len(data):,} bytes" if len(data) < expected else "more bytes"
        raise InputError(f"{path} holds {size} after its header; expected {expected:,} for {shape}. {_REMEDY}")
    return np.array(np.frombuffer(data, np.uint8).reshape(shape))


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    magic = bytes((0, 0, _UNSIGNED_BYTES, dimensions))
    if header[:4] != magic:
        problem = f"begins with the bytes {header[:4].hex(' ')}" if header else "is empty"
        raise InputError(
            f"{path} {problem}; expected {magic.hex(' ')}, an IDX file of unsigned bytes in {dimensions} dimensions. "
            f"{_REMEDY}"
        )
    if len(header) < 4 + 4 * dimensions:
        raise InputError(f"{path} ends in its header, after {len(header)} bytes. {_REMEDY}")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if math.prod(shape) > _MOST_BYTES:
        raise InputError(f"{path} claims to hold {shape} bytes; expected at most {_MOST_BYTES:,}. {_REMEDY}")
    return shape


def _opened(path: Path) -> BufferedIOBase:
    # By content, not by name: browsers unpack a .gz and keep its name.
    with path.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if compressed else path.open("rb")


def _either(path: Path) -> Path:
    """`path`, or the same with .gz where only that is there."""
    compressed = path.with_name(f"{path.name}.gz")
    return compressed if compressed.is_file() and not path.is_file() else path
