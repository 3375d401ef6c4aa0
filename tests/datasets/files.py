"""Tiny data sets, written as their publishers do."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image


def draw(count: int, shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, *shape), uint8, and labels (count,), the same at each call."""
    generator = np.random.default_rng(count)
    return generator.integers(0, 256, (count, *shape), np.uint8), generator.integers(0, classes, count)


def idx(array: np.ndarray) -> bytes:
    """An IDX file of a uint8 array."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, split: str, count: int, packed: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's two files of `split` (train, t10k)."""
    images, labels = draw(count, (1, 28, 28))
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images[:, 0]), ("labels-idx1", labels)):
        path = folder / f"{split}-{kind}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return images, labels


class _Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2's str, which the official CIFAR files hold."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def save_str(self, text: bytes | str) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_str


def python2_pickle(value: object) -> bytes:
    """`value` as Python 2 with numpy 1 would pickle it."""
    stream = io.BytesIO()
    _Python2Pickler(stream, 2).dump(value)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def cifar_pickle(images: np.ndarray, labels: np.ndarray, key: str = "labels") -> bytes:
    """One file of CIFAR's Python version."""
    return python2_pickle({"batch_label": "a batch", key: labels.tolist(), "data": images.reshape(len(images), -1)})


def cifar_binary(images: np.ndarray, *labels: np.ndarray) -> bytes:
    """One file of CIFAR's binary version; `labels` are one array for CIFAR-10, coarse and fine ones for CIFAR-100."""
    columns = [*(column[:, None] for column in labels), images.reshape(len(images), -1)]
    return np.concatenate(columns, axis=1).astype(np.uint8).tobytes()


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    """A .tar.gz of `members`."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def encoded(image: np.ndarray, file_format: str) -> bytes:
    """An image (3, H, W) as the bytes of a file."""
    stream = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(stream, file_format)
    return stream.getvalue()


def write_parquet(path: Path, images: np.ndarray, columns: dict[str, list[int]], file_format: str = "png") -> None:
    """A parquet file in Hugging Face's layout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": encoded(image, file_format), "path": None} for image in images]
    pyarrow.parquet.write_table(pyarrow.table({"img": cells, **columns}), path)
