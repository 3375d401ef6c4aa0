"""Lookup: a function of each element, by a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.layer import Layer, Memory, Shape, Stream, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import rom
from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["MAX_LOOKUP_BITS", "Lookup"]

MAX_LOOKUP_BITS = 12  # of an element: 4,096 words a table
_BLOCK_DEPTH = 512  # of hw/rtl/lookup.sv


@dataclass(frozen=True, eq=False)
class Lookup(Layer):
    """Replaces each element x by table[c, x − input_type.lo], c its channel.

    `shape` is (height, width, channels), `table` int64 of (channels, K) or, shared by all channels, (1, K), with K the
    integers of `input_type`; `pe` elements a beat. Raises ConfigError for a folding that does not divide,
    UnsupportedError for a table that cannot be built.
    """

    shape: Shape
    input_type: IntType
    output_type: IntType
    table: np.ndarray
    pe: int = 1

    op_type: ClassVar[str] = "Lookup"
    module: ClassVar[str] = "lookup"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe"}
    lut_purpose: ClassVar[str] = "thresholds"

    def __post_init__(self) -> None:
        channels, values = self.shape[2], self.input_type.hi - self.input_type.lo + 1
        if self.input_type.bits > MAX_LOOKUP_BITS:
            raise UnsupportedError(
                f"layer {self.name} looks up elements of {self.input_type.bits} bits; at most {MAX_LOOKUP_BITS} can be "
                "built. Quantize its input to fewer."
            )
        if self.table.ndim != 2 or len(self.table) not in (1, channels) or self.table.shape[1] != values:
            raise UnsupportedError(
                f"layer {self.name} has a table of shape {self.table.shape}; expected ({channels}, {values}) or "
                f"(1, {values})."
            )
        if not self.output_type.contains(self.table):
            raise UnsupportedError(
                f"layer {self.name} has a table from {self.table.min()} to {self.table.max()}, which its output type "
                f"{self.output_type.name} in [{self.output_type.lo}, {self.output_type.hi}] does not hold."
            )
        if self.pe < 1 or channels % self.pe:
            raise ConfigError(
                f"layer {self.name}: PE = {self.pe} does not divide its {channels} channels; choose a divisor of "
                f"{channels}."
            )

    @property
    def folds(self) -> int:
        """Tables of a lane: beats after which they repeat."""
        return 1 if len(self.table) == 1 else len(self.table) // self.pe

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.input_type, self.pe),)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.output_type, self.pe),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (values,) = inputs
        places = values.astype(np.int64) - self.input_type.lo
        if len(self.table) == 1:
            return (self.table[0][places],)
        return (self.table[np.arange(self.shape[2]), places],)

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        """The input's register, the memory's, the output register."""
        return 3

    def inputs_needed(self) -> np.ndarray:
        return np.arange(1, self.cycles() + 1, dtype=np.int64)

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand, bits = Demand(self.op_type), self.output_type.bits
        demand.add(data=self.pe * self.input_type.bits, outputs=self.pe * bits)
        depth = self.folds << self.input_type.bits
        demand.store("table", rom(bits, depth, "block" if depth > _BLOCK_DEPTH else "distributed"), self.pe)
        return demand

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        element, result = IntType.of_bits(draw.one_of([2, 4, 6, 8]), signed=True), draw.element()
        channels = stream["shape"][2]
        entries = element.hi - element.lo + 1
        table = draw.random.integers(result.lo, result.hi, (draw.one_of([1, 1, channels]), entries), endpoint=True)
        return cls(
            "layer", ("x",), ("y",), shape=stream["shape"], input_type=element, output_type=result, table=table,
            pe=draw.lanes(channels, 16),
        )  # fmt: skip

    def parameters(self) -> dict[str, int]:
        return {
            "Pe": self.pe,
            "Folds": self.folds,
            "InputWidth": self.input_type.bits,
            "OutputWidth": self.output_type.bits,
        }

    def memory_sets(self) -> dict[str, dict[str, Memory]]:
        width = self.output_type.bits
        words = self._rows.reshape(self.folds, -1, 1 << self.input_type.bits)
        memories = {}
        for lane in range(words.shape[1]):
            packed = (pack_word([value], width) for value in words[:, lane].ravel())
            memories[str(lane)] = Memory(width, tuple(packed))
        return {"TableFiles": memories}

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "Beats": self.cycles(),
            **self.parameters(),
            "InputSigned": self.input_type.signed,
            "OutputSigned": self.output_type.signed,
            "Entries": 1 << self.input_type.bits,
        }

    def hls_tables(self) -> dict[str, Table]:
        shape = (self.folds, self.pe, 1 << self.input_type.bits)
        return {"table": Table(self._rows.reshape(shape), self.output_type)}

    @cached_property
    def _rows(self) -> np.ndarray:
        """The table of each fold and lane, (folds · pe, 2^bits), in the order of the elements' bits; what no element is
        gets the value of an end."""
        bits = self.input_type.bits
        elements = np.arange(1 << bits)
        if self.input_type.signed:
            elements = np.where(elements >> (bits - 1), elements - (1 << bits), elements)
        places = np.clip(elements, self.input_type.lo, self.input_type.hi) - self.input_type.lo
        return np.broadcast_to(self.table, (self.pe * self.folds, self.table.shape[1]))[:, places]
