"""Images with labels that the user names: a data set by its name, a folder of images by class, or an .npz file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.datasets import catalog
from pipeline.datasets.image_folder import ImageFolder
from pipeline.datasets.image_set import image_count
from pipeline.errors import InputError

__all__ = ["Labelled", "load_labelled", "picture_files", "read_picture"]

_ENDINGS = {".jpeg", ".jpg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True, eq=False)
class Labelled:
    """`frames` (N, *shape), uint8 pixels or float32 as a network takes them, and `labels` (N,), int64."""

    frames: np.ndarray
    labels: np.ndarray
    source: str


def load_labelled(
    named: str, shape: tuple[int, ...], classes: tuple[str, ...], folder: Path | None, limit: int | None
) -> Labelled:
    """The first `limit` frames of `shape` of what is `named`: a data set of the catalogue, in `folder` if given; a folder
    that has a folder of images for each class; or an .npz file of `images` and `labels`.

    A class of a folder is its place in `classes`, or where there are none in the sorted list. Images of another size are
    scaled until they cover `shape`, and their middle is taken. Raises InputError for what cannot be read or does not fit.
    """
    path = Path(named)
    if named in catalog.DATASETS:
        return _of_catalog(named, shape, folder, limit)
    if path.is_dir():
        return _of_folder(path, shape, classes, limit)
    if path.is_file() and path.suffix == ".npz":
        return _of_archive(path, shape, limit)
    raise InputError(
        f"There is no data set {named!r}. Name one of {', '.join(catalog.DATASETS)}, a folder that has a folder of images "
        "for each class, or an .npz file of images and labels."
    )


def _of_catalog(name: str, shape: tuple[int, ...], folder: Path | None, limit: int | None) -> Labelled:
    if catalog.find(name).labels != "classes":
        raise InputError(
            f"The data set {name} has {catalog.find(name).labels} for labels, and a file is measured by one class for each "
            "image. Name other data with --dataset."
        )
    result = catalog.load(name, "test", folder, limit)
    if isinstance(result, ImageFolder):
        images = np.stack([result[index][0] for index in range(len(result))])
    else:
        images = result.images
        if images.dtype != np.uint8:
            images = np.divide(images, np.float32(result.full_scale), dtype=np.float32)
    if images.shape[1:] != shape:
        raise InputError(
            f"The network takes frames of {_by(shape)}, and {catalog.find(name).title} has images of "
            f"{_by(images.shape[1:])}. Name other data with --dataset."
        )
    return Labelled(images, result.labels, f"the {result.source}")


def _of_folder(path: Path, shape: tuple[int, ...], classes: tuple[str, ...], limit: int | None) -> Labelled:
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InputError(
            f"The network takes frames of {_by(shape)}, which images in {path} cannot be. Give an .npz file."
        )
    folders = {folder.name: folder for folder in sorted(path.iterdir()) if folder.is_dir()}
    names = classes or tuple(folders)
    unknown = sorted(set(folders) - set(names))
    if unknown or not folders:
        problem = f"a folder {unknown[0]}, which is no class" if unknown else "no folders"
        raise InputError(
            f"{path} has {problem}; expected a folder of images for each class"
            + (f", called {', '.join(classes[:5])}{' …' if len(classes) > 5 else ''}." if classes else ".")
        )
    files = [(file, names.index(name)) for name, folder in folders.items() for file in _pictures(folder)]
    if not files:
        raise InputError(f"The folders of {path} hold no images; expected {', '.join(sorted(_ENDINGS))} files.")
    chosen = files if limit is None else [files[i * len(files) // limit] for i in range(min(limit, len(files)))]
    images = np.stack([read_picture(file, shape) for file, _ in chosen])
    spread = "" if len(chosen) == len(files) else ", spread evenly,"
    source = f"{image_count(len(chosen))}{spread} of {path}, {len(folders)} classes"
    return Labelled(images, np.array([label for _, label in chosen], np.int64), source)


def picture_files(path: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """The images in the folder `path` with their classes, and what these are called: the names of the folders in it.

    Where it holds images itself and no folders of any, there are no classes, and each image has 0. Raises InputError for a
    folder without images.
    """
    folders = tuple(folder for folder in sorted(path.iterdir()) if folder.is_dir() and _pictures(folder))
    if folders:
        files = [(file, label) for label, folder in enumerate(folders) for file in _pictures(folder)]
        return files, tuple(folder.name for folder in folders)
    flat = [(file, 0) for file in _pictures(path)]
    if not flat:
        raise InputError(
            f"{path} holds no images; expected {', '.join(sorted(_ENDINGS))} files, in it or in a folder for each class."
        )
    return flat, ()


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS and file.is_file())


def read_picture(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The image in `path`, uint8 (C, H, W) of `shape`: scaled until it covers that, of which the middle is taken.

    Raises InputError for a file that is no image of 8-bit pixels.
    """
    channels, height, width = shape
    try:
        with Image.open(path) as file:
            if file.mode.startswith(("I", "F")):
                raise ValueError(f"its pixels are of mode {file.mode}, not of 8 bits")
            image = ImageOps.exif_transpose(file).convert("L" if channels == 1 else "RGB")
    except Exception as error:  # noqa: BLE001  each format's reader has its own
        raise InputError(f"The image {path} cannot be read: {error}. Fetch it again, or take it out.") from None
    if image.size != (width, height):
        scale = max(width / image.width, height / image.height)
        wide, high = (max(round(side * scale), least) for side, least in zip(image.size, (width, height), strict=True))
        left, top = (wide - width) // 2, (high - height) // 2
        image = image.resize((wide, high), Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))
    return np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


def _of_archive(path: Path, shape: tuple[int, ...], limit: int | None) -> Labelled:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in ("images", "labels") if name not in arrays]
            if missing:
                raise InputError(f"{path} has no array {missing[0]}; it has {', '.join(arrays) or 'none'}.")
            images, labels = (np.atleast_1d(arrays[name])[:limit] for name in ("images", "labels"))
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  numpy's own, Python's parser's of a header, and zlib's have no class in common
        raise InputError(f"{path} cannot be read as an .npz file: {error}.") from None
    if images.dtype == np.uint8 and images.shape[1:] == (*shape[1:], shape[0]):
        images = np.moveaxis(images, -1, 1)  # height, width, channels, as image libraries have them
    if images.shape[1:] != shape or not len(images):
        raise InputError(
            f"{path} has images of shape {images.shape}; the network takes (N, {', '.join(map(str, shape))})."
        )
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InputError(
            f"{path} has images of {images.dtype}; expected uint8 pixels, or floats as the network takes them."
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),) or labels.min() < 0 or labels.max() >= 1 << 31:
        raise InputError(
            f"{path} has labels of {labels.dtype} {labels.shape}; expected {len(images)} whole numbers of 0 or more."
        )
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise InputError(f"{path} has images with values that are no finite numbers.")
    return Labelled(np.ascontiguousarray(images), labels.astype(np.int64), f"{image_count(len(images))} of {path.name}")


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
