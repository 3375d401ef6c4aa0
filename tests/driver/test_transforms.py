"""transform.npz: the same transforms, the same bytes, and back."""

from __future__ import annotations

import numpy as np
import pytest

from a2q_driver.errors import PackageError
from a2q_driver.input_transform import HostStep, InputTransform
from a2q_driver.preprocessing import ImageTransform, lookup_table
from a2q_driver.transforms import Transforms, load_transforms, save_transforms
from tests.driver.packages import PREPROCESSING, golden_images

STEPS = (HostStep("mul", np.float32(2)), HostStep("add", np.array([[[0.1]], [[0.2]], [[0.3]]], np.float32)))
SOURCE = InputTransform((3, 4, 4), (4, 4, 3), STEPS, np.float32(0.3), -1, -7, 7, "HALF_UP", False, False)


def with_images() -> ImageTransform:
    mean, std = PREPROCESSING.mean, PREPROCESSING.std
    return ImageTransform(SOURCE, mean, std, lookup_table(SOURCE, mean, std))


def test_transforms_come_back(tmp_path):
    scale, bias = np.array([0.5, 0.25]), np.array([1.0, -3.0])
    save_transforms(tmp_path / "transform.npz", Transforms(SOURCE, with_images(), scale, bias))
    loaded = load_transforms(tmp_path / "transform.npz")
    images = golden_images(2)
    assert np.array_equal(loaded.images.apply(images), with_images().apply(images))
    raw = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    assert np.array_equal(loaded.input.apply(raw), SOURCE.apply(raw))
    assert not loaded.gives_label
    integers = np.array([[4, -4], [2, 8]]).reshape(2, 1, 1, 2)
    assert np.array_equal(loaded.outputs(integers), [[3.0, -4.0], [2.0, -1.0]])
    assert loaded.outputs(np.zeros((1, 4, 4, 2), np.int64)).shape == (1, 4, 4, 2)


def test_a_label_has_no_scale(tmp_path):
    save_transforms(tmp_path / "transform.npz", Transforms(SOURCE, None, None, None))
    loaded = load_transforms(tmp_path / "transform.npz")
    assert loaded.gives_label and loaded.images is None
    assert loaded.outputs(np.array([3, 1]).reshape(2, 1, 1, 1)).tolist() == [3, 1]


def test_the_bytes_are_the_same(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_transforms(tmp_path / name, Transforms(SOURCE, with_images(), None, None))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_every_step_is_rounded_to_float32():
    pixels, factor, scale = np.arange(256, dtype=np.float32), np.float32(1 / 255), np.float32(10 / 255)
    transform = InputTransform((256,), (1, 1, 256), (HostStep("mul", factor),), scale, 0, 0, 255, flat=True)
    applied = transform.apply(pixels[None].astype(np.float64)).ravel()
    assert np.array_equal(applied, np.round(pixels * factor / scale))
    assert not np.array_equal(applied, np.round(pixels.astype(np.float64) * factor / scale))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_a_damaged_file_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "transform.npz").write_bytes(content)
    with pytest.raises(PackageError, match="transform.npz cannot be read"):
        load_transforms(tmp_path / "transform.npz")


def test_a_file_without_an_array_is_refused(tmp_path):
    np.savez(tmp_path / "transform.npz", shape=np.array([1]))
    with pytest.raises(PackageError, match="range"):
        load_transforms(tmp_path / "transform.npz")
