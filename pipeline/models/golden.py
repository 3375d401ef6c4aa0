"""Golden frames: the inputs on which every stage of a build is proven, and where they come from.

In order of preference: the file that the user names; the model's own data set, where it is at hand; crops of the
photographs that scikit-learn ships, for networks that take images; a seeded draw. For a network that is known by its
file only, frames reach both ends of the range of its input, which someone must have said: the file's record, the
quantizer of its input, or the configuration.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from a2q_driver import preprocessing as driver
from pipeline.datasets import catalog
from pipeline.datasets.image_set import ImageSet
from pipeline.errors import ConfigError
from pipeline.models.names import Preprocessing

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "Ends",
    "GoldenFrames",
    "check_range",
    "data_files",
    "from_dataset",
    "from_file",
    "from_photographs",
    "is_image",
    "labelled_frames",
    "normalised",
    "of_range",
    "photographs",
    "range_frames",
]

_ON_DISK = ("cifar10", "cifar100", "fashion_mnist", "mnist")  # data sets whose images are not files of their own
_PHOTOGRAPHS = ("china.jpg", "flower.jpg")
_DATASETS: dict[tuple[int, ...], str] = {(3, 32, 32): "cifar10", (1, 28, 28): "mnist"}  # by the shape of an image
_SMALLEST_IMAGE = 16
_DRAWN = 4  # frames of images that give way to drawn ones
# of the user's frames against what the network takes
_SLACK = 1e-3  # of the range: rounding of a normalisation
_MOST_OUTSIDE = 1 / 3
_LEAST_SEEN = 1 / 16

Ends = tuple[np.ndarray, np.ndarray]  # the least and the largest number, float32, that broadcast against one frame


@dataclass(frozen=True, eq=False)
class GoldenFrames:
    """Frames (N, *input shape), float32, as the network takes them, and a phrase that says what they are."""

    frames: np.ndarray
    source: str


def data_files(golden_inputs: Path | None) -> list[Path]:
    """The files that golden frames may be read from, for the cache's key."""
    if golden_inputs:
        return [golden_inputs]
    return [path for name in _ON_DISK for path in catalog.files(name, "test")]


def from_file(path: Path, shape: tuple[int, ...], limit: int) -> GoldenFrames:
    """The first `limit` frames of a .npy file of shape (N, *shape). Raises ConfigError for any other file."""
    try:
        if not path.is_file() and path.exists():
            raise ValueError("it is no regular file")
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # noqa: BLE001  numpy's own, Python's parser's of a header, and zlib's have no class in common
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"golden_inputs: {path} cannot be read as a .npy file: {reason}.") from None
    if not isinstance(array, np.ndarray) or array.shape[1:] != shape or not len(array):
        content = array.shape if isinstance(array, np.ndarray) else "several arrays"
        expected = ", ".join(map(str, shape))
        raise ConfigError(f"golden_inputs: {path} holds {content}; expected one array of frames, (N, {expected}).")
    if array.dtype.kind not in "fiu":
        raise ConfigError(f"golden_inputs: {path} holds values of type {array.dtype}; expected integers or floats.")
    if not np.isfinite(array).all():
        raise ConfigError(f"golden_inputs: {path} holds values that are not finite numbers.")
    frames = np.ascontiguousarray(array[:limit], np.float32)
    return GoldenFrames(frames, f"{len(frames)} frames of the user's file {path.name}")


def check_range(called: str, frames: np.ndarray, ends: Ends, known_by: str, *, spans: bool = True) -> None:
    """Raise ConfigError unless the user's `frames`, which errors call `called`, can be inputs of a network that takes
    numbers between `ends`, as is known by `known_by`: a third of them may lie outside, where quantizers clip, and with
    `spans` they must span a sixteenth of it."""
    low, high = (np.asarray(end, np.float64) for end in ends)
    slack = (high - low) * _SLACK
    outside = float(((frames < low - slack) | (frames > high + slack)).mean())
    seen = float((frames.max() - frames.min()) / (high.max() - low.min()))
    if outside <= _MOST_OUTSIDE and (seen >= _LEAST_SEEN or not spans):
        return
    problem = f"{outside:.0%} of its numbers lie outside" if outside > _MOST_OUTSIDE else f"it spans {seen:.1%} of that"
    raise ConfigError(
        f"{called} holds numbers from {frames.min():g} to {frames.max():g}, but the network takes {low.min():g} to "
        f"{high.max():g} by {known_by}: {problem}. Give frames as the network takes them, scaled and normalised."
    )


def from_dataset(dataset: str, shape: tuple[int, ...], preprocessing: Preprocessing, count: int) -> GoldenFrames | None:
    """The first `count` test images of `dataset`, in the middle of zeros where `shape`, (C, H, W), is larger.

    None where the data set is not at hand, or has images of another kind. Raises InputError for one that is damaged.
    """
    chosen = labelled_frames(dataset, shape, preprocessing, count)
    return None if chosen is None else chosen[0]


def labelled_frames(
    dataset: str, shape: tuple[int, ...], preprocessing: Preprocessing, count: int
) -> tuple[GoldenFrames, np.ndarray] | None:
    """As `from_dataset`, with what is known of each image, see `ImageSet`."""
    result = _dataset_images(dataset, shape, count)
    if result is None:
        return None
    images, source, labels = result
    if images.dtype != np.uint8:
        scaled = np.divide(images, np.float32(catalog.find(dataset).full_scale), dtype=np.float32)
        return GoldenFrames(scaled, source), labels
    return GoldenFrames(normalised(images, preprocessing), source), labels


