"""MatrixVector: what every matrix-vector-activation unit computes, whatever hardware computes it."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from pipeline.dataflow.bounds import exact_range, range_bits
from pipeline.dataflow.layer import Folding, Memory, Stream, Table
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.random_rows import draw_row
from pipeline.dataflow.registry import kernels
from pipeline.dataflow.requantize import Requantizer
from pipeline.dataflow.roles import Accumulating, Activating
from pipeline.dataflow.signed_digits import csd_digits
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.activation import (
    MOST_TURNS,
    Activation,
    activation_latency,
    add_activation,
    add_turns,
    check_activation,
    levels_of,
    turns_of,
    units_of,
)
from pipeline.kernels.product_pair import product_adders, product_latency, product_width
from pipeline.kernels.threshold_search import search_styles

__all__ = [
    "LARGE_CHANNELS",
    "LARGE_ROWS",
    "MAX_ACCUMULATOR_BITS",
    "RAM_STYLES",
    "RES_TYPES",
    "STYLES",
    "MatrixDemand",
    "MatrixVector",
    "StoredMatrixVector",
    "add_ends",
    "draw_matrix",
    "kind_of",
    "lane_attributes",
    "matrix_demand",
]

MAX_ACCUMULATOR_BITS = 63
RAM_STYLES = ("auto", "distributed", "block", "ultra")
STYLES = ("folded", "unrolled", "sparse", "dsp")
RES_TYPES = {"lut": "folded", "dsp": "dsp"}
"""FINN's resType of a folded unit, what its multipliers are made of, and the style that it is here."""

LARGE_ROWS, LARGE_CHANNELS = (64, 128, 256, 512), (64, 128, 256, 512)  # of matrices such as ResNet-18 has
_ROWS, _CHANNELS = (8, 10, 16, 16, 24, 32, 32, 64), (3, 8, 16, 32, 64)  # and of ResNet-8's, that are drawn
# a float holds every integer up to here, so BLAS computes exact sums as long as no partial sum can exceed it
_EXACT_UP_TO = ((1 << 24, np.float32), (1 << 53, np.float64))
_BLOCK = 1 << 20  # factors of vectors at a time: they stay in the cache
_FEWEST_ROWS = 256  # with fewer vectors at a time, the weights are read too often


