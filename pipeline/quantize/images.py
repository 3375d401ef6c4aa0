"""The images that a network is quantized and measured with: of a data set of the catalogue, or of a user's folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.datasets import catalog
from pipeline.datasets.image_folder import ImageFolder
from pipeline.datasets.image_set import ImageSet, image_count
from pipeline.datasets.labelled import picture_files, read_picture
from pipeline.datasets.loader import batches_of
from pipeline.errors import ConfigError
from pipeline.quantize.config import HELD_OUT, QuantizeConfig

__all__ = ["Images", "calibration_images", "images_of"]

_BATCH = 128
_TEST_BATCH = 100  # larger ones take as much time again for the memory of each layer
_CHOOSING = 2000  # images
_MOST_TEST = 4096  # pictures of a folder, which are all decoded at once


@dataclass(frozen=True)
class Images:
    """Images (N, C, H, W), float32 from 0 to 1: those to calibrate with, those `held_out` to judge by, and batches of
    those to measure with and their classes.

    `choosing` are other ones, not of the test set where there is one, to choose between networks by. `labelled` says
    whether classes are known; else all of them are 0.
    """

    calibration: Tensor
    held_out: Tensor
    source: str
    test: Iterable[tuple[Tensor, Tensor]]
    test_source: str
    choosing: Iterable[tuple[Tensor, Tensor]]
    choosing_source: str
    labelled: bool = True

    @property
    def batches(self) -> tuple[Tensor, ...]:
        """Those to calibrate with, some at a time."""
        return self.calibration.split(_BATCH)


def images_of(config: QuantizeConfig, named: str, shape: tuple[int, int, int], network: str) -> Images:
    """The images of `named`, a data set or a folder of images, for the `network` that takes those of `shape`.

    A data set's training images are to calibrate with and its test images to measure with. Of a folder, so many images
    as `config` says are drawn by its seed; the others, or where there are none the held-out ones, are to measure with,
    and images of another size are scaled until they cover `shape`, and their middle is taken.

    Raises ConfigError for too few images or those of another shape, InputError for what is not at hand.
    """
    if named not in catalog.DATASETS:
        if not Path(named).is_dir():
            raise ConfigError(
                f"dataset is {named!r}, and there is no such folder; expected a folder of images, or one of "
                f"{', '.join(catalog.DATASETS)}."
            )
        return _of_folder(config, Path(named), shape)
    dataset = catalog.find(named)
    side = shape[1]
    smaller = shape[0] == dataset.shape[0] and shape[1] == shape[2] and max(dataset.shape[1:]) < side
    if dataset.labels != "classes" or (dataset.shape != shape and not smaller):
        raise ConfigError(
            f"{network} takes images of {_by(shape)}, and {dataset.title} has {dataset.labels} of images of "
            f"{_by(dataset.shape)}; expected classes of such images. Name another --dataset, or a folder of images."
        )
    pad_to = side if smaller else None
    training = catalog.load(dataset.name, "train", config.data_folder)
    test = catalog.load(dataset.name, "test", config.data_folder)
    images, held_out, left = calibration_images(training, config.images, config.seed, pad_to)
    chosen_by = training.pick(left[:_CHOOSING], "")
    return Images(
        images,
        held_out,
        training.source,
        batches_of(test, _TEST_BATCH, pad_to=pad_to),
        test.source,
        batches_of(chosen_by, _TEST_BATCH, pad_to=pad_to) if len(chosen_by) else [],
        f"{image_count(len(chosen_by))} of the {training.source} beside those to calibrate with",
    )


def calibration_images(
    training: ImageSet | ImageFolder, count: int, seed: int, pad_to: int | None = None
) -> tuple[Tensor, Tensor, np.ndarray]:
    """`count` images of `training`, drawn by `seed`, float32 from 0 to 1: those to calibrate with, and a quarter held out;
    and the indices of all others, in the order in which they would be drawn.

    Raises ConfigError where there are fewer.
    """
    if count > len(training):
        raise ConfigError(f"images is {count}, and the {training.source} has {len(training)}.")
    order = np.random.default_rng(seed).permutation(len(training))
    picked = training.pick(np.sort(order[:count]), training.source)
    images = torch.cat([part for part, _ in batches_of(picked, _BATCH, pad_to=pad_to)])
    shuffled = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))]
    held_out = count // HELD_OUT
    return shuffled[held_out:], shuffled[:held_out], order[count:]


def _of_folder(config: QuantizeConfig, folder: Path, shape: tuple[int, int, int]) -> Images:
    files, classes = picture_files(folder)
    if config.images > len(files):
        raise ConfigError(f"images is {config.images}, and {folder} has {len(files)}.")
    order = np.random.default_rng(config.seed).permutation(len(files))
    drawn = _read([files[index][0] for index in order[: config.images]], shape)
    held_out = config.images // HELD_OUT
    others = [files[index] for index in order[config.images : config.images + _MOST_TEST]]
    test_source = f"{image_count(len(others))} of {folder} that nothing was calibrated with"
    if not others:
        others = [files[index] for index in order[:held_out]]
        test_source = f"{image_count(held_out)} of {folder} that were held out"
    labels = torch.tensor([label for _, label in others])
    test = list(
        zip(_read([path for path, _ in others], shape).split(_TEST_BATCH), labels.split(_TEST_BATCH), strict=True)
    )
    return Images(
        drawn[held_out:], drawn[:held_out], str(folder), test, test_source, test, test_source, labelled=bool(classes)
    )


def _read(paths: list[Path], shape: tuple[int, int, int]) -> Tensor:
    return torch.from_numpy(np.stack([read_picture(path, shape) for path in paths])).float().div_(255)


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
