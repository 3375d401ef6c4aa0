"""uint8 images to the integers of the input stream: the preprocessing of the network, and what it does itself.

A pixel has 256 values. Where nothing depends on a pixel's place, the integers of all of them, a channel, are a table;
it is made by the very operations that it stands for, so that the integers are the same with it as without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from a2q_driver.errors import DtypeError, ShapeError
from a2q_driver.input_transform import LINEAR, TAKE, HostStep, InputTransform
from a2q_driver.packing import element_type

__all__ = ["ImageTransform", "lookup_table", "normalised"]

_LEVELS = 256  # of a pixel


@dataclass(frozen=True, eq=False)
class ImageTransform:
    """What is done to images: (pixel / 255 − mean) / std, a `mean` and a `std` for each channel, then `transform`.

    `lookup` is the table of both, (C, 256), or None where places matter; see `lookup_table`.
    """

    transform: InputTransform
    mean: tuple[float, ...]
    std: tuple[float, ...]
    lookup: np.ndarray | None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        channels, height, width = self.transform.raw_shape
        return height, width, channels

    def check(self, images: np.ndarray) -> None:
        """Raise DtypeError or ShapeError unless `images` are uint8 of shape (N, *image_shape)."""
        if images.dtype != np.uint8:
            raise DtypeError(f"Images of type {images.dtype}; expected pixels of uint8.")
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, self.image_shape))
            raise ShapeError(f"Images of shape {images.shape}; expected (N, {expected}): height, width, channels.")

    def apply(self, images: np.ndarray) -> np.ndarray:
        """The integers of shape (N, *transform.shape) for uint8 `images` of shape (N, *image_shape).

        Raises DtypeError and ShapeError for others.
        """
        self.check(images)
        if self.lookup is None:
            return self.transform.apply(normalised(np.moveaxis(images, -1, 1), self.mean, self.std))
        integers = np.empty(images.shape, self.lookup.dtype)
        for channel, table in enumerate(self.lookup):
            integers[..., channel] = table[images[..., channel]]
        if self.transform.flat:  # raw frames have their channels first
            integers = np.moveaxis(integers, -1, 1)
        return np.ascontiguousarray(integers).reshape(-1, *self.transform.shape)


def lookup_table(transform: InputTransform, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray | None:
    """The integers that the 256 values of a pixel become, of shape (C, 256), in the narrowest type.

    None where a step of `transform` moves or mixes pixels, or has other operands in other places of the frame.
    """
    if any(step.op in (TAKE, LINEAR) for step in transform.steps):
        return None
    channels, *places = transform.raw_shape
    operands = [_everywhere(step.operand, transform.raw_shape) for step in transform.steps]
    if len(places) != 2 or transform.scale.size != 1 or any(operand is None for operand in operands):
        return None
    row = replace(
        transform,
        raw_shape=(channels, 1, _LEVELS),
        shape=(1, _LEVELS, channels),
        steps=tuple(HostStep(s.op, operand) for s, operand in zip(transform.steps, operands)),
        flat=False,
    )
    pixels = np.broadcast_to(np.arange(_LEVELS, dtype=np.uint8), (1, channels, 1, _LEVELS))
    integers = row.apply(normalised(pixels, mean, std))[0, 0].T
    signed = bool(integers.min() < 0)
    bits = int(max(integers.max(), -integers.min() - 1)).bit_length() + signed
    return np.ascontiguousarray(integers.astype(element_type(max(bits, 1), signed)))


def normalised(images: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """(pixel / 255 − mean) / std of uint8 `images` (N, C, H, W), as float32: what the network takes.

    The quotient is float32's, the rest float64's, rounded at the end.
    """
    channels = images.shape[1]
    means, deviations = (np.reshape(np.asarray(v[:channels], np.float64), (1, -1, 1, 1)) for v in (mean, std))
    return ((images.astype(np.float32) / np.float32(255) - means) / deviations).astype(np.float32)


def _everywhere(operand: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """`operand` with one element a channel, (C, 1, 1), or None where it differs within a channel of the frame."""
    whole = np.broadcast_to(operand, shape)
    first = whole[:, :1, :1] if len(shape) == 3 else None
    return first.copy() if first is not None and np.array_equal(whole, np.broadcast_to(first, shape)) else None
