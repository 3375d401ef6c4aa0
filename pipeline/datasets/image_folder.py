"""ImageNet's layout: a folder of files for each class, decoded one at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.datasets.image_set import image_count
from pipeline.errors import InputError

__all__ = ["ImageFolder", "ImageFolderReader", "evaluation_crop", "random_resized_crop"]

_FOLDERS = {"train": "train", "test": "val"}
_ENDINGS = {".jpeg", ".jpg", ".png"}
_SIDE = 224
_SHORTER_SIDE = 256


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """A data set for torch's DataLoader: the images in `paths`, their labels (N,), int64, and a phrase for their source.

    A label is the place of the image's class in the sorted list of the classes' folders.

    Item i is the image (3, 224, 224), uint8, and its label. With `draw`, a pair of seed and epoch, the image is a random
    crop, flipped at random, the same for the same seed, epoch and i; without, it is the crop for evaluation. Raises
    InputError for an image that cannot be decoded.
    """

    paths: Sequence[Path]
    labels: np.ndarray
    source: str
    classes: int
    draw: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        path = self.paths[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"The image {path} cannot be read: {error}. Fetch it again.") from None
        if self.draw is None:
            image = evaluation_crop(image)
        else:
            image = random_resized_crop(image, np.random.default_rng((*self.draw, index)))
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)), int(self.labels[index])

    def augmented(self, seed: int, epoch: int) -> ImageFolder:
        """The same images, cropped and flipped as `seed` and `epoch` say."""
        return replace(self, draw=(seed, epoch))

    def take(self, count: int) -> ImageFolder:
        """`count` images, spread evenly as they are sorted by class, and a source that says so."""
        if count >= len(self):
            return self
        indices = [index * len(self) // count for index in range(count)]
        return self.pick(np.array(indices), f"{image_count(count)}, spread evenly, of the {self.source}")

    def pick(self, indices: np.ndarray, source: str) -> ImageFolder:
        """The images at `indices`, in that order, called `source`."""
        paths = [self.paths[index] for index in indices.tolist()]
        return replace(self, paths=paths, labels=self.labels[indices], source=source)


@dataclass(frozen=True)
class ImageFolderReader:
    """<folder>/train/<class>/*.JPEG and <folder>/val/<class>/*.JPEG, called `title`; its test set is val."""

    title: str
    classes: int

    def files(self, folder: Path, split: str) -> list[Path]:
        """The folder of `split`, or none."""
        path = folder / _FOLDERS[split]
        return [path] if path.is_dir() else []

    def load(self, folder: Path, split: str, limit: int | None = None) -> ImageFolder:
        """`split` from `folder`, `limit` images of it spread evenly; no image is opened.

        Raises InputError where there are more or fewer classes, or where train and val have other ones.
        """
        path = folder / _FOLDERS[split]
        names = _class_names(path)
        if len(names) != self.classes:
            raise InputError(
                f"{path} holds {len(names)} folders of classes; expected {self.classes}, each with its images."
            )
        for other in (folder / name for name in _FOLDERS.values()):
            # Labels are places in the sorted list: with other classes they would mean something else.
            if other.is_dir() and _class_names(other) != names:
                raise InputError(f"{path} and {other} hold other classes; expected the same folders in both.")
        paths, labels = [], []
        for label, name in enumerate(names):
            files = sorted(file for file in (path / name).iterdir() if file.suffix.lower() in _ENDINGS)
            if not files:
                raise InputError(f"{path / name} holds no images; expected {', '.join(sorted(_ENDINGS))} files.")
            paths += files
            labels += [label] * len(files)
        split_name = {"train": "training", "test": "validation"}[split]
        result = ImageFolder(
            paths, np.array(labels, np.int64), f"{self.title} {split_name} set ({path.name}/)", self.classes
        )
        return result if limit is None else result.take(limit)


def evaluation_crop(image: Image.Image) -> Image.Image:
    """The middle 224x224 pixels of `image`, resized so that its shorter side has 256."""
    scale = _SHORTER_SIDE / min(image.size)
    # The longer side is rounded down, as torchvision does, so that published accuracies can be compared.
    width, height = (_SHORTER_SIDE if side == min(image.size) else int(side * scale) for side in image.size)
    left, top = (round((side - _SIDE) / 2) for side in (width, height))
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + _SIDE, top + _SIDE))


def random_resized_crop(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """8 to 100 % of `image`, of an aspect ratio from 3:4 to 4:3, resized to 224x224 and flipped in half of the cases."""
    resized = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=_random_box(image.size, generator))
    return resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < 0.5 else resized


def _random_box(size: tuple[int, int], generator: np.random.Generator) -> tuple[int, int, int, int]:
    """A random part of an image of `size` (width, height): its left, upper, right and lower edge."""
    width, height = size
    for _ in range(10):
        area = width * height * generator.uniform(0.08, 1.0)
        ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(generator.integers(0, width - w + 1)), int(generator.integers(0, height - h + 1))
            return left, top, left + w, top + h
    # An image too long for the area: its middle, as near to the range of ratios as can be.
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _class_names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}.") from None
