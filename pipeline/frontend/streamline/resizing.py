"""Pixels that a Resize, or an Upsample, takes, by ONNX' formulas of its operator Resize.

Pixel x of the result lies at a real place of the image, by coordinate_transformation_mode. Calculated in float32 and in the
order of onnxruntime, which QONNX's executor runs, so that the same pixels are chosen and the same shares of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["COORDINATES", "ROUNDINGS", "Resizing", "on_host", "repeats"]

_HALF = np.float32(0.5)

# the place of the pixels x of the result, of sides of n pixels that become m, by the factor f
COORDINATES: dict[str, Callable[[np.ndarray, np.float32, int, int], np.ndarray]] = {
    "asymmetric": lambda x, f, n, m: x / f,
    "half_pixel": lambda x, f, n, m: (x + _HALF) / f - _HALF,
    "pytorch_half_pixel": lambda x, f, n, m: (x + _HALF) / f - _HALF if m > 1 else 0 * x,
    "tf_half_pixel_for_nn": lambda x, f, n, m: (x + _HALF) / f,
    "align_corners": lambda x, f, n, m: x * np.float32(n - 1) / np.float32(m - 1) if m > 1 else 0 * x,
    "half_pixel_symmetric": lambda x, f, n, m: (x + _HALF) / f - _HALF,  # where m = f · n, see `on_host`
}
ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda place: np.ceil(place - _HALF),
    "round_prefer_ceil": lambda place: np.floor(place + _HALF),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True)
class Resizing:
    """What a Resize or an Upsample does to height and width of images (N, C, H, W): sides of `sizes` pixels become those of
    `outputs`, by `factors`."""

    mode: str
    coordinates: str
    rounding: str
    sizes: tuple[int, int]
    outputs: tuple[int, int]
    factors: tuple[float, float]

    @classmethod
    def of(
        cls, options: Mapping[str, Any], shape: tuple[int, ...], operands: Sequence[np.ndarray | None], *, old: bool
    ) -> Resizing:
        """That of a node with the attributes `options` for images of `shape`. `operands` are those behind the images: scales,
        or the region, scales and sizes; an `old` operator is an Upsample, or a Resize before version 11, which take no
        coordinates."""
        mode = options.get("mode", b"nearest").decode()
        coordinates = "asymmetric" if old else options.get("coordinate_transformation_mode", b"half_pixel").decode()
        rounding = "floor" if old else options.get("nearest_mode", b"round_prefer_floor").decode()
        sizes = operands[2] if len(operands) > 2 else None
        scales = options.get("scales") if not operands else operands[min(1, len(operands) - 1)]
        factors, outputs = dict.fromkeys(range(len(shape)), 1.0), dict(enumerate(shape))
        for index, axis in enumerate(axis % len(shape) for axis in options.get("axes", range(len(shape)))):
            if sizes is not None and sizes.size:
                outputs[axis] = int(sizes[index])
                factors[axis] = outputs[axis] / shape[axis]
            elif scales is not None and len(scales):
                factors[axis] = float(scales[index])
                outputs[axis] = int(np.float32(factors[axis]) * np.float32(shape[axis]))
        return cls(
            mode, coordinates, rounding, (shape[2], shape[3]), (outputs[2], outputs[3]), (factors[2], factors[3])
        )

    def _places(self, axis: int) -> np.ndarray:
        size, output = self.sizes[axis], self.outputs[axis]
        x = np.arange(output, dtype=np.float32)
        if size == output and self.factors[axis] == 1:
            return x
        return COORDINATES[self.coordinates](x, np.float32(self.factors[axis]), size, output)

    def nearest(self, axis: int) -> np.ndarray:
        """Of each pixel along `axis`, 0 for the height, the pixel that it repeats, int64."""
        nearest = ROUNDINGS[self.rounding](self._places(axis)).astype(np.int64)
        clipped: np.ndarray = np.clip(nearest, 0, self.sizes[axis] - 1)
        return clipped

    def linear(self, axis: int) -> np.ndarray:
        """Of each pixel along `axis` the two pixels around it, and the shares of both, float32 (4, M)."""
        last = self.sizes[axis] - 1
        place = np.clip(self._places(axis), np.float32(0), np.float32(last))
        first = np.minimum(np.floor(place), last)
        second = np.minimum(first + 1, last)
        shares = (
            np.where(first == second, _HALF, np.abs(place - second)),
            np.where(first == second, _HALF, place - first),
        )
        return np.stack([first, second, *shares]).astype(np.float32)


def on_host(resizing: Resizing, *, old: bool) -> str:
    """Why the host does not compute `resizing`; empty where it does. `old` as in `Resizing.of`."""
    if resizing.mode not in ("nearest", "linear"):
        return f"mode {resizing.mode}"
    if resizing.coordinates not in COORDINATES or resizing.coordinates == "half_pixel_symmetric":
        return f"coordinates {resizing.coordinates}"
    if resizing.rounding not in ROUNDINGS:
        return f"rounding {resizing.rounding}"
    if old and resizing.mode == "nearest" and min(resizing.factors) < 1:
        return "fewer pixels by an operator older than version 11, which does not say which"
    return ""


def repeats(resizing: Resizing) -> bool:
    """Whether it makes a whole number of each pixel in both directions."""
    known = resizing.coordinates in COORDINATES and resizing.rounding in ROUNDINGS
    if resizing.mode != "nearest" or not known:
        return False
    for axis, (size, output) in enumerate(zip(resizing.sizes, resizing.outputs, strict=True)):
        factor = output // size
        if not factor or factor != resizing.factors[axis] or output % size:
            return False
        if not np.array_equal(resizing.nearest(axis), np.arange(output) // factor):
            return False
    return True
