"""What the host does to a raw input before it streams it: the float part of the network, up to the first quantizer.

Only numpy, in float32 and in the order of the network's own operations: each is one IEEE 754 operation, so the
integers are the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["LINEAR", "TAKE", "HostStep", "InputTransform"]

TAKE, LINEAR = "take", "linear"  # the steps that give frames of another shape

_STEPS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "maximum": np.maximum,
    "minimum": np.minimum,
}

_ROUNDINGS = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
}


_NONE = np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False)
class HostStep:
    """One operation on float32 frames, called `op`.

    add, sub, mul, div, maximum, minimum: `x = x <op> operand`, where `operand` is float32 and broadcasts against one frame,
    without the batch. take: `operand` has the shape of the new frame, and for each of its elements the place of one of x.
    linear: pixels between those of images (C, H, W); `operand` has for each new row the two rows around it and the shares of
    both, float32 (4, rows), and `across` the same of columns, (4, columns).
    """

    op: str
    operand: np.ndarray
    across: np.ndarray = field(default_factory=lambda: _NONE)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """The frames (N, ...) after it."""
        if self.op == TAKE:
            return x.reshape(len(x), -1)[:, self.operand]
        if self.op == LINEAR:
            return self._between(x)
        return _STEPS[self.op](x, self.operand)

    def _between(self, x: np.ndarray) -> np.ndarray:
        """The four pixels around each, weighted and summed in the order of onnxruntime."""
        top, bottom = (x[..., rows, :] for rows in self.operand[:2].astype(np.int64))
        left, right = self.across[:2].astype(np.int64)
        (up, down), (before, behind) = self.operand[2:, :, None], self.across[2:]
        total = before * up * top[..., left] + behind * up * top[..., right]
        total = total + before * down * bottom[..., left]
        return total + behind * down * bottom[..., right]


@dataclass(frozen=True, eq=False)
class InputTransform:
    """Raw frames to the integers of the input stream.

    `raw_shape` is the shape of a raw frame as the network takes it, without the batch: (C, H, W) for images. The frame
    goes through `steps`, is divided by `scale`, moved by `zero_point`, clamped to [`lo` + `zero_point`, `hi` +
    `zero_point`] and rounded by `rounding` (a QONNX rounding mode); the zero point is taken out again. A `bipolar`
    input, divided and moved, is only compared with zero: -1 or 1 before the zero point is taken out. `shift` is added to the
    integers as they are streamed. `shape` is (height, width, channels) of the stream. If `flat`, a frame streams as one pixel in the raw order; otherwise
    channels move to the end.
    """

    raw_shape: tuple[int, ...]
    shape: tuple[int, int, int]
    steps: tuple[HostStep, ...]
    scale: np.ndarray
    zero_point: int
    lo: int
    hi: int
    rounding: str = "ROUND"
    bipolar: bool = False
    flat: bool = False
    shift: int = 0

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """The int64 frames of shape (N, *shape) for `raw` of shape (N, *raw_shape)."""
        if raw.shape[1:] != self.raw_shape:
            raise ValueError(f"frames of shape {raw.shape[1:]}, expected {self.raw_shape}")
        x = np.asarray(raw, np.float32)
        for step in self.steps:
            x = step.apply(x)
        zero_point = np.float32(self.zero_point)
        x = x / self.scale + zero_point
        if self.bipolar:
            levels = np.where(x >= 0, np.float32(1), np.float32(-1))
        else:
            x = np.clip(x, np.float32(self.lo + self.zero_point), np.float32(self.hi + self.zero_point))
            levels = _ROUNDINGS[self.rounding](x)
        integers = (levels - zero_point).astype(np.int64) + self.shift
        if not self.flat:
            integers = np.moveaxis(integers, 1, -1)
        return np.ascontiguousarray(integers.reshape(-1, *self.shape))