@dataclass(frozen=True, eq=False)
class MatrixVector(Accumulating, Activating):
    """weights · vector + bias for each pixel, then output_type.lo + the number of thresholds that the sum reaches.

    `weights` is int64 (MH, MW), `thresholds` int64 (MH, T), non-decreasing along axis 1, or None. `bias` is int64 (MH,) or
    None; the accumulator starts from it. A frame is (OH, OW, MW) in and (OH, OW, MH) out, `pixels` being (OH, OW).
    `accumulator_bits` gives the width of each row's accumulator, two's complement; None is the smallest that is exact for
    all rows. `requantizer`, where there is one, finds in hardware what the thresholds give for every sum that there can
    be; without thresholds it says what the levels are. With neither, the sums themselves go out.

    A beat has so many elements, or sums, of each of `m` pixels side by side. Raises UnsupportedError for what cannot be
    built, VerificationError for a requantizer that is not equal to the thresholds, ConfigError for an M that does not
    divide OW.
    """

    weights: np.ndarray
    input_type: IntType
    output_type: IntType
    pixels: tuple[int, int]
    thresholds: np.ndarray | None = None
    bias: np.ndarray | None = None
    accumulator_bits: tuple[int, ...] | None = None
    requantizer: Requantizer | None = field(default=None, kw_only=True)
    m: int = field(default=1, kw_only=True)

    mem_mode: ClassVar[str]  # FINN's word for where the weights are
    style: ClassVar[str]  # what computes the matrix, one of STYLES
    styles: ClassVar[tuple[str, ...]] = STYLES  # what may

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or 0 in self.weights.shape:
            raise UnsupportedError(f"layer {self.name} has weights of shape {self.weights.shape}; expected (MH, MW).")
        self._check_shapes()
        check_pixels(self.name, self.m, self.pixels[1])
        lo, hi = self.accumulator_range()
        if not self.activates and (int(lo.min()) < self.output_type.lo or int(hi.max()) > self.output_type.hi):
            raise UnsupportedError(
                f"layer {self.name}: its sums lie in [{lo.min()}, {hi.max()}], which does not fit the output type "
                f"[{self.output_type.lo}, {self.output_type.hi}]."
            )
        check_activation(self.name, self.thresholds, self.requantizer, lo, hi, self.output_type)

    def _check_shapes(self) -> None:
        rows = self.mh
        if self.thresholds is not None and (self.thresholds.ndim != 2 or len(self.thresholds) != rows):
            raise UnsupportedError(
                f"layer {self.name} has thresholds of shape {self.thresholds.shape}; expected ({rows}, T)."
            )
        if self.bias is not None and self.bias.shape != (rows,):
            raise UnsupportedError(f"layer {self.name} has a bias of shape {self.bias.shape}; expected ({rows},).")
        bits = self.accumulator_bits
        if bits is not None and len(bits) != rows:
            raise UnsupportedError(f"layer {self.name} has {len(bits)} accumulator widths for its {rows} rows.")
        widest = max(bits if bits is not None else self.exact_accumulator_bits())
        if (bits is not None and min(bits) < 1) or widest > MAX_ACCUMULATOR_BITS:
            raise UnsupportedError(
                f"layer {self.name} asks for accumulators of {widest} bits; 1 to {MAX_ACCUMULATOR_BITS} can be built."
            )

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def mh(self) -> int:
        return len(self.weights)

    @property
    def mw(self) -> int:
        return int(self.weights.shape[1])

    @property
    def vectors(self) -> int:
        """Vectors of a frame that follow each other: of M pixels together."""
        return self.pixels[0] * self.pixels[1] // self.m

    def pixel_of(self, row: int, elements: np.ndarray) -> np.ndarray:
        """The elements themselves: every row sums up the whole vector."""
        return elements

    def value_range(self) -> tuple[np.ndarray, np.ndarray]:
        """The range of the sums of each row."""
        return self.accumulator_range()

    def value_bits(self) -> int:
        """The width of the widest accumulator."""
        return max(self.accumulator_bits or self.exact_accumulator_bits())

    # -- streams ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def lanes_in(self) -> int:
        """Elements of each pixel that a beat of the input carries."""

    @abstractmethod
    def lanes_out(self) -> int:
        """Rows of each pixel that a beat of the output carries."""

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream((*self.pixels, self.mw), self.input_type, self.m * self.lanes_in(), self.m),)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream((*self.pixels, self.mh), self.output_type, self.m * self.lanes_out(), self.m),)

    # -- behaviour --------------------------------------------------------------------------------------------------

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (values,) = inputs
        sums = self._sums(values)
        if not self.activates:
            return (sums.astype(np.int64, copy=False),)
        return (levels_of(sums, self.thresholds, self.requantizer, self.output_type),)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        factors = self._factors
        vectors = values.reshape(-1, self.mw)  # two dimensions: BLAS is not used for more
        sums = np.empty((len(vectors), self.mh), np.int32 if factors.dtype == np.float32 else np.int64)
        rows = max(_BLOCK // self.mw, _FEWEST_ROWS)
        for begin in range(0, len(vectors), rows):
            sums[begin : begin + rows] = vectors[begin : begin + rows].astype(factors.dtype) @ factors
        sums = sums.reshape(*values.shape[:-1], self.mh)
        return sums if self.bias is None else sums + self.bias

    @cached_property
    def _factors(self) -> np.ndarray:
        """The weights (MW, MH) as the type of number in which their sums are exact, and fastest."""
        reach = max(abs(self.input_type.lo), abs(self.input_type.hi)) * int(np.abs(self.weights).sum(axis=1).max())
        number = next((type_ for limit, type_ in _EXACT_UP_TO if reach < limit), np.int64)
        return np.ascontiguousarray(self.weights.T, number)

    # -- folding ----------------------------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def foldings_of(
        cls, layer: MatrixVector, budget: int | None = None, walkers: int | None = None
    ) -> tuple[Folding, ...]:
        """The foldings of the matrix of `layer` in this style.

        Of a sparse one, for each number of lanes in and out the fewest walkers that take no more than `budget` cycles a
        frame, or all that there can be; or as many `walkers` as are given.
        """

    @classmethod
    def foldings_of_pixels(
        cls, layer: MatrixVector, m: int, budget: int | None = None, walkers: int | None = None
    ) -> tuple[Folding, ...]:
        """The `foldings_of` the matrix with `m` pixels side by side, where the rows of pixels have them."""
        height, width = layer.pixels
        if width % m:
            return ()
        return tuple(
            replace(
                folding,
                fields=folding.fields | {"m": m},
                input_lanes=m * folding.input_lanes,
                output_lanes=m * folding.output_lanes,
                input_pixels=m,
                output_pixels=m,
            )
            for folding in cls.foldings_of(replace(layer, pixels=(height, width // m)), budget, walkers)
        )

    @classmethod
    @abstractmethod
    def demand_of(cls, layer: MatrixVector, fields: Mapping[str, int | str], family: str) -> Demand:
        """The demand of the matrix of `layer` in this style, with the `fields` of a folding; weights are in their
        "ram_style", else "auto"."""

    def foldings(self) -> tuple[Folding, ...]:
        return self.foldings_of(self)

    def demand(self, family: str) -> Demand:
        fields = {field: getattr(self, field) for attribute, field in self.finn_attributes.items() if field}
        return self.demand_of(self, fields, family)

    def finn_folding(self) -> dict[str, int | str]:
        style = next(
            ({"resType": kind} for kind, style in RES_TYPES.items() if style == self.style), {"mvau_style": self.style}
        )
        return {**super().finn_folding(), **style, "mem_mode": self.mem_mode}

    def threshold_styles(self) -> dict[str, int]:
        if self.thresholds is None or self.requantizer:
            return {}
        return search_styles(self.level_steps, self.threshold_folds)

    @property
    def products(self) -> int:
        """Of weights and inputs, those with zero included, a frame."""
        return self.weights.size * self.pixels[0] * self.pixels[1]

    def op_and_param_counts(self) -> dict[str, int]:
        narrow, wide = sorted((self.input_type.bits, self.weight_type.bits))
        counts = {
            f"op_mac_{narrow}bx{wide}b": self.products,
            f"param_weight_{self.weight_type.bits}b": self.weights.size,
            "weight_memory_bits": self.weight_memory_bits(),
        }
        if self.thresholds is not None:
            counts[f"param_threshold_{max(self.accumulator_bits or self.exact_accumulator_bits())}b"] = (
                self.thresholds.size
            )
        return counts

    # -- hardware ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def sum_bits(self) -> tuple[int, ...]:
        """The width of the sums in each output lane of a pixel, as thresholds are compared with them."""

    def result_interval(self) -> int:
        """Cycles from a beat of results to the next one, at least."""
        return 1

    @cached_property
    def threshold_turns(self) -> int:
        """In how many turns the lanes of a beat are compared with thresholds: each is a cycle, and of fewer lanes."""
        if not self.activates:
            return 1
        matrix, folds = matrix_demand(self), self.mh // self.lanes_out()
        return turns_of(
            matrix.thresholds,
            folds,
            [bits for bits in self.sum_bits() for _ in range(self.m)],
            self.requantizer,
            matrix.level_bits,
            matrix.output_bits,
            self.result_interval(),
            self.m,
        )

    @property
    def threshold_folds(self) -> int:
        """Turns of results after which the thresholds repeat."""
        return self.mh // self.lanes_out() * self.threshold_turns

    def search_latency(self) -> int:
        """Cycles that the search among the thresholds takes, or what takes its place, and the turns before it."""
        if not self.activates:
            return 0
        return activation_latency(self.level_steps, self.requantizer) + (
            self.threshold_turns if self.threshold_turns > 1 else 0
        )

    def turn_bits(self) -> tuple[int, ...]:
        """The bits of the sums in each lane of a turn, of one pixel: those of all lanes that are there in one turn or another."""
        return tuple(units_of(self.sum_bits(), self.threshold_turns))

    def parameters(self) -> dict[str, int | str]:
        """The parameters of the input, of the weights' type, and of hw/rtl/thresholding.sv at the end."""
        parameters: dict[str, int | str] = {
            "Mw": self.mw,
            "Mh": self.mh,
            "InputWidth": self.input_type.bits,
            "InputSigned": int(self.input_type.signed),
            "OutputWidth": self.output_type.bits,
            "OutputOffset": 0,
            "NumThresholds": 0,
        }
        if self._activation is not None:
            parameters |= self._activation.parameters()
        return parameters

    def memories(self) -> dict[str, Memory]:
        return {} if self._activation is None else self._activation.memories()

    def memory_sets(self) -> dict[str, dict[str, Memory]]:
        return {} if self._activation is None else self._activation.memory_sets()

    def hls_parameters(self) -> dict[str, int | bool | tuple[int, ...]]:
        activation = self._activation
        levels = {"OutputOffset": 0, "NumThresholds": 0, "Requantizes": False}
        return {
            "Vectors": self.vectors,
            "Mw": self.mw,
            "Mh": self.mh,
            "InputWidth": self.input_type.bits,
            "InputSigned": self.input_type.signed,
            "OutputWidth": self.output_type.bits,
            "OutputSigned": self.output_type.signed,
            **(levels if activation is None else activation.hls_parameters()),
            "HasBias": self.bias is not None,
        }

    def hls_thresholds(self) -> Table:
        """What finds levels in C++, (MH / lanes, lanes, entries); row r is in lane r % lanes of fold r // lanes."""
        activation = self._activation_of(self.sum_bits())
        return Table.absent(3) if activation is None else activation.beside(self.m).hls_table()

    @cached_property
    def _activation(self) -> Activation | None:
        """What finds levels in hardware."""
        activation = self._activation_of(self.sum_bits())
        return None if activation is None else activation.beside(self.m)

    def _activation_of(self, widths: tuple[int, ...]) -> Activation | None:
        """That of the sums of a pixel, in lanes of so many bits."""
        if not self.activates:
            return None
        ends = self.accumulator_range()
        return Activation(self.thresholds, self.level_steps, *ends, self.output_type, widths, True, self.requantizer)


def kind_of(style: str) -> type[MatrixVector]:
    """The kernel that computes any matrix in `style`, one of STYLES."""
    kinds = (kind for kind in kernels().values() if issubclass(kind, MatrixVector) and kind.finn_operator == "MVAU")
    return next(kind for kind in kinds if kind.style == style)


def lane_attributes(style: str) -> tuple[str, ...]:
    """FINN's names of what makes a matrix in `style` parallel, and of what FINN has no name for."""
    attributes = kind_of(style).finn_attributes
    return tuple(attribute for attribute, field in attributes.items() if field not in ("", "ram_style"))


@dataclass(frozen=True, eq=False)
class StoredMatrixVector(MatrixVector):
    """A MatrixVector whose weights stand in a memory beside the multipliers.

    `ram_style` is what the memory is made of: `distributed` is LUTs, `block` block RAM, `ultra` UltraRAM, and `auto`
    whichever of LUTs and block RAM synthesis finds cheaper. UltraRAM has no content after configuration (UG573,
    "UltraRAM Resources"): such weights are loaded over the weight stream.

    Raises ConfigError for another `ram_style`.
    """

    ram_style: str = field(default="auto", kw_only=True)

    mem_mode: ClassVar[str] = "internal_decoupled"
    has_load_port: ClassVar[bool] = True
    weight_file: ClassVar[str]  # the parameter that takes the file of the weights

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ram_style not in RAM_STYLES:
            raise ConfigError(
                f"layer {self.name}: ram_style = {self.ram_style}; expected one of {', '.join(RAM_STYLES)}."
            )

    @abstractmethod
    def weight_memory(self) -> Memory:
        """The content of the memory of the weights."""

    @property
    def loads_weights(self) -> bool:
        return self.ram_style == "ultra"

    def loaded_memory(self) -> Memory | None:
        return self.weight_memory() if self.loads_weights else None

    def memories(self) -> dict[str, Memory]:
        weights = {} if self.loads_weights else {self.weight_file: self.weight_memory()}
        return super().memories() | weights

    def parameters(self) -> dict[str, int | str]:
        return super().parameters() | {"RamStyle": self.ram_style}

    def hls_pragmas(self, name: str) -> tuple[str, ...]:
        """The pragmas for memories of weights. Vitis HLS gives UltraRAM no content and loads none: it chooses then."""
        kind = {"distributed": "lutram", "block": "bram"}.get(self.ram_style)
        return (f"bind_storage variable={name}_weights type=rom_np impl={kind}",) if kind else ()


# -- what it takes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MatrixDemand:
    """The figures of a MatrixVector that decide its resources, whatever computes it."""

    rows: int
    columns: int
    input_bits: int
    input_signed: bool
    weight_bits: int
    product_adders: int  # bits of the adders of one product
    product_bits: int
    stages: int  # of a product, each with a register for the sum so far and for both factors
    row_bits: np.ndarray  # of accumulators
    digits: np.ndarray  # signed digits of each row's weights that are not 0
    thresholds: int
    requantizer: Requantizer | None
    level_bits: np.ndarray  # of each row's sum in the requantizer
    bias_bits: int
    output_bits: int


@lru_cache(maxsize=2048)  # layers, and those that may take their place
def matrix_demand(layer: MatrixVector) -> MatrixDemand:
    input_, weight = layer.input_type, layer.weight_type
    return MatrixDemand(
        rows=layer.mh,
        columns=layer.mw,
        input_bits=input_.bits,
        input_signed=input_.signed,
        weight_bits=weight.bits,
        product_adders=product_adders(input_, weight),
        product_bits=product_width(input_, weight),
        stages=product_latency(input_, weight),
        row_bits=np.array(layer.accumulator_bits or layer.exact_accumulator_bits()),
        digits=csd_digits(layer.weights).sum(axis=1),
        thresholds=layer.level_steps,
        requantizer=layer.requantizer,
        level_bits=np.zeros(1) if layer.requantizer is None else layer.requantizer.sum_bits(*layer.accumulator_range()),
        bias_bits=0 if layer.bias is None else int(np.abs(layer.bias).max()).bit_length() + 1,
        output_bits=layer.output_type.bits,
    )


def add_ends(demand: Demand, matrix: MatrixDemand, widths: Sequence[int], interval: int = 1, pixels: int = 1) -> int:
    """Add to `demand` the thresholds of a matrix, in lanes whose sums have `widths` bits and come every `interval` cycles, of so
    many `pixels`, and the output register. Returns the turns of the lanes."""
    ends, turns = _ends(matrix, tuple(widths), min(interval, len(widths), MOST_TURNS), pixels)
    demand.include(ends, 1)
    return turns


@lru_cache(maxsize=8192)  # foldings that differ in SIMD alone have the same
def _ends(matrix: MatrixDemand, widths: tuple[int, ...], most_turns: int, pixels: int) -> tuple[Demand, int]:
    demand = Demand("", defaultdict(float))
    turns, folds = 1, matrix.rows // len(widths)
    level_bits = np.broadcast_to(matrix.level_bits, matrix.rows).repeat(pixels)
    side_by_side = [width for width in widths for _ in range(pixels)]
    if matrix.thresholds:
        given = matrix.requantizer, matrix.level_bits, matrix.output_bits
        turns = turns_of(matrix.thresholds, folds, side_by_side, *given, most_turns, pixels)
        units = units_of(side_by_side, turns)
        add_activation(demand, matrix.thresholds, folds * turns, units, given[0], level_bits, given[2])
    add_turns(demand, side_by_side, turns, matrix.output_bits)
    return demand, turns


# -- matrices at random -------------------------------------------------------------------------------------------------


def draw_matrix(
    draw: Draw, most_digits: int, heights: Sequence[int] = _ROWS, channels: Sequence[int] = _CHANNELS
) -> dict[str, Any]:
    """The fields that all MatrixVectors have: weights within the bound of some accumulator, or without one, of at most
    so many signed digits."""
    while True:
        element = draw.element()
        rows = draw.one_of(heights)
        columns = draw.one_of(channels) * draw.one_of([1, 9, 9])
        weights = _draw_weights(draw, rows, columns, element)
        if 0 < csd_digits(weights).sum() <= most_digits:
            break
    bias = draw.random.integers(-60, 60, rows) if draw.random.random() < 0.15 else None
    lows, highs = exact_range(weights, element, bias)
    lo, hi = np.array(lows), np.array(highs)
    count = draw.one_of([0, 1, 3, 7, 15, 15, 15])
    return {
        "weights": weights,
        "input_type": element,
        "output_type": IntType(0, count) if count else IntType(int(lo.min()), int(hi.max())),
        "pixels": (4, 4),
        "thresholds": np.sort(draw.random.integers(lo[:, None], hi[:, None] + 2, (rows, count))) if count else None,
        "bias": bias,
        "accumulator_bits": (max(map(range_bits, lows, highs)),) * rows,
    }


def _draw_weights(draw: Draw, rows: int, columns: int, element: IntType) -> np.ndarray:
    largest = (1 << (draw.one_of([2, 3, 4, 4, 4, 6, 8]) - 1)) - 1
    if draw.random.random() < 0.3:
        return np.clip(np.rint(draw.random.laplace(0, largest / 3, (rows, columns))), -largest, largest).astype(int)
    reach = max(abs(element.lo), element.hi)
    bound = max(((1 << (draw.one_of([10, 11, 12, 13, 14, 16]) - 1)) - 1) // reach, 2)
    drawn = [draw_row(draw.random, columns, bound, 0.3, centred=False, largest=largest) for _ in range(rows)]
    return np.stack(drawn)
