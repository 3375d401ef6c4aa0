"""Images to the size that a network takes: bilinear or nearest, in numpy alone, the same on every machine.

Pixel i of n in the result has its center at (i + 1/2) · m / n − 1/2 in an image of m pixels, as OpenCV and torch (without
align_corners, without antialias) have it; beyond the edge stands the pixel of the edge. To reduce by much, average first.
"""

from __future__ import annotations

import numpy as np

from a2q_driver.errors import DtypeError, ShapeError

__all__ = ["METHODS", "resized"]

METHODS = ("bilinear", "nearest")


def resized(images: np.ndarray, height: int, width: int, method: str = "bilinear") -> np.ndarray:
    """uint8 `images` (N, H, W, C) as uint8 (N, `height`, `width`, C), by one of METHODS.

    `bilinear` is calculated in float64 and rounded, halves up; `nearest` takes pixel floor((i + 1/2) · m / n). Raises
    DtypeError and ShapeError for other arrays, ValueError for another method.
    """
    if method not in METHODS:
        raise ValueError(f"the method {method!r}; expected one of {', '.join(METHODS)}")
    if images.dtype != np.uint8:
        raise DtypeError(f"Images of type {images.dtype}; expected pixels of uint8.")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ShapeError(f"Images of shape {images.shape}; expected (N, height, width, channels).")
    if images.shape[1:3] == (height, width):
        return images
    if method == "nearest":
        rows, columns = _nearest(images.shape[1], height), _nearest(images.shape[2], width)
        return images[:, rows][:, :, columns]
    result = np.empty((len(images), height, width, images.shape[3]), np.uint8)
    top, bottom, down = _neighbours(images.shape[1], height)
    left, right, along = _neighbours(images.shape[2], width)
    for image, target in zip(images.astype(np.float64), result):  # one by one, to bound the memory
        columns = image[:, left] * (1 - along)[:, None] + image[:, right] * along[:, None]
        pixels = columns[top] * (1 - down)[:, None, None] + columns[bottom] * down[:, None, None]
        target[...] = np.floor(pixels + 0.5)
    return result


def _nearest(before: int, after: int) -> np.ndarray:
    return (2 * np.arange(after) + 1) * before // (2 * after)


def _neighbours(before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two pixels around the center of each new one, and the share of the second."""
    places = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    first = np.floor(places).astype(np.int64)
    return first, np.minimum(first + 1, before - 1), places - first
