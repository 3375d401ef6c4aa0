from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from pipeline.datasets import catalog
from pipeline.datasets.catalog import DATASETS, at_hand, files, load, places, split_validation
from pipeline.datasets.image_set import ImageSet
from pipeline.errors import InputError
from tests.datasets.files import write_idx


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("A2Q_DATA", raising=False)
    monkeypatch.setenv("A2Q_CACHE", str(tmp_path / "cache"))
    nowhere = {name: replace(spec, system_folders=(tmp_path / "system",)) for name, spec in DATASETS.items()}
    monkeypatch.setattr(catalog, "DATASETS", MappingProxyType(nowhere))
    return tmp_path


def test_what_is_known() -> None:
    assert {name: (spec.classes, spec.shape) for name, spec in DATASETS.items()} == {
        "mnist": (10, (1, 28, 28)),
        "fashion_mnist": (10, (1, 28, 28)),
        "cifar10": (10, (3, 32, 32)),
        "cifar100": (100, (3, 32, 32)),
        "imagenet": (1000, (3, 224, 224)),
        "modulations": (24, (2, 1, 1024)),
        "synth_words": (12, (1, 49, 10)),
        "shape_masks": (4, (3, 64, 64)),
        "shape_boxes": (3, (3, 128, 128)),
    }
    assert DATASETS["fashion_mnist"].system_folders == (Path("/usr/share/datasets/fashion-mnist"),)
    cifar, mnist = DATASETS["cifar10"].augmentation, DATASETS["mnist"].augmentation
    assert (cifar.crop_padding, cifar.flip) == (4, True) and (mnist.crop_padding, mnist.flip) == (0, False)


def test_where_it_is_looked_for(no_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="not found"):
        load("fashion_mnist", "test")
    assert files("fashion_mnist", "test") == []
    monkeypatch.setenv("A2Q_DATA", str(no_data / "data"))
    for look in (places, lambda name: files(name, "test")):
        with pytest.raises(InputError, match=r"A2Q_DATA is .*data', which is no folder; expected one of data sets"):
            look("fashion_mnist")
    (no_data / "data").mkdir()
    folders = [no_data / "system", no_data / "cache" / "fashion_mnist", no_data / "data" / "fashion_mnist"]
    assert places("fashion_mnist") == folders[::-1]
    # Each place that is added comes before those that are there already.
    for count, folder in enumerate([*folders, no_data / "mine"], 1):
        write_idx(folder, "t10k", count)
        named = folder if folder.name == "mine" else None
        assert len(load("fashion_mnist", "test", named)) == count
        assert {path.parent for path in files("fashion_mnist", "test", named)} == {folder}
    with pytest.raises(InputError, match="elsewhere"):
        load("fashion_mnist", "test", no_data / "elsewhere")


def test_a_missing_set_says_how_to_get_it(no_data: Path) -> None:
    with pytest.raises(InputError) as caught:
        load("fashion_mnist", "train")
    for part in ("train set of Fashion-MNIST", *map(str, places("fashion_mnist")), "A2Q_DATA", "apt install dataset-f"):
        assert part in str(caught.value)
    advice = {
        "mnist": "yann.lecun.com",
        "cifar10": "cifar-10-python.tar.gz",
        "cifar100": "cifar100/*.parquet",
        "imagenet": "val/<class>/*.JPEG",
    }
    for name, part in advice.items():
        with pytest.raises(InputError) as caught:
            load(name, "test", no_data / "mine")
        assert part in str(caught.value) and str(no_data / "mine") in str(caught.value)


def test_names_that_are_not_known() -> None:
    with pytest.raises(InputError, match="no data set 'svhn'; known are mnist, fashion_mnist, cifar10, cifar100, imag"):
        load("svhn", "test")
    with pytest.raises(InputError, match="no split 'val'; known are train and test"):
        load("mnist", "val")
    with pytest.raises(InputError, match="0 images of MNIST were asked for"):
        load("mnist", "test", limit=0)


def test_a_set_that_is_not_whole_says_so(no_data: Path) -> None:
    write_idx(no_data, "t10k", 3)
    source = "MNIST test set (t10k-images-idx3-ubyte.gz)"
    assert load("mnist", "test", no_data).source == f"{source}, of 3 images, not the official 10,000"
    assert load("mnist", "test", no_data, limit=2).source == f"first 2 images of the {source}"


def test_what_is_made_here_is_at_hand_and_read_from_nowhere(no_data: Path) -> None:
    assert at_hand("shape_masks", "test") and not at_hand("mnist", "test")
    assert files("modulations", "test") == []
    some = load("shape_masks", "test", limit=3)
    assert len(some) == 3 and some.source.startswith("first 3 images of the test set of pixels of shapes (images gen")
    assert len(load("shape_masks", "test", limit=501)) == DATASETS["shape_masks"].counts["test"]
    with pytest.raises(InputError, match="generated signals are made by this project and not read from"):
        load("modulations", "test", no_data)


def test_a_validation_set_of_masks_is_drawn() -> None:
    masks = np.arange(6, dtype=np.uint8).reshape(-1, 1, 1)
    training, validation = split_validation(ImageSet(masks[:, None], masks, "set", 6), 2, seed=0)
    assert sorted([*training.labels.ravel(), *validation.labels.ravel()]) == list(range(6)) and len(validation) == 2
    assert np.array_equal(validation.images[:, 0], validation.labels)
    assert validation.source == "2 images drawn with seed 0 from the set"


def test_a_validation_set_has_every_class() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 30, 21]))
    images = np.arange(101, dtype=np.uint8).reshape(-1, 1, 1, 1)
    whole = ImageSet(images, labels, "set", 4)
    training, validation = split_validation(whole, 10, seed=3)
    assert np.bincount(validation.labels).tolist() == [5, 3, 2] and len(training) == 91
    both = np.concatenate([training.images, validation.images]).flatten()
    assert np.array_equal(np.sort(both), np.arange(101))
    for part in (training, validation):
        assert np.array_equal(labels[part.images.flatten()], part.labels) and (np.diff(part.images.flatten()) > 0).all()
    assert training.source == "set without 10 images drawn by class with seed 3"
    assert validation.source == "10 images drawn by class with seed 3 from the set"
    again, other = (split_validation(whole, 10, seed)[1] for seed in (3, 4))
    assert np.array_equal(again.images, validation.images) and not np.array_equal(other.images, validation.images)
    for count in range(1, 101):
        drawn = np.bincount(split_validation(whole, count, 0)[1].labels, minlength=4)
        assert drawn.sum() == count and (np.abs(drawn - np.array([50, 30, 21, 0]) * count / 101) < 1).all()
    for count in (0, -1, 101):
        with pytest.raises(InputError, match="expected 1 to 100"):
            split_validation(whole, count, 0)
