"""Pool: the maximum or the sum of each channel over a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.layer import Layer, Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram
from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["Pool"]

_FUNCTIONS = ("max", "sum")


@dataclass(frozen=True, eq=False)
class Pool(Layer):
    """The largest of `window` elements of each channel, or their sum shifted right by `shift` bits.

    With `pixels` = (OH, OW) frames are (OH, OW, window · channels) in, as ConvolutionInputGenerator gives them,
    channels fastest, and (OH, OW, channels) out. The shift rounds toward minus infinity. A beat carries `pe` channels
    on both sides. Raises ConfigError for a PE that does not divide the channels, UnsupportedError for what cannot be
    built.
    """

    pixels: tuple[int, int]
    channels: int
    window: int
    type: IntType
    function: str
    shift: int = 0
    pe: int = 1

    op_type: ClassVar[str] = "Pool"
    module: ClassVar[str] = "pool"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe"}
    lut_purpose: ClassVar[str] = "glue"

    def __post_init__(self) -> None:
        if self.function not in _FUNCTIONS:
            raise UnsupportedError(
                f"layer {self.name} has the pooling function {self.function!r}; max and sum can be built."
            )
        if self.window < 1 or self.channels < 1 or min(self.pixels) < 1:
            raise UnsupportedError(
                f"layer {self.name} pools {self.window} elements of {self.channels} channels for {self.pixels} "
                "pixels; each must be at least 1."
            )
        if self.shift < 0 or (self.function == "max" and self.shift):
            raise UnsupportedError(
                f"layer {self.name} has a shift of {self.shift}; it must not be negative, and only sums are shifted."
            )
        if self.pe < 1 or self.channels % self.pe:
            raise ConfigError(
                f"layer {self.name}: PE = {self.pe} does not divide its {self.channels} channels; choose a divisor of "
                f"{self.channels}."
            )

    @property
    def folds(self) -> int:
        """Beats a window element: channels / PE."""
        return self.channels // self.pe

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream((*self.pixels, self.window * self.channels), self.type, self.pe),)

    def outputs(self) -> tuple[Stream, ...]:
        reach = self._reach()
        return (
            Stream((*self.pixels, self.channels), IntType(reach.lo >> self.shift, reach.hi >> self.shift), self.pe),
        )

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (windows,) = inputs
        elements = windows.reshape(*windows.shape[:3], self.window, self.channels)
        if self.function == "max":
            return (elements.max(axis=3),)
        return (elements.sum(axis=3, dtype=np.int64) >> self.shift,)

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        """The input register, the sum or maximum, the output register."""
        return 3

    def inputs_needed(self) -> np.ndarray:
        pixels = np.arange(self.pixels[0] * self.pixels[1], dtype=np.int64) * self.window * self.folds
        last_element = (self.window - 1) * self.folds + np.arange(1, self.folds + 1, dtype=np.int64)
        return (pixels[:, None] + last_element).ravel()

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(self.channels)}

    def demand(self, family: str) -> Demand:
        demand, bits = Demand(self.op_type), self.pe * self._reach().bits
        outputs = self.pe * self.outputs()[0].type.bits
        demand.add(data=bits, outputs=outputs, counters=log2(self.folds * self.window))
        if self.folds > 1:
            demand.store("gathered", ram(bits, self.folds, family))
        return demand

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        channels, window = draw.one_of([8, 16, 32, 64]), draw.one_of([4, 9, 16, 64])
        function = str(draw.random.choice(["max", "sum"]))
        return cls(
            "layer", ("x",), ("y",), pixels=(4, 4), channels=channels, window=window, type=draw.element(),
            function=function, shift=draw.one_of([0, 2]) if function == "sum" else 0, pe=draw.lanes(channels, 64),
        )  # fmt: skip

    def parameters(self) -> dict[str, int]:
        return {
            "Pe": self.pe,
            "Folds": self.folds,
            "Window": self.window,
            "InputWidth": self.type.bits,
            "InputSigned": int(self.type.signed),
            "Sum": int(self.function == "sum"),
            "AccWidth": self._reach().bits,
            "Shift": self.shift,
            "OutputWidth": self.outputs()[0].type.bits,
        }

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "Windows": self.pixels[0] * self.pixels[1],
            **self.parameters(),
            "InputSigned": self.type.signed,
            "Sum": self.function == "sum",
        }

    def _reach(self) -> IntType:
        """The range of the accumulator when a window is complete."""
        return self.type.scaled(self.window) if self.function == "sum" else self.type
