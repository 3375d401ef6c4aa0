from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.datasets.augment import Augmentation, random_crop, random_flip, resize_to


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, shape: tuple[int, int, int], kind: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.randint(1, 256, (count, *shape), generator=generator(9)).to(kind)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("shape", "padding"), [((3, 32, 32), 4), ((1, 28, 28), 2), ((2, 5, 7), 3)])
def test_crops_are_windows_of_the_padded_images(shape: tuple[int, int, int], padding: int, kind: torch.dtype) -> None:
    batch = images(200, shape, kind)
    crops = random_crop(batch, generator(), padding)
    tops, lefts = torch.randint(0, 2 * padding + 1, (2, 200), generator=generator()).numpy()
    padded = np.pad(batch.numpy(), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    _, height, width = shape
    for index in range(200):
        rows, columns = (slice(s, s + n) for s, n in ((tops[index], height), (lefts[index], width)))
        assert np.array_equal(crops[index], padded[index, :, rows, columns])
    assert crops.dtype == kind and set(tops) == set(lefts) == set(range(2 * padding + 1))


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_half_of_the_images_are_flipped(kind: torch.dtype) -> None:
    batch = images(400, (3, 4, 5), kind)
    flips = random_flip(batch, generator())
    flipped = torch.rand(400, generator=generator()).numpy() < 0.5
    assert np.array_equal(flips, np.where(flipped[:, None, None, None], batch.numpy()[..., ::-1], batch))
    assert 160 < flipped.sum() < 240


def test_layouts_in_memory_do_not_matter() -> None:
    batch = images(8, (3, 6, 6))
    augment = Augmentation(2, flip=True)
    strided = batch.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(batch, generator()), augment(strided, generator()))


def test_an_augmentation_is_what_it_says() -> None:
    batch = images(20, (3, 8, 8))
    assert torch.equal(Augmentation()(batch, generator()), batch)
    assert torch.equal(Augmentation(4)(batch, generator()), random_crop(batch, generator(), 4))
    assert torch.equal(Augmentation(flip=True)(batch, generator()), random_flip(batch, generator()))
    both, same, other = (Augmentation(4, True)(batch, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(both, same) and not torch.equal(both, other)


def test_padding_to_a_size() -> None:
    batch = images(2, (1, 28, 28))
    resized = resize_to(batch)
    assert resized.shape == (2, 1, 32, 32) and torch.equal(resized[:, :, 2:30, 2:30], batch)
    assert resized.sum() == batch.sum() and resized.dtype == torch.uint8
    assert resize_to(images(1, (1, 4, 7)), 8).shape == (1, 1, 8, 8)
    with pytest.raises(ValueError, match="images of 28x28 do not fit into 20x20"):
        resize_to(batch, 20)
