"""CIFAR-10 and CIFAR-100: the official binary and Python files, packed or not, and Hugging Face's parquet files."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.datasets.cifar_parquet import read_parquet
from pipeline.datasets.image_set import ImageSet
from pipeline.datasets.safe_pickle import read_dictionary
from pipeline.errors import InputError

__all__ = ["CifarReader"]

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_MOST_BYTES = 2**28  # of one file in an archive; the largest official one takes 155 million bytes
_REMEDY = "Fetch the file again."

# Images (N, 3072), labels (N,). Raises ValueError, with what was found and what was expected.
_Parse = Callable[[bytes, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class _Layout:
    """How an official data set is stored: the files of each split in `folder`, or packed with it in `archive`."""

    archive: str
    folder: str
    members: dict[str, tuple[str, ...]]
    parse: _Parse


@dataclass(frozen=True)
class CifarReader:
    """CIFAR-10 or CIFAR-100, by its number of `classes`. The labels of CIFAR-100 are the fine ones."""

    classes: int

    def files(self, folder: Path, split: str) -> list[Path]:
        """The files that `load` reads for `split`, missing ones too; none where `folder` holds nothing of it."""
        return self._find(folder, split)[1]

    def load(self, folder: Path, split: str, limit: int | None = None) -> ImageSet:
        """`split` from `folder`, its first `limit` images. Raises InputError for a file that is missing or damaged.

        Official files come before parquet files, which may hold images that were compressed with loss.
        """
        layout, files = self._find(folder, split)
        title = f"CIFAR-{self.classes} {split} set"
        if not files:
            raise InputError(f"{folder} holds no {title}.")
        if layout is None:
            return read_parquet(files[0], title, self.classes, limit)
        packed = files[0].name == layout.archive
        contents = _unpacked(files[0], layout, split) if packed else ((str(path), _content(path)) for path in files)
        parts = {where: self._parsed(where, data, layout.parse) for where, data in contents}
        # An archive's files come in any order.
        images, labels = (np.concatenate([parts[where][field] for where in sorted(parts)]) for field in (0, 1))
        named = files[0].name if len(files) == 1 else f"{files[0].name} to {files[-1].name}"
        result = ImageSet(images.reshape(-1, *_SHAPE), labels, f"{title} ({named})", self.classes)
        return result if limit is None else result.take(limit)

    def _find(self, folder: Path, split: str) -> tuple[_Layout | None, list[Path]]:
        for layout in _LAYOUTS[self.classes]:
            # The user may have named the unpacked folder itself.
            for parent in (folder / layout.folder, folder):
                paths = [parent / name for name in layout.members[split]]
                if any(path.is_file() for path in paths):
                    return layout, paths
            if (folder / layout.archive).is_file():
                return layout, [folder / layout.archive]
        path = folder / _PARQUET_FOLDERS[self.classes] / f"{split}-00000-of-00001.parquet"
        return None, [path] if path.is_file() else []

    def _parsed(self, where: str, data: bytes, parse: _Parse) -> tuple[np.ndarray, np.ndarray]:
        try:
            images, labels = parse(data, self.classes)
            if len(images) != len(labels):
                raise ValueError(f"it holds {len(labels)} labels for {len(images)} images")
            if not len(labels) or min(labels) < 0 or max(labels) >= self.classes:
                problem = f"labels from {min(labels)} to {max(labels)}" if len(labels) else "no labels"
                raise ValueError(f"it holds {problem}; expected 0 to {self.classes - 1}")
        except ValueError as error:
            raise InputError(f"{where} cannot be read: {error}. {_REMEDY}") from None
        return images, np.asarray(labels, np.int64)


def _parse_binary(data: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """One record for each image: its label, for CIFAR-100 behind the coarse one, and its pixels."""
    label_bytes = 1 if classes == 10 else 2
    size = label_bytes + _PIXELS
    if not data or len(data) % size:
        raise ValueError(f"it holds {len(data):,} bytes; expected a multiple of {size:,}, a record for each image")
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    return records[:, label_bytes:], records[:, label_bytes - 1]


def _parse_pickle(data: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A dictionary with `data` (N, 3072) and a list of N labels."""
    content = read_dictionary(data)
    key = "labels" if classes == 10 else "fine_labels"
    missing = sorted({"data", key} - content.keys())
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}")
    images, labels = content["data"], content[key]
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != _PIXELS:
        raise ValueError(f"its data are {getattr(images, 'shape', type(images).__name__)}; expected (N, {_PIXELS})")
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise ValueError(f"its {key} are no list of labels")
    return images, np.array(labels, np.int64)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. {_REMEDY}") from None


def _unpacked(archive: Path, layout: _Layout, split: str) -> Iterator[tuple[str, bytes]]:
    """The place in `archive` and the content of each file of `split`. Nothing is written to the disk."""
    wanted = {f"{layout.folder}/{name}" for name in layout.members[split]}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name not in wanted or not member.isfile():
                    continue
                if member.size > _MOST_BYTES:
                    raise InputError(
                        f"{name} in {archive} takes {member.size:,} bytes; expected {_MOST_BYTES:,} at most."
                    )
                wanted.remove(name)
                content = tar.extractfile(member)
                assert content is not None  # of a file
                yield f"{name} in {archive}", content.read()
                if not wanted:
                    return
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{archive} cannot be read: {error}. {_REMEDY}") from None
    raise InputError(f"{archive} holds no {', no '.join(sorted(wanted))}. {_REMEDY}")


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_PARQUET_FOLDERS = {10: "plain_text", 100: "cifar100"}
_LAYOUTS = {
    10: (
        _Layout(
            "cifar-10-binary.tar.gz",
            "cifar-10-batches-bin",
            {"train": tuple(f"{name}.bin" for name in _BATCHES), "test": ("test_batch.bin",)},
            _parse_binary,
        ),
        _Layout(
            "cifar-10-python.tar.gz",
            "cifar-10-batches-py",
            {"train": _BATCHES, "test": ("test_batch",)},
            _parse_pickle,
        ),
    ),
    100: (
        _Layout(
            "cifar-100-binary.tar.gz",
            "cifar-100-binary",
            {"train": ("train.bin",), "test": ("test.bin",)},
            _parse_binary,
        ),
        _Layout(
            "cifar-100-python.tar.gz",
            "cifar-100-python",
            {"train": ("train",), "test": ("test",)},
            _parse_pickle,
        ),
    ),
}
