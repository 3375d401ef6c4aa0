from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.datasets.augment import Augmentation
from pipeline.datasets.image_folder import ImageFolder
from pipeline.datasets.image_set import ImageSet
from pipeline.datasets.loader import Batches, BatchSource, FolderBatches, batches_of
from pipeline.errors import InputError

COUNT = 23


@pytest.fixture
def data() -> ImageSet:
    images = np.random.default_rng(0).integers(1, 256, (COUNT, 3, 8, 8), np.uint8)
    return ImageSet(images, np.arange(COUNT), "noise", COUNT)


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{index}.png" for index in range(5)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return ImageFolder(paths, np.arange(5), "noise", 5)


def epoch_of(batches: BatchSource, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All images and labels of an epoch."""
    batches.set_epoch(epoch)
    drawn = list(batches)
    assert len(drawn) == len(batches)
    return torch.cat([images for images, _ in drawn]), torch.cat([labels for _, labels in drawn])


def same(left: tuple[torch.Tensor, torch.Tensor], right: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_evaluation_is_in_order_and_whole(data: ImageSet) -> None:
    batches = Batches(data, 5, augmentation=Augmentation(4, True))
    images, labels = epoch_of(batches, 3)
    assert len(batches) == 5 and labels.tolist() == list(range(COUNT))
    assert images.dtype == torch.float32 and labels.dtype == torch.int64
    assert np.array_equal(images, data.images.astype(np.float32) / np.float32(255))


def test_training_is_shuffled_and_drops_the_rest(data: ImageSet) -> None:
    images, labels = epoch_of(Batches(data, 5, training=True), 0)
    assert len(labels) == 20 == len(set(labels.tolist())) and labels.tolist() != sorted(labels.tolist())
    assert np.array_equal(images, data.images[labels].astype(np.float32) / np.float32(255))


def test_an_epoch_depends_on_seed_and_number_alone(data: ImageSet) -> None:
    def batches(seed: int) -> Batches:
        return Batches(data, 5, training=True, seed=seed, augmentation=Augmentation(2, True))

    uninterrupted = batches(1)
    epochs = [epoch_of(uninterrupted, epoch) for epoch in range(4)]
    resumed = batches(1)
    next(iter(resumed))
    assert all(same(epoch_of(resumed, epoch), epochs[epoch]) for epoch in (2, 3))
    drawn = [*epochs, *(epoch_of(batches(seed), epoch) for seed in (0, 2) for epoch in range(4))]
    assert len({tuple(labels.tolist()) for _, labels in drawn}) == len(drawn)


def test_the_global_generator_is_left_alone(data: ImageSet, folder: ImageFolder) -> None:
    before = torch.get_rng_state()
    list(Batches(data, 5, training=True, augmentation=Augmentation(2, True)))
    list(FolderBatches(folder, 2, training=True, workers=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_small_images_are_padded(data: ImageSet) -> None:
    images, _ = epoch_of(Batches(data, 5, pad_to=12), 0)
    assert images.shape == (COUNT, 3, 12, 12) and np.array_equal(images[:, :, 2:10, 2:10] * 255, data.images)
    assert epoch_of(Batches(data, 5, pad_to=8), 0)[0].shape == (COUNT, 3, 8, 8)


def test_too_few_images(data: ImageSet) -> None:
    with pytest.raises(InputError, match="holds 23 images; expected 24 or more, for one batch"):
        Batches(data, 24, training=True)
    assert len(Batches(data, 24)) == 1
    with pytest.raises(InputError, match="holds 0 images; expected 1 or more"):
        Batches(data.take(0), 24)


def test_folders_are_drawn_alike_with_and_without_workers(folder: ImageFolder) -> None:
    def batches(workers: int, seed: int = 1, training: bool = True) -> FolderBatches:
        return FolderBatches(folder, 2, training=training, seed=seed, workers=workers)

    first, second = (epoch_of(batches(0), epoch) for epoch in (0, 1))
    assert first[0].shape == (4, 3, 224, 224) and first[0].dtype == torch.float32 and first[1].dtype == torch.int64
    assert 0 <= first[0].min() < 0.2 and 0.8 < first[0].max() <= 1
    assert same(epoch_of(batches(2), 1), second) and not same(first, second)
    assert not same(first, epoch_of(batches(0, seed=2), 0))
    images, labels = epoch_of(batches(0, training=False), 0)
    assert labels.tolist() == list(range(5)) and np.array_equal(images[4] * 255, folder[4][0])


def test_a_damaged_image_in_a_worker(folder: ImageFolder) -> None:
    folder.paths[3].write_bytes(b"text")
    for workers in (0, 1):
        with pytest.raises(InputError, match=r"\AThe image .*3\.png cannot be read"):
            list(FolderBatches(folder, 2, workers=workers))


def test_either_kind(data: ImageSet, folder: ImageFolder) -> None:
    assert isinstance(batches_of(data, 5), Batches) and isinstance(batches_of(folder, 5), FolderBatches)
