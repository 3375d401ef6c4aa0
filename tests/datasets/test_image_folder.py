from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.image_folder import ImageFolderReader, evaluation_crop, random_resized_crop
from pipeline.errors import InputError

READER = ImageFolderReader("ImageNet", 2)


def write(root: Path, size: tuple[int, int] = (40, 30)) -> None:
    """Two classes, three images of training each and one of validation; an image's red is its number."""
    for split, count in (("train", 3), ("val", 1)):
        for number, name in enumerate(("n02", "n01")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", size, (40 * (3 * number + index), 0, 0)).save(folder / f"{name}_{index}.JPEG", "png")


def test_classes_are_sorted(tmp_path: Path) -> None:
    write(tmp_path)
    training, test = READER.load(tmp_path, "train"), READER.load(tmp_path, "test")
    assert [path.name for path in training.paths] == [f"n0{n}_{i}.JPEG" for n in (1, 2) for i in range(3)]
    assert training.labels.tolist() == [0, 0, 0, 1, 1, 1] and test.labels.tolist() == [0, 1]
    assert training.source == "ImageNet training set (train/)" and test.source == "ImageNet validation set (val/)"
    image, label = training[4]
    assert image.shape == (3, 224, 224) and image.dtype == np.uint8 and label == 1
    assert (image[0] == 40).all() and not image[1:].any()
    few = READER.load(tmp_path, "train", 2)
    assert few.labels.tolist() == [0, 1] and few.source.startswith("2 images, spread evenly, of the ImageNet")


def test_augmentation_depends_on_seed_epoch_and_image(tmp_path: Path) -> None:
    write(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    training = READER.load(tmp_path, "train")
    for path in training.paths[:2]:
        Image.fromarray(noise).save(path, "png")
    drawn = [training.augmented(*draw)[0][0] for draw in ((1, 0), (1, 0), (1, 1), (2, 0))]
    assert np.array_equal(drawn[0], drawn[1])
    assert not any(np.array_equal(drawn[0], other) for other in drawn[2:])
    assert not np.array_equal(drawn[0], training.augmented(1, 0)[1][0])


def test_the_evaluation_crop() -> None:
    for size in ((512, 768), (300, 200), (256, 256), (1000, 257)):
        crop = np.asarray(evaluation_crop(Image.fromarray(gradient(size))))
        assert crop.shape == (224, 224, 3)
        # The gradient runs from 0 to 255 over each side: the crop keeps the middle part of it.
        scale = 256 / min(size)
        for axis, side in ((0, size[0]), (1, size[1])):
            margin = (side * scale - 224) / 2 / (side * scale) * 255
            line = crop[112, :, 0] if axis == 0 else crop[:, 112, 1]
            assert abs(line[0] - margin) < 2.5 and abs(255 - line[-1] - margin) < 2.5


def test_the_random_crop_keeps_its_bounds() -> None:
    generator = np.random.default_rng(0)
    flips, areas = 0, []
    for size in ((300, 200), (200, 300), (10, 1000)):
        image = Image.fromarray(gradient(size))
        for _ in range(40):
            crop = np.asarray(random_resized_crop(image, generator)).astype(float)
            assert crop.shape == (224, 224, 3)
            flips += crop[112, 0, 0] > crop[112, -1, 0]
            if max(size) < 1000:
                areas.append(abs(np.ptp(crop[112, :, 0]) * np.ptp(crop[:, 112, 1])) / 255**2)
    assert 35 < flips < 85
    assert 0.06 < min(areas) < 0.2 and 0.7 < max(areas) <= 1


def gradient(size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) of `size` (width, height), red from left to right, green from top to bottom."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width)
    image[..., 1] = np.linspace(0, 255, height)[:, None]
    return image


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(InputError, match="train holds 2 folders of classes; expected 1000"):
        ImageFolderReader("ImageNet", 1000).load(tmp_path, "train")
    damaged = tmp_path / "train" / "n01" / "n01_1.JPEG"
    damaged.write_bytes(damaged.read_bytes()[:60])
    training = READER.load(tmp_path, "train")
    with pytest.raises(InputError, match=r"The image .*n01_1\.JPEG cannot be read"):
        training[1]
    (tmp_path / "val" / "n01").rename(tmp_path / "val" / "n03")
    with pytest.raises(InputError, match="other classes"):
        READER.load(tmp_path, "test")
    (tmp_path / "val" / "n03").rename(tmp_path / "val" / "n01")
    (tmp_path / "val" / "n01" / "n01_0.JPEG").unlink()
    with pytest.raises(InputError, match="n01 holds no images"):
        READER.load(tmp_path, "test")
