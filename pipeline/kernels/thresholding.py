"""Thresholding: the integer form of an activation's quantizer, as a layer of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Memory, Shape, Stream, Table
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.requantize import Requantizer
from pipeline.dataflow.roles import Activating
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.activation import (
    Activation,
    activation_latency,
    add_activation,
    check_activation,
    finn_thresholding,
    levels_of,
)
from pipeline.kernels.threshold_search import search_styles

__all__ = ["Thresholding"]


@dataclass(frozen=True, eq=False)
class Thresholding(Activating):
    """Replaces each element by output_type.lo + the number of its channel's thresholds that it reaches.

    `shape` is (height, width, channels), `thresholds` int64 of (channels, T) or, shared by all channels, (1, T), non-
    decreasing along axis 1; a beat is `pe` channels of `m` pixels. `requantizer`, where there is one, computes the same
    in hardware, of as many channels; where `thresholds` are None, it alone says what the levels are. Raises ConfigError
    for a folding that does not divide, UnsupportedError for thresholds that cannot be built, VerificationError for a
    requantizer that is not equal to them.
    """

    shape: Shape
    input_type: IntType
    output_type: IntType
    thresholds: np.ndarray | None
    pe: int = 1
    requantizer: Requantizer | None = field(default=None, kw_only=True)
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "Thresholding"
    module: ClassVar[str] = "thresholding"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe", "M": "m"}
    lut_purpose: ClassVar[str] = "thresholds"

    def __post_init__(self) -> None:
        channels = self.shape[2]
        if self.thresholds is not None and self.thresholds.ndim != 2 or self._rows not in (1, channels):
            has = f"a requantizer of {self._rows} channels; expected {channels} or 1"
            if self.thresholds is not None:
                has = f"thresholds of shape {self.thresholds.shape}; expected ({channels}, T) or (1, T)"
            raise UnsupportedError(f"layer {self.name} has {has}.")
        check_pixels(self.name, self.m, self.shape[1])
        if self.pe < 1 or channels % self.pe:
            raise ConfigError(
                f"layer {self.name}: PE = {self.pe} does not divide its {channels} channels; "
                f"choose a divisor of {channels}."
            )
        check_activation(self.name, self.thresholds, self.requantizer, *self.value_range(), self.output_type)

    @property
    def _rows(self) -> int:
        """Of thresholds, or of a requantizer alone."""
        if self.thresholds is not None:
            return len(self.thresholds)
        return 0 if self.requantizer is None else len(self.requantizer.multipliers)

    def value_range(self) -> tuple[np.ndarray, np.ndarray]:
        lo, hi = (np.full(self._rows, end, np.int64) for end in (self.input_type.lo, self.input_type.hi))
        return lo, hi

    @property
    def lanes(self) -> int:
        """Elements of a beat: PE of each of M pixels."""
        return self.pe * self.m

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.input_type, self.lanes, self.m),)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.output_type, self.lanes, self.m),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (values,) = inputs
        return (levels_of(values, self.thresholds, self.requantizer, self.output_type),)

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        output = 1
        return activation_latency(self.level_steps, self.requantizer) + output

    def inputs_needed(self) -> np.ndarray:
        return np.arange(1, self.cycles() + 1, dtype=np.int64)

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand = Demand(self.op_type)
        add_activation(
            demand, self.level_steps, self.threshold_folds, self._activation.widths, self._activation.requantizer,
            self._activation.sum_bits, self.output_type.bits,
        )  # fmt: skip
        demand.add(outputs=self.lanes * self.output_type.bits)
        return demand

    def threshold_styles(self) -> dict[str, int]:
        return {} if self.requantizer else search_styles(self.level_steps, self.threshold_folds)

    def op_and_param_counts(self) -> dict[str, int]:
        if self.thresholds is None:
            return {}
        return {f"param_threshold_{self.input_type.bits}b": self.thresholds.size}

    def finn_nodes(self, family: str) -> dict[str, Mapping[str, Any]]:
        """Thresholding_rtl: of its Requant, which multiplies in DSPs, FINN estimates no LUTs."""
        if self.thresholds is None:
            return {}
        (node,) = self.finn_graph()
        return {"Thresholding_rtl": node.attributes}

    def finn_graph(self) -> tuple[FinnNode, ...]:
        if self.thresholds is None:
            raise self.without_finn_node(f"it has {self.level_steps + 1:,} levels, which are a multiplication here")
        thresholds = np.broadcast_to(self.thresholds, (self.shape[2], self.thresholds.shape[1]))
        return (finn_thresholding(self.shape[:2], self.input_type, self.output_type, thresholds, self.pe, "in0"),)

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream, count = draw.stream(), draw.one_of([1, 3, 7, 15])
        element = IntType.of_bits(draw.one_of([6, 8, 12]), signed=True)
        channels = stream["shape"][2]
        rows = draw.one_of([1, channels])
        levels = np.sort(draw.random.integers(element.lo, element.hi, (rows, count)))
        return cls(
            "layer", ("x",), ("y",), shape=stream["shape"], input_type=element, output_type=IntType(0, count),
            thresholds=levels, pe=draw.lanes(channels, 32),
        )  # fmt: skip

    def parameters(self) -> dict[str, int]:
        return {
            "Pe": self.lanes,
            "Folds": self.threshold_folds,
            "InputWidth": self.input_type.bits,
            "InputSigned": int(self.input_type.signed),
            "OutputWidth": self.output_type.bits,
        } | self._activation.parameters()

    def memories(self) -> dict[str, Memory]:
        return self._activation.memories()

    def memory_sets(self) -> dict[str, dict[str, Memory]]:
        return self._activation.memory_sets()

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "Beats": self.cycles(),
            "Pe": self.lanes,
            "Folds": self.threshold_folds,
            "InputWidth": self.input_type.bits,
            "InputSigned": self.input_type.signed,
            "OutputWidth": self.output_type.bits,
            "OutputSigned": self.output_type.signed,
        } | self._activation.hls_parameters()

    def hls_tables(self) -> dict[str, Table]:
        return {"thresholds": self._activation.hls_table()}

    @property
    def threshold_folds(self) -> int:
        """Beats after which the thresholds repeat."""
        return 1 if self._rows == 1 else self._rows // self.pe

    @cached_property
    def _activation(self) -> Activation:
        """Of each lane and fold."""
        rows = self.pe * self.threshold_folds
        lo, hi = (np.broadcast_to(end, rows) for end in self.value_range())
        thresholds = None if self.thresholds is None else np.broadcast_to(self.thresholds, (rows, self.level_steps))
        return Activation(
            thresholds, self.level_steps, lo, hi, self.output_type,
            (self.input_type.bits,) * self.pe, self.input_type.signed, self.requantizer,
        ).beside(self.m)  # fmt: skip
