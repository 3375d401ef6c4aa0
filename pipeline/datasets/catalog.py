"""The data sets by name: their files, the folders that may hold them, and the way to get them; or how they are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline.datasets import modulations, shapes, synth_words
from pipeline.datasets.cifar import CifarReader
from pipeline.datasets.idx import IdxReader
from pipeline.datasets.image_folder import ImageFolder, ImageFolderReader
from pipeline.datasets.image_set import PIXEL_SCALE, ImageSet, Labels, image_count
from pipeline.datasets.mfcc import COEFFICIENTS, TIMES
from pipeline.errors import InputError
from pipeline.text_file import shown
from pipeline.user_cache import cache_folder

if TYPE_CHECKING:
    from pipeline.datasets.augment import Augmentation

__all__ = ["DATASETS", "SPLITS", "DataSet", "at_hand", "files", "find", "load", "places", "split_validation"]

SPLITS = ("train", "test")


class _Reader(Protocol):
    def files(self, folder: Path, split: str) -> list[Path]:
        """The files or folders of `split` in `folder`; none where nothing of it is there."""

    def load(self, folder: Path, split: str, limit: int | None = None) -> ImageSet | ImageFolder:
        """The first `limit` images of `split`. Raises InputError for what is missing or damaged."""


@dataclass(frozen=True)
class DataSet:
    """A data set: images of `shape` (C, H, W), and how many there are in each split.

    It is read from files by `reader`, or is made here by `draw`, of a split and a count. `labels` is what is known of
    an image, and `full_scale` what its integers are divided by for a network, see `ImageSet`. `crop_padding` pixels and
    `flip` are what it is usually trained with. `how_to_get` says where it is published and what to put into its folder;
    `system_folders` are where packages of the system put it.
    """

    name: str
    title: str
    classes: int
    shape: tuple[int, int, int]
    counts: Mapping[str, int]
    reader: _Reader | None = None
    draw: Callable[[str, int], ImageSet] | None = None
    how_to_get: str = ""
    labels: Labels = "classes"
    full_scale: float = PIXEL_SCALE
    crop_padding: int = 0
    flip: bool = False
    system_folders: tuple[Path, ...] = ()

    @property
    def input_range(self) -> tuple[float, float] | None:
        """The least and the largest number that networks are given; None for pixels, from 0 to 1."""
        return None if self.full_scale == PIXEL_SCALE else (-127 / self.full_scale, 127 / self.full_scale)

    @property
    def augmentation(self) -> Augmentation:
        """The crop and flip that it is usually trained with; none for folders of images, which have their own."""
        from pipeline.datasets.augment import Augmentation

        return Augmentation(self.crop_padding, self.flip)


def find(name: str) -> DataSet:
    """The data set called `name`. Raises InputError for one that is not known."""
    try:
        return DATASETS[name]
    except KeyError:
        raise InputError(f"There is no data set {name!r}; known are {', '.join(DATASETS)}.") from None


def places(name: str, folder: Path | None = None) -> list[Path]:
    """The places of the data set `name`, in order: `folder` alone, or else A2Q_DATA, the cache and the system.

    Raises InputError where A2Q_DATA names no folder.
    """
    dataset = find(name)
    if folder is not None:
        return [folder]
    data = os.environ.get("A2Q_DATA")
    if data and not os.path.isdir(data):
        raise InputError(
            f"A2Q_DATA is {shown(data)}, which is no folder; expected one of data sets. Correct or unset it."
        )
    roots = [Path(data)] if data else []
    return [*(root / name for root in (*roots, cache_folder())), *dataset.system_folders]


def files(name: str, split: str, folder: Path | None = None) -> list[Path]:
    """The files, for ImageNet the folder, that `load` would read; none where the data set is made here or not at hand."""
    reader = find(name).reader
    _check_split(split)
    if reader is None:
        return []
    return next((paths for place in places(name, folder) if (paths := reader.files(place, split))), [])


def at_hand(name: str, split: str) -> bool:
    """Whether `load` has the data set `name`."""
    return find(name).draw is not None or bool(files(name, split))


def load(name: str, split: str, folder: Path | None = None, limit: int | None = None) -> ImageSet | ImageFolder:
    """The data set `name`: in memory, or for ImageNet as a list of files. `limit` takes so many images only,
    the first ones or, of a list of files, ones spread evenly.

    `split` is train or test; ImageNet's test set is its validation set, as its labels are public. Raises InputError for
    a data set that is not at hand, with the places looked at and how to get it, or that is damaged, with the file.
    """
    dataset = find(name)
    _check_split(split)
    if limit is not None and limit < 1:
        raise InputError(f"{limit} images of {dataset.title} were asked for; expected 1 or more.")
    if dataset.draw is not None:
        if folder is not None:
            raise InputError(f"{dataset.title} are made by this project and not read from {folder}: name no folder.")
        count = dataset.counts[split]
        if limit is None or limit >= count:
            return dataset.draw(split, count)
        drawn = dataset.draw(split, limit)
        return replace(drawn, source=f"first {image_count(limit)} of the {drawn.source}")
    reader = dataset.reader
    assert reader is not None  # as it has no `draw`
    looked_at = places(name, folder)
    for place in looked_at:
        if reader.files(place, split):
            images = reader.load(place, split, limit)
            return images if limit is not None and len(images) == limit else _counted(images, dataset.counts[split])
    unset = "" if folder is not None or os.environ.get("A2Q_DATA") else " (A2Q_DATA, a folder of data sets, is not set)"
    raise InputError(
        f"The {split} set of {dataset.title} was not found in {' or '.join(map(str, looked_at))}{unset}. "
        f"{dataset.how_to_get}"
    )


def split_validation(
    image_set: ImageSet | ImageFolder, count: int, seed: int
) -> tuple[ImageSet | ImageFolder, ImageSet | ImageFolder]:
    """`image_set` without `count` of its images, and these: drawn by `seed`, with the same share of every class where each
    has one.

    Both keep the order of the images. Raises InputError if no image would be left on one side.
    """
    total = len(image_set)
    if not 0 < count < total:
        raise InputError(f"A validation set of {count} images was asked for; expected 1 to {total - 1:,}.")
    by_class = image_set.labels.ndim == 1
    labels = image_set.labels if by_class else np.zeros(total, np.int64)
    sizes = np.bincount(labels, minlength=image_set.classes)
    # Largest remainders: shares are rounded down, and the classes that lost most get one image more.
    shares, remainders = np.divmod(sizes * count, total)
    shares[np.argsort(-remainders, kind="stable")[: count - shares.sum()]] += 1
    generator = np.random.default_rng(seed)
    chosen = np.zeros(total, bool)
    for label, share in enumerate(shares):
        members = np.flatnonzero(labels == label)
        chosen[generator.permutation(members)[:share]] = True
    drawn = f"{image_count(count)} drawn {'by class ' if by_class else ''}with seed {seed}"
    return (
        image_set.pick(np.flatnonzero(~chosen), f"{image_set.source} without {drawn}"),
        image_set.pick(np.flatnonzero(chosen), f"{drawn} from the {image_set.source}"),
    )


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise InputError(f"There is no split {split!r}; known are {' and '.join(SPLITS)}.")


def _counted(images: ImageSet | ImageFolder, official: int) -> ImageSet | ImageFolder:
    """`images`, with a source that says so if it is not as large as the official set."""
    if len(images) == official:
        return images
    return replace(images, source=f"{images.source}, of {image_count(len(images))}, not the official {official:,}")


_IDX_FILES = "{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz"
_FASHION_MNIST = "dataset-fashion-mnist"  # Debian's package


def _cifar(classes: int, parquet_folder: str) -> DataSet:
    name = f"cifar{classes}"
    return DataSet(
        name=name,
        title=f"CIFAR-{classes}",
        classes=classes,
        shape=(3, 32, 32),
        counts=MappingProxyType({"train": 50_000, "test": 10_000}),
        reader=CifarReader(classes),
        how_to_get=(
            f"Put cifar-{classes}-binary.tar.gz or cifar-{classes}-python.tar.gz of "
            f"https://www.cs.toronto.edu/~kriz/cifar.html there, or {parquet_folder}/*.parquet of the Hugging Face data "
            f"set uoft-cs/{name}."
        ),
        crop_padding=4,
        flip=True,
    )


DATASETS: Mapping[str, DataSet] = MappingProxyType(
    {
        dataset.name: dataset
        for dataset in (
            DataSet(
                name="mnist",
                title="MNIST",
                classes=10,
                shape=(1, 28, 28),
                counts=MappingProxyType({"train": 60_000, "test": 10_000}),
                reader=IdxReader("MNIST"),
                how_to_get=f"Put {_IDX_FILES} of https://yann.lecun.com/exdb/mnist/ or one of its mirrors there.",
            ),
            DataSet(
                name="fashion_mnist",
                title="Fashion-MNIST",
                classes=10,
                shape=(1, 28, 28),
                counts=MappingProxyType({"train": 60_000, "test": 10_000}),
                reader=IdxReader("Fashion-MNIST"),
                how_to_get=(
                    f"On Debian: apt install {_FASHION_MNIST}. Elsewhere put {_IDX_FILES} of "
                    "https://github.com/zalandoresearch/fashion-mnist there."
                ),
                system_folders=(Path("/usr/share/datasets/fashion-mnist"),),
            ),
            _cifar(10, "plain_text"),
            _cifar(100, "cifar100"),
            DataSet(
                name="imagenet",
                title="ImageNet",
                classes=1000,
                shape=(3, 224, 224),
                counts=MappingProxyType({"train": 1_281_167, "test": 50_000}),
                reader=ImageFolderReader("ImageNet (ILSVRC 2012)", 1000),
                how_to_get=(
                    "Register at https://image-net.org, fetch the ILSVRC 2012 images, and put train/<class>/*.JPEG and "
                    "val/<class>/*.JPEG there, with a folder such as n01440764 for each of the 1000 classes."
                ),
            ),
            DataSet(
                name="modulations",
                title="generated signals",
                classes=len(modulations.MODULATIONS),
                shape=(2, 1, modulations.LENGTH),
                counts=MappingProxyType({"train": 38_400, "test": 7_680}),
                draw=modulations.draw,
                full_scale=modulations.FULL_SCALE,
            ),
            DataSet(
                name="synth_words",
                title="generated words",
                classes=len(synth_words.LABELS),
                shape=(1, TIMES, COEFFICIENTS),
                counts=MappingProxyType({"train": 12_000, "test": 2_400}),
                draw=synth_words.draw,
                full_scale=synth_words.FULL_SCALE,
            ),
            DataSet(
                name="shape_masks",
                title="generated shapes",
                classes=1 + len(shapes.SHAPES),
                shape=(3, 64, 64),
                counts=MappingProxyType({"train": 4_000, "test": 500}),
                draw=shapes.draw_masks,
                labels="pixels",
            ),
            DataSet(
                name="shape_boxes",
                title="generated shapes",
                classes=len(shapes.SHAPES),
                shape=(3, 128, 128),
                counts=MappingProxyType({"train": 4_000, "test": 500}),
                draw=shapes.draw_boxes,
                labels="boxes",
            ),
        )
    }
)
