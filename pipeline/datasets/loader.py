"""Batches of a data set, as float32 images from 0 to 1 and their labels, in an order that its seed and epoch fix.

Epoch e is the same whether or not the epochs before it were drawn, so that a resumed run goes on as it would have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pipeline.datasets.augment import Augmentation, resize_to
from pipeline.datasets.image_folder import ImageFolder
from pipeline.datasets.image_set import ImageSet
from pipeline.errors import InputError

__all__ = ["BatchSource", "Batches", "FolderBatches", "batches_of"]

_MOST_WORKERS = 8


class BatchSource(Protocol):
    """Batches for training and evaluation: images (B, C, H, W), float32 from 0 to 1, signals over their range, and labels:
    classes (B,) or (B, H, W), int64, or boxes, see `ImageSet`, float32."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch, from its beginning."""

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the next epoch."""


class _Epochs:
    """The order of `count` items in batches of `batch_size`.

    In training they are shuffled and the last, smaller batch is dropped; else they come in order, all of them. Raises
    InputError where there would be no batch.
    """

    def __init__(self, count: int, batch_size: int, training: bool, seed: int) -> None:
        needed = batch_size if training else 1
        if count < needed:
            raise InputError(f"The data set holds {count} images; expected {needed} or more, for one batch.")
        self.batch_size = batch_size
        self.training = training
        self.seed = seed
        self.epoch = 0
        self._count = count

    def __len__(self) -> int:
        return self._count // self.batch_size if self.training else -(-self._count // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def _generator(self) -> torch.Generator:
        # Hashed together: with seed + epoch, two seeds would share epochs.
        state = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state) >> 1)

    def _order(self, generator: torch.Generator) -> Tensor:
        if not self.training:
            return torch.arange(self._count)
        return torch.randperm(self._count, generator=generator)[: len(self) * self.batch_size]


class Batches(_Epochs):
    """Batches of `data` on the CPU. In training, `augmentation` is applied to each image.

    `pad_to` puts smaller images into the middle of that many pixels in each direction, before any augmentation.
    """

    def __init__(
        self,
        data: ImageSet,
        batch_size: int,
        *,
        training: bool = False,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        pad_to: int | None = None,
    ) -> None:
        super().__init__(len(data), batch_size, training, seed)
        self.augmentation = augmentation or Augmentation()
        self._images = data.images
        if pad_to is not None and data.images.shape[2:] != (pad_to, pad_to):
            self._images = resize_to(torch.from_numpy(data.images), pad_to).numpy()
        self._labels = data.labels
        self._full_scale = np.float32(data.full_scale)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = self._generator()
        for chosen in self._order(generator).split(self.batch_size):
            indices = chosen.numpy()
            images = torch.from_numpy(self._images[indices])
            if self.training:
                images = self.augmentation(images, generator)
            # numpy for the reason that augment.py gives.
            scaled = np.divide(images.numpy(), self._full_scale, dtype=np.float32)
            labels = self._labels[indices]
            if labels.dtype == np.uint8:
                labels = labels.astype(np.int64)  # as losses take classes
            yield torch.from_numpy(scaled), torch.from_numpy(labels)


class FolderBatches(_Epochs):
    """Batches of `data`, decoded by `workers` processes; by default one for each core, at most 8.

    In training each image is a random resized crop, flipped at random.
    """

    def __init__(
        self, data: ImageFolder, batch_size: int, *, training: bool = False, seed: int = 0, workers: int | None = None
    ) -> None:
        super().__init__(len(data), batch_size, training, seed)
        self._data = data
        self._workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0))) if workers is None else workers

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = self._generator()
        order = self._order(generator).tolist()
        data = self._data.augmented(self.seed, self.epoch) if self.training else self._data
        # Its own generator, or else it would draw from the global one.
        loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            data,  # type: ignore[arg-type]  # it has the length and the items of a Dataset, and is none by name
            self.batch_size,
            sampler=order,
            num_workers=self._workers,
            generator=generator,
        )
        try:
            for images, labels in loader:
                # Bytes cross from the workers, a quarter of what floats would take.
                yield images.float().div_(255), labels
        except InputError as error:
            # A worker's error comes with its traceback in front.
            raise InputError(str(error).rpartition("InputError: ")[2].strip()) from None


def batches_of(
    data: ImageSet | ImageFolder,
    batch_size: int,
    *,
    training: bool = False,
    seed: int = 0,
    augmentation: Augmentation | None = None,
    pad_to: int | None = None,
) -> BatchSource:
    """Batches of either kind of data set. A folder's images have their own augmentation and are not padded."""
    if isinstance(data, ImageFolder):
        return FolderBatches(data, batch_size, training=training, seed=seed)
    return Batches(data, batch_size, training=training, seed=seed, augmentation=augmentation, pad_to=pad_to)
