"""Pool: the maximum or the sum of each channel over a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import lcm, log2
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Layer, Stream
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.product_pair import recoded_digits

__all__ = ["Pool"]

_FUNCTIONS = ("max", "sum")
_MOST_FACTOR = (1 << 16) - 1


@dataclass(frozen=True, eq=False)
class Pool(Layer):
    """The largest of `window` elements of each channel, or their sum shifted right by `shift` bits.

    With `pixels` = (OH, OW) frames are (OH, OW, window · channels) in, as ConvolutionInputGenerator gives them,
    channels fastest, and (OH, OW, channels) out. The shift rounds toward minus infinity. A beat carries `pe` channels
    of `m` windows on both sides.

    `row_counts` (OH,) and `column_counts` (OW,) say how many rows and columns of each window count, such as those that
    are no padding. Then a sum is multiplied by `multiple` / (row count · column count) before the shift, which makes it
    the average times `multiple`. Raises ConfigError for a PE that does not divide the channels or an M that does not divide OW,
    UnsupportedError for what cannot be built, such as counts with an M.
    """

    pixels: tuple[int, int]
    channels: int
    window: int
    type: IntType
    function: str
    shift: int = 0
    pe: int = 1
    row_counts: tuple[int, ...] = ()
    column_counts: tuple[int, ...] = ()
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "Pool"
    module: ClassVar[str] = "pool"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe", "M": "m"}
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
        counts = (*self.row_counts, *self.column_counts)
        if counts and (
            self.function == "max" or self.window < 2 or (len(self.row_counts), len(self.column_counts)) != self.pixels
        ):
            raise UnsupportedError(
                f"layer {self.name} counts elements in {len(self.row_counts)} rows and {len(self.column_counts)} columns of "
                f"windows, of a {self.function} for {self.pixels} pixels; only sums of two elements or more have counts, one a row and a column."
            )
        if counts and (min(counts) < 1 or max(counts) > self.window or self._most_factor > _MOST_FACTOR):
            raise UnsupportedError(
                f"layer {self.name} counts {min(counts)} to {max(counts)} rows and columns of windows of {self.window} "
                f"elements, which takes factors of up to {self._most_factor}; at most {_MOST_FACTOR} can be built."
            )
        check_pixels(self.name, self.m, self.pixels[1])
        if counts and self.m > 1:
            raise UnsupportedError(
                f"layer {self.name} has M = {self.m} and counts elements in each of its windows, which divide sums by unlike "
                "numbers; only M = 1 can be built."
            )
        if self.pe < 1 or self.channels % self.pe:
            raise ConfigError(
                f"layer {self.name}: PE = {self.pe} does not divide its {self.channels} channels; choose a divisor of "
                f"{self.channels}."
            )

    @property
    def lanes(self) -> int:
        """Elements of a beat: PE of each of M pixels."""
        return self.pe * self.m

    @property
    def folds(self) -> int:
        """Beats a window element: channels / PE."""
        return self.channels // self.pe

    @property
    def multiple(self) -> int:
        """The least number that the counted elements of every window divide; 1 without counts."""
        return lcm(*(max(rows * columns, 1) for rows in set(self.row_counts) for columns in set(self.column_counts)))

    @cached_property
    def _factors(self) -> np.ndarray:
        """What each sum is multiplied by, int64 (OH, OW)."""
        if not self.row_counts:
            return np.ones(self.pixels, np.int64)
        factors: np.ndarray = self.multiple // np.maximum(np.multiply.outer(self.row_counts, self.column_counts), 1)
        return factors

    @property
    def _most_factor(self) -> int:
        return int(self._factors.max())

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream((*self.pixels, self.window * self.channels), self.type, self.lanes, self.m),)

    def outputs(self) -> tuple[Stream, ...]:
        reach = self._reach()
        levels = IntType(reach.lo >> self.shift, reach.hi >> self.shift)
        return (Stream((*self.pixels, self.channels), levels, self.lanes, self.m),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (windows,) = inputs
        elements = windows.reshape(*windows.shape[:3], self.window, self.channels)
        if self.function == "max":
            return (elements.max(axis=3),)
        return (elements.sum(axis=3, dtype=np.int64) * self._factors[:, :, None] >> self.shift,)

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        """The input register, the sum or maximum, the output register; with counts a product, and a buffer of two."""
        return 2 + recoded_digits(IntType(0, self._most_factor)) + 2 if self.row_counts else 3

    def inputs_needed(self) -> np.ndarray:
        pixels = np.arange(self.pixels[0] * self.pixels[1] // self.m, dtype=np.int64) * self.window * self.folds
        last_element = (self.window - 1) * self.folds + np.arange(1, self.folds + 1, dtype=np.int64)
        return (pixels[:, None] + last_element).ravel()

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(self.channels)}

    def demand(self, family: str) -> Demand:
        demand, bits = Demand(self.op_type), self.lanes * self._sum_type().bits
        outputs = self.lanes * self.outputs()[0].type.bits
        demand.add(data=bits, outputs=outputs, counters=log2(self.folds * self.window))
        if self.folds > 1:
            demand.store("gathered", ram(bits, self.folds, family))
        if self.row_counts:  # a product a lane, the buffer of results, and what knows the place
            digits = recoded_digits(IntType(0, self._most_factor))
            demand.lut += digits * (bits + 2 * self.pe) + outputs + sum(self.pixels) // 16 + 16
            demand.ff += digits * (2 * bits + outputs) + outputs + 32
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        """MaxPool; AccPool, which sums up; or QuantAvgPool, whose shift is what leaves the bits of its output's type."""
        if self.row_counts:
            raise self.without_finn_node("it has sums of unlike numbers of elements, and Pool divides all by the same")
        output = self.outputs()[0].type
        left = (((1 << self.type.bits) - 1) * self.window).bit_length() - self.shift
        if self.shift and (left, self.type.signed) != (output.bits, output.signed):
            raise self.without_finn_node(
                f"it shifts sums right by {self.shift}, to {output.name}, and QuantAvgPool leaves {left} bits by such a shift"
            )
        summing = "QuantAvgPool" if self.shift else "AccPool"
        attributes = {
            "Channels": self.channels,
            "PE": self.pe,
            "KernelSize": (1, self.window),
            "Function": "MaxPool" if self.function == "max" else summing,
            "OutImgDims": self.pixels,
            "InputDataType": self.type.name,
            "OutputDataType": output.name,
            "AccumBits": self._sum_type().bits if self.function == "sum" else 0,
        }
        return (FinnNode("Pool", attributes),)

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
            "Pe": self.lanes,
            "Folds": self.folds,
            "Window": self.window,
            "InputWidth": self.type.bits,
            "InputSigned": int(self.type.signed),
            "Sum": int(self.function == "sum"),
            "AccWidth": self._sum_type().bits,
            "Shift": self.shift,
            "OutputWidth": self.outputs()[0].type.bits,
        } | self._factor_parameters()

    def hls_parameters(self) -> dict[str, int | bool | tuple[int, ...]]:
        return {
            "Rows": self.pixels[0],
            "Columns": self.pixels[1] // self.m,
            "Pe": self.lanes,
            "Folds": self.folds,
            "Window": self.window,
            "InputWidth": self.type.bits,
            "InputSigned": self.type.signed,
            "Sum": self.function == "sum",
            "AccWidth": self._sum_type().bits,
            "Shift": self.shift,
            "OutputWidth": self.outputs()[0].type.bits,
            "ScaledWidth": self._reach().bits,
            "Multiple": self.multiple,
            "RowCounts": self.row_counts or (1,) * self.pixels[0],
            "ColumnCounts": self.column_counts or (1,) * (self.pixels[1] // self.m),
        }

    def _factor_parameters(self) -> dict[str, int]:
        """The factors by the kinds of rows and columns, each kind being a count."""
        if not self.row_counts:
            return {}
        rows, columns = sorted(set(self.row_counts)), sorted(set(self.column_counts))
        kind_bits = max((max(len(rows), len(columns)) - 1).bit_length(), 1)
        factor_bits = self._most_factor.bit_length()
        table = [
            self.multiple // (rows[i >> kind_bits] * columns[i & (1 << kind_bits) - 1])
            if i >> kind_bits < len(rows) and i & (1 << kind_bits) - 1 < len(columns)
            else 0
            for i in range(1 << 2 * kind_bits)
        ]
        return {
            "FactorWidth": factor_bits,
            "ScaledWidth": self._reach().bits,
            "Rows": self.pixels[0],
            "Columns": self.pixels[1],
            "KindWidth": kind_bits,
            "RowKinds": pack_word(map(rows.index, self.row_counts), kind_bits),
            "ColumnKinds": pack_word(map(columns.index, self.column_counts), kind_bits),
            "Factors": pack_word(table, factor_bits),
        }

    def _sum_type(self) -> IntType:
        """The range of the accumulator when a window is complete."""
        return self.type.scaled(self.window) if self.function == "sum" else self.type

    def _reach(self) -> IntType:
        """The range of a sum times its factor, or of a maximum."""
        return self._sum_type().scaled(self._most_factor)
