"""Images of another size, as torch and plain loops have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from a2q_driver.errors import DtypeError, ShapeError
from a2q_driver.resizing import resized

SIZES = [((5, 7), (9, 4)), ((8, 8), (3, 3)), ((1, 6), (4, 13)), ((11, 3), (1, 1)), ((4, 4), (8, 8))]


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (2, height, width, 3), np.uint8)


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_bilinear_is_that_of_torch(before: tuple[int, int], after: tuple[int, int]) -> None:
    source = images(*before)
    frames = torch.from_numpy(source.transpose(0, 3, 1, 2).astype(np.float64))
    expected = torch.nn.functional.interpolate(frames, after, mode="bilinear", align_corners=False).numpy()
    actual = resized(source, *after).transpose(0, 3, 1, 2)
    assert actual.dtype == np.uint8
    away_from_a_tie = np.abs(expected - np.floor(expected) - 0.5) > 1e-9
    assert np.array_equal(actual[away_from_a_tie], np.round(expected)[away_from_a_tie])
    assert np.abs(actual - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_nearest_is_that_of_torch(before: tuple[int, int], after: tuple[int, int]) -> None:
    source = images(*before)
    frames = torch.from_numpy(source.transpose(0, 3, 1, 2).astype(np.float64))
    expected = torch.nn.functional.interpolate(frames, after, mode="nearest-exact").numpy()
    assert np.array_equal(resized(source, *after, method="nearest").transpose(0, 3, 1, 2), expected)


def test_the_same_size_is_left_alone() -> None:
    source = images(4, 6)
    assert np.array_equal(resized(source, 4, 6), source)


def test_others_are_refused() -> None:
    with pytest.raises(ValueError, match="the method 'cubic'; expected one of bilinear, nearest"):
        resized(images(4, 4), 2, 2, method="cubic")
    with pytest.raises(DtypeError, match="float32"):
        resized(images(4, 4).astype(np.float32), 2, 2)
    with pytest.raises(ShapeError, match="height, width, channels"):
        resized(images(4, 4)[0], 2, 2)
