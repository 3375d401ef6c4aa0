"""UnrolledMVAU: a matrix-vector-activation unit of which the weights are the circuit, a graph of adders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.adder_graph.graph import AdderGraph
from pipeline.adder_graph.module import AdderGraphModule
from pipeline.adder_graph.solver import MORE_LEVELS, adder_graph_of
from pipeline.dataflow.layer import Companion, Folding, Generated, Table, Wire
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.rising import running_max
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, VerificationError
from pipeline.kernels.activation import activation_latency
from pipeline.kernels.matrix_vector import MatrixVector, add_ends, draw_matrix, matrix_demand

__all__ = ["UnrolledMVAU"]


@dataclass(frozen=True, eq=False)
class UnrolledMVAU(MatrixVector):
    """A MatrixVector that takes a vector in `digits` cycles, whole vectors in and all rows out, or M of them side by side.

    Elements go through the graph in `digits` parts of as many bits each; 1 is a vector a cycle. `adders` and `results`
    are the AdderGraph, for digits of `digit_type`; both None has it found and proven, with ways of up to `more_levels` adders
    more than there must be. Every node of the graph is as wide
    as its own interval; `accumulator_bits` is what sums are kept in. At most `adders_per_stage` adders of the graph, or of
    a requantizer, stand between two registers.

    Layers of one digit may make one pipeline, with one buffer at its end. One that `pushes` has none of its own: its reader
    takes a result in the cycle in which it comes. `ahead` are the cycles from the input of the first of them to the input
    of this one; 0 is the first.

    Raises ConfigError for digits that the elements do not have, UnsupportedError for what cannot be built,
    VerificationError for a graph that does not multiply by `weights`.
    """

    digits: int = 1
    adders: np.ndarray | None = field(default=None, repr=False)
    results: np.ndarray | None = field(default=None, repr=False)
    more_levels: int = MORE_LEVELS
    adders_per_stage: int = 1
    pushes: bool = False
    ahead: int = 0

    op_type: ClassVar[str] = "UnrolledMVAU"
    module: ClassVar[str] = "unrolled_mvau"
    finn_operator: ClassVar[str] = "MVAU"
    finn_attributes: ClassVar[Mapping[str, str]] = {"digits": "digits", "M": "m"}
    lut_purpose: ClassVar[str] = "accumulators"
    style: ClassVar[str] = "unrolled"
    mem_mode: ClassVar[str] = "internal_embedded"
    has_companion: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        bits = self.input_type.bits
        if not 1 <= self.digits <= bits or self.digits * (-(-bits // self.digits) - 1) >= bits:
            raise ConfigError(
                f"layer {self.name}: its elements of {bits} bits cannot be taken in {self.digits} digits."
            )
        if self.adders_per_stage < 1:
            raise ConfigError(f"layer {self.name}: adders_per_stage = {self.adders_per_stage}; it must be at least 1.")
        if self.digits > 1 and (self.pushes or self.ahead):
            raise ConfigError(
                f"layer {self.name}: its vectors come in {self.digits} digits, so it is in no pipeline of several."
            )
        if self.adders is None or self.results is None:
            graph = adder_graph_of(self.weights, self.digit_type, self.more_levels)
            object.__setattr__(self, "adders", graph.adders)
            object.__setattr__(self, "results", graph.results)
        elif not np.array_equal(self.graph.matrix(), self.weights):
            raise VerificationError(f"layer {self.name} has a graph of adders that does not multiply by its weights.")

    # -- the graph --------------------------------------------------------------------------------------------------

    @property
    def digit_bits(self) -> int:
        return -(-self.input_type.bits // self.digits)

    @property
    def digit_type(self) -> IntType:
        """The type of an input of the graph: the element itself, or an unsigned digit of it."""
        return self.input_type if self.digits == 1 else IntType.of_bits(self.digit_bits, signed=False)

    @property
    def graph(self) -> AdderGraph:
        assert self.adders is not None and self.results is not None
        return AdderGraph(self.mw, self.adders, self.results)

    @cached_property
    def graph_module(self) -> AdderGraphModule:
        return AdderGraphModule(self.graph, self.digit_type, self.adders_per_stage)

    # -- streams ----------------------------------------------------------------------------------------------------

    def lanes_in(self) -> int:
        return self.mw

    def lanes_out(self) -> int:
        return self.mh

    # -- behaviour --------------------------------------------------------------------------------------------------

    def cycles(self) -> int:
        return self.vectors * self.digits

    def latency(self) -> int:
        """From the cycle in which a vector is taken to that of its results, through the stages that the sum names."""
        vector = self.digits + 1 if self.digits > 1 else 0  # a register, all digits but the first, a register of digits
        output = 0 if self.pushes or self.adders_per_stage > 1 else 2
        return vector + self.graph_module.latency + int(self._accumulates()) + self.search_latency() + output

    def search_latency(self) -> int:
        return activation_latency(self.level_steps, self.requantizer, self.adders_per_stage) if self.activates else 0

    def inputs_needed(self) -> np.ndarray:
        return np.arange(1, self.vectors + 1, dtype=np.int64)

    @property
    def cycles_a_beat(self) -> int:
        return self.digits

    def beat_times(
        self, arrivals: np.ndarray, frames: int, spacing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        taken = running_max(arrivals, np.arange(len(arrivals), dtype=np.int64) * self.digits)
        return taken + self.latency(), taken

    # -- folding ----------------------------------------------------------------------------------------------------

    @classmethod
    def foldings_of(
        cls, layer: MatrixVector, budget: int | None = None, walkers: int | None = None
    ) -> tuple[Folding, ...]:
        """The numbers of digits that differ in what a digit is."""
        pixels, bits = layer.pixels[0] * layer.pixels[1], layer.input_type.bits
        return tuple(
            Folding({"digits": digits}, layer.mw, layer.mh, pixels * digits, cls.style)
            for digits in sorted({-(-bits // width) for width in range(1, bits + 1)})
        )

    @classmethod
    def demand_of(cls, layer: MatrixVector, fields: Mapping[str, Any], family: str) -> Demand:
        demand, matrix, digits = Demand(cls.op_type), matrix_demand(layer), fields["digits"]
        bits = -(-matrix.input_bits // digits)
        terms = matrix.digits[matrix.digits > 0]
        adders = float((terms - 1).sum())
        depth = float(((terms - 1) * np.log2(np.maximum(terms, 1))).sum())
        dense = adders / matrix.columns / max(len(terms), 1)  # how much there is for rows to share
        demand.add(
            adders=adders,
            adder_bits=adders * bits,
            adder_growth=depth,
            shared=adders * dense,
            inputs=matrix.columns * bits,
            results=float(np.log2(np.maximum(terms, 1)).sum()) + len(terms) * bits,
        )
        if digits > 1:
            demand.add(accumulators=matrix.row_bits.sum(), vector=matrix.columns * matrix.input_bits)
        elif matrix.bias_bits:
            demand.add(accumulators=matrix.row_bits.sum())
        add_ends(demand, matrix, matrix.row_bits.tolist())
        return demand.times(int(fields.get("m", 1)))

    def demand(self, family: str) -> Demand:
        demand = super().demand(family)
        if self.adders_per_stage > 1:  # what is fitted has a register after every adder
            deepest = AdderGraphModule(self.graph, self.digit_type)
            demand.ff += self.graph_module.register_bits - deepest.register_bits
        return demand

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        matrix = draw_matrix(draw, 3000)
        bits = matrix["input_type"].bits
        digits = draw.one_of(sorted({1, -(-bits // 2), bits}))
        return cls("layer", ("x",), ("y",), **matrix, digits=digits)

    def parallelism(self) -> tuple[str, str]:
        """All rows at once, of all columns, a digit of each in a cycle, of M pixels."""
        pixels = f", {self.m} pixels" if self.m > 1 else ""
        return f"{self.mh}, unrolled{pixels}", f"{self.mw} × {self.digit_bits} bits"

    # -- hardware ---------------------------------------------------------------------------------------------------

    def lane_accumulator_bits(self) -> tuple[int, ...]:
        """The accumulator width of each row, which is a lane."""
        return self.accumulator_bits or self.exact_accumulator_bits()

    def starts(self) -> np.ndarray:
        """The start value of each accumulator: the bias, less what unsigned digits of signed elements add. (MH,)"""
        bias = np.zeros(self.mh, np.int64) if self.bias is None else self.bias
        if self.digits == 1 or not self.input_type.signed:
            return bias
        unsigned: np.ndarray = bias - (self.weights.sum(axis=1) << (self.input_type.bits - 1))
        return unsigned

    def _accumulates(self) -> bool:
        return self.digits > 1 or bool(self.starts().any())

    def sum_bits(self) -> tuple[int, ...]:
        return self.lane_accumulator_bits()

    @property
    def alone(self) -> Self:
        return replace(self, pushes=False, ahead=0) if self.pushes or self.ahead else self

    def parameters(self) -> dict[str, int | str]:
        widths = self.lane_accumulator_bits() * self.m
        starts = np.tile(self.starts(), self.m)
        start_width = IntType(min(int(starts.min()), -1), max(int(starts.max()), 0)).bits
        return super().parameters() | {
            "Digits": self.digits,
            "DigitWidth": self.digit_bits,
            "GraphLatency": self.graph_module.latency,
            "ResultWidth": self.graph_module.result_bits,
            "AccWidths": pack_word(widths, 8),
            "LaneWidth": max(widths),
            "Mw": self.m * self.mw,
            "Mh": self.m * self.mh,
            "HasStart": int(starts.any()),
            "StartWidth": start_width,
            "Starts": pack_word(starts, start_width),
            "AddersPerStage": self.adders_per_stage,
            "Pushes": int(self.pushes),
            "Ahead": self.ahead,
        }

    def hls_parameters(self) -> dict[str, int | bool | tuple[int, ...]]:
        return super().hls_parameters() | {
            "Digits": self.digits,
            "DigitWidth": self.digit_bits,
            "acc_width": self.lane_accumulator_bits() * self.m,
            "Accumulators": self.mh,
            "Pixels": self.m,
            "HasStart": bool(self.starts().any()),
        }

    def hls_tables(self) -> dict[str, Table]:
        starts = Table.absent(2)
        if self.starts().any():
            digits = np.stack([self.starts() >> (digit * self.digit_bits) for digit in range(self.digits)])
            digits[:-1] &= (1 << self.digit_bits) - 1
            starts = Table(digits, IntType(min(int(digits.min()), -1), max(int(digits.max()), 0)))
        return {"starts": starts, "thresholds": self.hls_thresholds()}

    def hls_companion(self, name: str) -> Generated:
        return self.graph_module.hls(name)

    def companion(self, name: str) -> Companion:
        module = self.graph_module
        return Companion(
            module.rtl(name),
            (
                Wire(self.mw * self.digit_bits, "graph_inputs_o", "inputs_i"),
                Wire(self.mh * module.result_bits, "graph_results_i", "results_o"),
            ),
            self.m,
        )
