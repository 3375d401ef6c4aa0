"""Images through the table against images through the network's own operations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2q_driver.errors import DtypeError, ShapeError
from a2q_driver.input_transform import HostStep, InputTransform
from a2q_driver.preprocessing import ImageTransform, lookup_table, normalised
from pipeline.models import golden
from pipeline.models.names import Preprocessing
from tests.driver.packages import PREPROCESSING, golden_images

ROUNDINGS = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
means = st.floats(-0.5, 1.0, width=32)
scales = st.floats(0.015625, 2.0, width=32)


def by_channel(values) -> np.ndarray:
    return np.array(values, np.float32).reshape(3, 1, 1)


@given(
    mean=st.tuples(means, means, means),
    std=st.tuples(scales, scales, scales),
    factors=st.tuples(scales, scales, scales),
    scale=scales,
    zero_point=st.integers(-3, 3),
    rounding=st.sampled_from(ROUNDINGS),
    bipolar=st.booleans(),
    flat=st.booleans(),
)
def test_the_table_is_the_transform(mean, std, factors, scale, zero_point, rounding, bipolar, flat):
    steps = (HostStep("mul", by_channel(factors)), HostStep("sub", np.float32(0.25)))
    shape = (1, 1, 48) if flat else (4, 4, 3)
    lo, hi = (-1, 1) if bipolar else (-8, 7)
    transform = InputTransform((3, 4, 4), shape, steps, np.float32(scale), zero_point, lo, hi, rounding, bipolar, flat)
    table = lookup_table(transform, mean, std)
    assert table.shape == (3, 256) and table.dtype.itemsize == 1
    images = golden_images(3)
    expected = transform.apply(normalised(np.moveaxis(images, -1, 1), mean, std))
    assert np.array_equal(ImageTransform(transform, mean, std, table).apply(images), expected)
    assert np.array_equal(ImageTransform(transform, mean, std, None).apply(images), expected)


def test_the_table_holds_all_values_of_a_pixel():
    transform = InputTransform((1, 2, 2), (2, 2, 1), (), np.float32(1 / 255), 0, 0, 255)
    table = lookup_table(transform, (0.0,), (1.0,))
    assert table.dtype == np.uint8 and table.tolist() == [list(range(256))]


def test_there_is_no_table_where_places_matter():
    steps = (HostStep("add", np.linspace(0, 1, 48, dtype=np.float32).reshape(3, 4, 4)),)
    transform = InputTransform((3, 4, 4), (4, 4, 3), steps, np.float32(0.1), 0, -8, 7)
    mean, std = PREPROCESSING.mean, PREPROCESSING.std
    assert lookup_table(transform, mean, std) is None
    images = golden_images(2)
    expected = transform.apply(normalised(np.moveaxis(images, -1, 1), mean, std))
    assert np.array_equal(ImageTransform(transform, mean, std, None).apply(images), expected)


def test_an_operand_of_every_place_that_is_the_same_in_all_makes_a_table():
    steps = (HostStep("add", np.full((3, 4, 4), 0.5, np.float32)),)
    transform = InputTransform((3, 4, 4), (4, 4, 3), steps, np.float32(0.1), 0, -8, 7)
    assert lookup_table(transform, PREPROCESSING.mean, PREPROCESSING.std) is not None


@given(st.tuples(means, means, means), st.tuples(scales, scales, scales))
def test_pixels_are_normalised_by_these_operations(mean, std):
    pixels = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16), (1, 3, 16, 16))
    means, deviations = (np.array(values).reshape(1, 3, 1, 1) for values in (mean, std))
    expected = ((pixels.astype(np.float32) / np.float32(255) - means) / deviations).astype(np.float32)
    assert np.array_equal(normalised(pixels, mean, std), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_golden_frames_are_made_of_images_by_the_same_function(channels):
    preprocessing = Preprocessing(PREPROCESSING.mean, PREPROCESSING.std)
    frames = golden.from_photographs((channels, 16, 16), preprocessing, 2, seed=1).frames
    levels = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1), (256, channels, 1, 1))
    values = normalised(levels, preprocessing.mean, preprocessing.std)
    for channel in range(channels):
        assert np.isin(frames[:, channel], values[:, channel]).all()


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.int64), DtypeError, "int64"),
        (np.zeros((2, 4, 4, 3), np.float32), DtypeError, "float32"),
        (np.zeros((2, 3, 4, 4), np.uint8), ShapeError, r"\(2, 3, 4, 4\); expected \(N, 4, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), ShapeError, r"\(4, 4, 3\)"),
    ],
)
def test_what_are_no_images_of_the_network_is_refused(images, error, message):
    transform = InputTransform((3, 4, 4), (4, 4, 3), (), np.float32(0.1), 0, -8, 7)
    with pytest.raises(error, match=message):
        ImageTransform(transform, PREPROCESSING.mean, PREPROCESSING.std, None).apply(images)
