from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.labelled import load_labelled
from pipeline.errors import InputError
from tests.datasets.files import draw, write_parquet

SHAPE = (3, 4, 6)


def folder_of_images(path: Path, size: tuple[int, int] = (6, 4)) -> Path:
    """Two classes of two images each, red and blue, and a file that is no image."""
    for name, colour in (("cat", (255, 0, 0)), ("dog", (0, 0, 255))):
        (path / name).mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", size, colour).save(path / name / f"{index}.png")
        (path / name / "notes.txt").write_text("no image")
    return path


def test_a_folder_of_images_by_class(tmp_path: Path) -> None:
    loaded = load_labelled(str(folder_of_images(tmp_path / "pets")), SHAPE, (), None, None)
    assert loaded.frames.shape == (4, *SHAPE) and loaded.frames.dtype == np.uint8
    assert loaded.labels.tolist() == [0, 0, 1, 1] and "2 classes" in loaded.source
    assert (loaded.frames[0, 0] == 255).all() and (loaded.frames[3, 2] == 255).all()


def test_the_networks_own_order_of_classes_counts(tmp_path: Path) -> None:
    folder = str(folder_of_images(tmp_path / "pets"))
    assert load_labelled(folder, SHAPE, ("dog", "bird", "cat"), None, None).labels.tolist() == [2, 2, 0, 0]
    with pytest.raises(InputError, match=r"pets has a folder cat, which is no class; .* called dog, bird\."):
        load_labelled(folder, SHAPE, ("dog", "bird"), None, None)


def test_images_of_another_size_are_scaled_to_cover_and_cropped(tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "pets", size=(30, 10))
    assert load_labelled(str(folder), SHAPE, (), None, 2).frames.shape == (2, *SHAPE)
    grey = load_labelled(str(folder), (1, 5, 5), (), None, None).frames
    assert grey.shape == (4, 1, 5, 5) and grey[0].min() == grey[0].max() == 76  # of red, by ITU-R 601


@pytest.mark.parametrize(
    "images, labels, expected",
    [
        (np.zeros((3, *SHAPE), np.uint8), np.arange(3), np.uint8),
        (np.zeros((3, 4, 6, 3), np.uint8), np.arange(3, dtype=np.uint8), np.uint8),
        (np.zeros((3, *SHAPE), np.float64), np.arange(3), np.float32),
    ],
)
def test_an_archive_of_images_and_labels(tmp_path: Path, images, labels, expected) -> None:
    np.savez(tmp_path / "my.npz", images=images, labels=labels)
    loaded = load_labelled(str(tmp_path / "my.npz"), SHAPE, (), None, 2)
    assert loaded.frames.shape == (2, *SHAPE) and loaded.frames.dtype == expected
    assert loaded.labels.tolist() == [0, 1] and loaded.source == "2 images of my.npz"


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": np.zeros((2, *SHAPE))}, "has no array labels; it has images"),
        (
            {"images": np.zeros((2, 3, 4)), "labels": np.arange(2)},
            r"images of shape \(2, 3, 4\); the network takes \(N, 3",
        ),
        ({"images": np.zeros((2, *SHAPE), np.int64), "labels": np.arange(2)}, "images of int64; expected uint8"),
        ({"images": np.zeros((2, *SHAPE)), "labels": np.arange(3)[:1]}, "expected 2 whole numbers"),
        ({"images": np.zeros((2, *SHAPE)), "labels": np.array([-1, 0])}, "expected 2 whole numbers"),
        ({"images": np.zeros((2, *SHAPE)), "labels": np.array([0.0, 1.0])}, "labels of float64"),
        ({"images": np.full((2, *SHAPE), np.inf), "labels": np.arange(2)}, "no finite numbers"),
        ({"images": np.array([{}, {}]), "labels": np.arange(2)}, "cannot be read as an .npz file"),
    ],
)
def test_an_archive_that_cannot_be(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "my.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_labelled(str(tmp_path / "my.npz"), SHAPE, (), None, None)


def test_what_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "my.npz").write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare" / "cat").mkdir(parents=True)
    damaged = folder_of_images(tmp_path / "pets")
    (damaged / "cat" / "0.png").write_bytes(b"\x89PNG")
    for name, message in (
        ("my.npz", "cannot be read as an .npz file"),
        ("empty", "has no folders; expected a folder of images for each class"),
        ("bare", "hold no images"),
        ("pets", "0.png cannot be read"),
        ("none", "There is no data set"),
    ):
        with pytest.raises(InputError, match=message):
            load_labelled(str(tmp_path / name), SHAPE, (), None, None)


def test_a_data_set_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2Q_DATA", str(tmp_path))
    images, labels = draw(3)
    write_parquet(
        tmp_path / "cifar10" / "plain_text" / "test-00000-of-00001.parquet", images, {"label": labels.tolist()}
    )
    loaded = load_labelled("cifar10", (3, 32, 32), (), None, 2)
    assert np.array_equal(loaded.frames, images[:2]) and "CIFAR-10" in loaded.source
    assert loaded.labels.tolist() == labels[:2].tolist()
    with pytest.raises(InputError, match="takes frames of 1×28×28, and CIFAR-10 has images of 3×32×32"):
        load_labelled("cifar10", (1, 28, 28), (), None, 2)
