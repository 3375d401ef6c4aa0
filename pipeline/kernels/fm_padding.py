"""FMPadding: a border of a constant around each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["FMPadding"]


@dataclass(frozen=True, eq=False)
class FMPadding(Layer):
    """Frames of `shape` (H, W, C) with `pads` (top, left, bottom, right) pixels of `value` around them.

    A beat carries `simd` channels on both sides. Raises ConfigError for a SIMD that does not divide C,
    UnsupportedError for negative pads or a value outside of `type`.
    """

    shape: Shape
    type: IntType
    pads: tuple[int, int, int, int]
    value: int = 0
    simd: int = 1

    op_type: ClassVar[str] = "FMPadding"
    module: ClassVar[str] = "fm_padding"

    def __post_init__(self) -> None:
        if min(self.pads) < 0:
            raise UnsupportedError(f"layer {self.name} has pads {self.pads}; they cannot be negative.")
        if not self.type.lo <= self.value <= self.type.hi:
            raise UnsupportedError(
                f"layer {self.name} pads with {self.value}, which its type {self.type.name} in [{self.type.lo}, "
                f"{self.type.hi}] does not hold."
            )
        if self.simd < 1 or self.shape[2] % self.simd:
            raise ConfigError(
                f"layer {self.name}: SIMD = {self.simd} does not divide its {self.shape[2]} channels; choose a "
                f"divisor of {self.shape[2]}."
            )

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.simd),)

    def outputs(self) -> tuple[Stream, ...]:
        (height, width, channels), (top, left, bottom, right) = self.shape, self.pads
        return (Stream((top + height + bottom, left + width + right, channels), self.type, self.simd),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (frames,) = inputs
        top, left, bottom, right = self.pads
        return (np.pad(frames, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=self.value),)

    def cycles(self) -> int:
        return self.outputs()[0].beats

    def latency(self) -> int:
        """The output register."""
        return 1

    def inputs_needed(self) -> np.ndarray:
        top, left, bottom, right = self.pads
        height, width, channels = self.shape
        inside = np.pad(np.ones((height, width), np.int64), ((top, bottom), (left, right)))
        return np.cumsum(np.repeat(inside.ravel(), channels // self.simd), dtype=np.int64)

    def parameters(self) -> dict[str, int]:
        return {
            "ElementWidth": self.type.bits,
            **self._sizes(),
            "Value": pack_word([self.value], self.type.bits),
        }

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "ElementWidth": self.type.bits,
            "ElementSigned": self.type.signed,
            **self._sizes(),
            "Value": self.value,
        }

    def _sizes(self) -> dict[str, int]:
        top, left, bottom, right = self.pads
        height, width, channels = self.shape
        return {
            "Simd": self.simd,
            "Folds": channels // self.simd,
            "ImageHeight": height,
            "ImageWidth": width,
            "PadTop": top,
            "PadLeft": left,
            "PadBottom": bottom,
            "PadRight": right,
        }