def from_photographs(shape: tuple[int, ...], preprocessing: Preprocessing, count: int, seed: int) -> GoldenFrames:
    """`count` square crops, drawn with `seed`, of scikit-learn's photographs, as `shape`: (C, H, W), C is 1 or 3."""
    images, source = _photograph_images(shape, count, seed)
    return GoldenFrames(normalised(images, preprocessing), source)


def of_range(
    shape: tuple[int, ...], ends: Ends, of_pixels: Callable[[np.ndarray], np.ndarray], count: int, seed: int
) -> GoldenFrames:
    """`count` frames for a network of which no more is known than what it takes: numbers between `ends`.

    Where `shape` is that of images they are `of_pixels` of a data set of that shape, or of photographs; a few give way to
    drawn ones, black, white and both at random. Else all are drawn.
    """
    if not is_image(shape):
        text = f"{count} frames drawn over the range of the input, {_span(ends)}, not the model's data set"
        return GoldenFrames(range_frames(ends, shape, count, seed), text)
    dataset = _DATASETS.get(shape, "")
    of_dataset = _dataset_images(dataset, shape, count)
    images, source = of_dataset[:2] if of_dataset else _photograph_images(shape, count, seed)
    drawn = min(_DRAWN, len(images) // 2)
    if drawn:
        black_to_white = (np.array(0, np.float32), np.array(255, np.float32))
        images[len(images) - drawn :] = np.round(range_frames(black_to_white, shape, drawn, seed)).astype(np.uint8)
        source = f"{source}; the last {drawn} are drawn instead, from black to white"
    return GoldenFrames(of_pixels(images), f"{source}; as numbers of {_span(ends)}")


def range_frames(ends: Ends, shape: tuple[int, ...], count: int, seed: int) -> np.ndarray:
    """`count` frames of `shape` that reach the whole range between `ends`, float32, drawn with `seed`.

    One is everywhere at its least, one at its largest; of the others, half are drawn evenly, half are at one of the ends
    in each element.
    """
    generator = np.random.default_rng(seed)
    low, high = (np.broadcast_to(np.asarray(end, np.float32), shape) for end in ends)
    frames = np.empty((count, *shape), np.float32)
    for index in range(count):
        if index < 2:
            frames[index] = (low, high)[index]
        elif index % 2:
            frames[index] = np.where(generator.random(shape) < 0.5, low, high)
        else:
            frames[index] = np.clip(low + (high - low) * generator.random(shape, np.float32), low, high)
    return frames


def _span(ends: Ends) -> str:
    return f"{np.min(ends[0]):g} to {np.max(ends[1]):g}"


def _dataset_images(dataset: str, shape: tuple[int, ...], count: int) -> tuple[np.ndarray, str, np.ndarray] | None:
    """The images, padded to `shape`, what they are, and their labels."""
    known = catalog.DATASETS.get(dataset)
    if known is None or (known.draw is None and dataset not in _ON_DISK) or not catalog.at_hand(dataset, "test"):
        return None
    images = catalog.load(dataset, "test", limit=count)
    assert isinstance(images, ImageSet)  # so all of _ON_DISK are, and what is made here
    channels, height, width = images.images.shape[1:]
    if len(shape) != 3 or channels != shape[0] or height > shape[1] or width > shape[2]:
        return None
    top, left = (shape[1] - height) // 2, (shape[2] - width) // 2
    margins = ((0, 0), (0, 0), (top, shape[1] - height - top), (left, shape[2] - width - left))
    return np.pad(images.images, margins), f"the {images.source}", images.labels


def _photograph_images(shape: tuple[int, ...], count: int, seed: int) -> tuple[np.ndarray, str]:
    generator = np.random.default_rng(seed)
    chosen = photographs()
    channels, height, width = shape
    crops = np.empty((count, channels, height, width), np.uint8)
    for index in range(count):
        photograph = chosen[index % len(chosen)]
        side = int(generator.integers(min(photograph.size) // 8, min(photograph.size) + 1))
        left, top = (int(generator.integers(0, length - side + 1)) for length in photograph.size)
        crop = photograph.resize((width, height), box=(left, top, left + side, top + side))
        pixels = np.asarray(crop.convert("L" if channels == 1 else "RGB"))
        crops[index] = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    source = (
        f"{count} crops of the photographs that scikit-learn ships (china.jpg, flower.jpg), not the model's data set"
    )
    return crops, source


def photographs() -> list[Image.Image]:
    """The photographs that scikit-learn ships, RGB."""
    from PIL import Image

    images = []
    for name in _PHOTOGRAPHS:
        with Image.open(_photograph_folder() / name) as image:
            images.append(image.convert("RGB"))
    return images


def _photograph_folder() -> Path:
    """scikit-learn's own, found without importing it, which takes seconds."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None and spec.submodule_search_locations is not None  # a package that this one depends on
    (package,) = spec.submodule_search_locations
    return Path(package, "datasets", "images")


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether frames of `shape` are taken to be images."""
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) >= _SMALLEST_IMAGE


def normalised(images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Network input by this `preprocessing` of uint8 `images` (N, C, H, W): float32, as the driver makes it."""
    return driver.normalised(images, preprocessing.mean, preprocessing.std)
