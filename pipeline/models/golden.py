"""Golden frames: the inputs on which every stage of a build is proven, and where they come from.

In order of preference: the file that the user names; the model's own data set, where it is at hand; crops of the
photographs that scikit-learn ships, for networks that take images; a seeded draw over the range of the input's
quantizer.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2q_driver import preprocessing as driver
from pipeline.datasets import catalog
from pipeline.errors import ConfigError
from pipeline.models.names import Preprocessing

__all__ = [
    "GoldenFrames",
    "data_files",
    "from_dataset",
    "from_draw",
    "from_file",
    "from_photographs",
    "is_image",
    "normalised",
]

_IN_MEMORY = ("cifar10", "cifar100", "fashion_mnist", "mnist")  # data sets whose images are not files of their own
_PHOTOGRAPHS = ("china.jpg", "flower.jpg")
_SMALLEST_IMAGE = 16


@dataclass(frozen=True, eq=False)
class GoldenFrames:
    """Frames (N, *input shape), float32, as the network takes them, and a phrase that says what they are."""

    frames: np.ndarray
    source: str


def data_files(options: Mapping[str, Any]) -> list[Path]:
    """The files that golden frames may be read from, for the cache's key."""
    if options["golden_inputs"]:
        return [Path(options["golden_inputs"])]
    return [path for name in _IN_MEMORY for path in catalog.files(name, "test")]


def from_file(path: Path, shape: tuple[int, ...], limit: int) -> GoldenFrames:
    """The first `limit` frames of a .npy file of shape (N, *shape). Raises ConfigError for any other file."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"golden_inputs: {path} cannot be read as a .npy file: {error}.") from None
    if not isinstance(array, np.ndarray) or array.shape[1:] != shape or not len(array):
        found = array.shape if isinstance(array, np.ndarray) else "several arrays"
        raise ConfigError(f"golden_inputs: {path} holds {found}; the network takes frames, expected (N, *{shape}).")
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ConfigError(f"golden_inputs: {path} holds values that are not finite numbers.")
    frames = np.ascontiguousarray(array[:limit], np.float32)
    return GoldenFrames(frames, f"{len(frames)} frames of the user's file {path.name}")


def from_dataset(dataset: str, shape: tuple[int, ...], preprocessing: Preprocessing, count: int) -> GoldenFrames | None:
    """The first `count` test images of `dataset`, in the middle of zeros where `shape`, (C, H, W), is larger.

    None where the data set is not at hand, or has images of another kind. Raises InputError for one that is damaged.
    """
    if dataset not in _IN_MEMORY or not catalog.files(dataset, "test"):
        return None
    images = catalog.load(dataset, "test", limit=count)
    channels, height, width = images.images.shape[1:]
    if len(shape) != 3 or channels != shape[0] or height > shape[1] or width > shape[2]:
        return None
    top, left = (shape[1] - height) // 2, (shape[2] - width) // 2
    margins = ((0, 0), (0, 0), (top, shape[1] - height - top), (left, shape[2] - width - left))
    return GoldenFrames(normalised(np.pad(images.images, margins), preprocessing), f"the {images.source}")


def from_photographs(shape: tuple[int, ...], preprocessing: Preprocessing, count: int, seed: int) -> GoldenFrames:
    """`count` square crops, drawn with `seed`, of scikit-learn's photographs, as `shape`: (C, H, W), C is 1 or 3."""
    from PIL import Image

    generator = np.random.default_rng(seed)
    photographs = []
    for name in _PHOTOGRAPHS:
        with Image.open(_photograph_folder() / name) as image:
            photographs.append(image.copy())
    channels, height, width = shape
    crops = np.empty((count, channels, height, width), np.uint8)
    for index in range(count):
        photograph = photographs[index % len(photographs)]
        side = int(generator.integers(min(photograph.size) // 8, min(photograph.size) + 1))
        left, top = (int(generator.integers(0, length - side + 1)) for length in photograph.size)
        crop = photograph.resize((width, height), box=(left, top, left + side, top + side))
        pixels = np.asarray(crop.convert("L" if channels == 1 else "RGB"))
        crops[index] = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    source = (
        f"{count} crops of the photographs that scikit-learn ships (china.jpg, flower.jpg), not the model's data set"
    )
    return GoldenFrames(normalised(crops, preprocessing), source)


def _photograph_folder() -> Path:
    """scikit-learn's own, found without importing it, which takes seconds."""
    (package,) = importlib.util.find_spec("sklearn").submodule_search_locations
    return Path(package, "datasets", "images")


def from_draw(shape: tuple[int, ...], low: float, high: float, count: int, seed: int) -> GoldenFrames:
    """`count` frames of numbers drawn evenly from `low` to `high`."""
    frames = np.random.default_rng(seed).uniform(low, high, (count, *shape)).astype(np.float32)
    return GoldenFrames(
        frames, f"{count} frames of numbers drawn evenly from {low:g} to {high:g}, not the model's data set"
    )


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether frames of `shape` are taken to be images."""
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) >= _SMALLEST_IMAGE


def normalised(images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """What a network with this `preprocessing` takes for uint8 `images` (N, C, H, W): float32, as the driver makes it."""
    return driver.normalised(images, preprocessing.mean, preprocessing.std)
