"""FMPadding: a border of a constant around each frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log2
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["FMPadding"]


@dataclass(frozen=True, eq=False)
class FMPadding(Layer):
    """Frames of `shape` (H, W, C) with `pads` (top, left, bottom, right) pixels of `value` around them.

    A beat carries `simd` channels on both sides, of `m` pixels side by side, where there is no border on the left and on the
    right. Raises ConfigError for a SIMD that does not divide C, and for an M that does not divide W, UnsupportedError for
    negative pads, for a value outside of `type`, and for an M with such a border.
    """

    shape: Shape
    type: IntType
    pads: tuple[int, int, int, int]
    value: int = 0
    simd: int = 1
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "FMPadding"
    module: ClassVar[str] = "fm_padding"
    finn_attributes: ClassVar[Mapping[str, str]] = {"SIMD": "simd", "M": "m"}
    lut_purpose: ClassVar[str] = "sliding windows"
    lut_purpose_of_cells: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if min(self.pads) < 0:
            raise UnsupportedError(f"layer {self.name} has pads {self.pads}; they cannot be negative.")
        check_pixels(self.name, self.m, self.shape[1])
        if self.m > 1 and (self.pads[1] or self.pads[3]):
            raise UnsupportedError(
                f"layer {self.name} has pads {self.pads}, which cannot be put around M = {self.m} pixels side by side; only "
                "borders above and below can. Choose an M of 1."
            )
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
        return (Stream(self.shape, self.type, self.m * self.simd, self.m),)

    def outputs(self) -> tuple[Stream, ...]:
        (height, width, channels), (top, left, bottom, right) = self.shape, self.pads
        shape = (top + height + bottom, left + width + right, channels)
        return (Stream(shape, self.type, self.m * self.simd, self.m),)

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
        inside = np.pad(np.ones((height, width // self.m), np.int64), ((top, bottom), (left, right)))
        return np.cumsum(np.repeat(inside.ravel(), channels // self.simd), dtype=np.int64)

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"simd": divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand, (height, width, channels) = Demand(self.op_type), self.shape
        counters = log2(height) + log2(width // self.m) + log2(channels // self.simd)
        demand.add(data=self.m * self.simd * self.type.bits, counters=counters)
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        if self.value:
            raise self.without_finn_node(f"it pads with {self.value}, and FMPadding with 0")
        attributes = {
            "ImgDim": self.shape[:2],
            "Padding": self.pads,
            "NumChannels": self.shape[2],
            "SIMD": self.simd,
            "inputDataType": self.type.name,
        }
        return (FinnNode("FMPadding", attributes),)

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        lanes = draw.lanes(stream["shape"][2], 64)
        return cls("layer", ("x",), ("y",), **stream, pads=(1, 1, 1, 1), simd=lanes)

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
            "Simd": self.m * self.simd,
            "Folds": channels // self.simd,
            "ImageHeight": height,
            "ImageWidth": width // self.m,
            "PadTop": top,
            "PadLeft": left,
            "PadBottom": bottom,
            "PadRight": right,
        }
