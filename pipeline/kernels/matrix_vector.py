"""MatrixVector: what every matrix-vector-activation unit computes, whatever hardware computes it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from pipeline.dataflow.bounds import exact_range, range_bits
from pipeline.dataflow.layer import Folding, Layer, Memory, Stream, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.random_rows import draw_row
from pipeline.dataflow.registry import kernels
from pipeline.dataflow.signed_digits import csd_digits
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.product_pair import product_adders, product_latency, product_width
from pipeline.kernels.thresholding import (
    SearchTable,
    add_search,
    check_thresholds,
    count_thresholds,
    search_stages,
    sorted_table,
)

__all__ = [
    "LARGE_CHANNELS",
    "LARGE_ROWS",
    "MAX_ACCUMULATOR_BITS",
    "RAM_STYLES",
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
STYLES = ("folded", "unrolled", "sparse")
LARGE_ROWS, LARGE_CHANNELS = (64, 128, 256, 512), (64, 128, 256, 512)  # of matrices such as ResNet-18 has
_ROWS, _CHANNELS = (8, 10, 16, 16, 24, 32, 32, 64), (3, 8, 16, 32, 64)  # and of ResNet-8's, that are drawn
# a float holds every integer up to here, so BLAS computes exact sums as long as no partial sum can exceed it
_EXACT_UP_TO = ((1 << 24, np.float32), (1 << 53, np.float64))
_BLOCK = 1 << 20  # factors of vectors at a time: they stay in the cache
_FEWEST_ROWS = 256  # with fewer vectors at a time, the weights are read too often


@dataclass(frozen=True, eq=False)
class MatrixVector(Layer):
    """weights · vector + bias for each pixel, then output_type.lo + the number of thresholds that the sum reaches.

    `weights` is int64 (MH, MW), `thresholds` int64 (MH, T), non-decreasing along axis 1, or None: then the sums
    themselves go out. `bias` is int64 (MH,) or None; the accumulator starts from it. A frame is (OH, OW, MW) in and
    (OH, OW, MH) out, `pixels` being (OH, OW). `accumulator_bits` gives the width of each row's accumulator, two's
    complement; None is the smallest that is exact for all rows.

    Raises UnsupportedError for what cannot be built.
    """

    weights: np.ndarray
    input_type: IntType
    output_type: IntType
    pixels: tuple[int, int]
    thresholds: np.ndarray | None = None
    bias: np.ndarray | None = None
    accumulator_bits: tuple[int, ...] | None = None

    has_overflow: ClassVar[bool] = True
    mem_mode: ClassVar[str]  # FINN's word for where the weights are
    style: ClassVar[str]  # what computes the matrix, one of STYLES
    styles: ClassVar[tuple[str, ...]] = STYLES  # what may

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or 0 in self.weights.shape:
            raise UnsupportedError(f"layer {self.name} has weights of shape {self.weights.shape}; expected (MH, MW).")
        self._check_shapes()
        lo, hi = self.accumulator_range()
        if self.thresholds is not None:
            check_thresholds(self.name, self.thresholds, self.output_type)
        elif int(lo.min()) < self.output_type.lo or int(hi.max()) > self.output_type.hi:
            raise UnsupportedError(
                f"layer {self.name}: its sums lie in [{lo.min()}, {hi.max()}], which does not fit the output type "
                f"[{self.output_type.lo}, {self.output_type.hi}]."
            )

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
    def weight_type(self) -> IntType:
        """The smallest signed type that holds the weights."""
        return IntType(min(int(self.weights.min()), -1), max(int(self.weights.max()), 0))

    # -- accumulators -----------------------------------------------------------------------------------------------

    def accumulator_range(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and largest sum of each row, int64 of (MH,), exact over all inputs of `input_type`."""
        lo, hi = self._ends
        return np.array(lo), np.array(hi)

    def exact_accumulator_bits(self) -> tuple[int, ...]:
        """The fewest bits, two's complement, that hold `accumulator_range` of each row."""
        return tuple(map(range_bits, *self._ends))

    @cached_property
    def _ends(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return exact_range(self.weights, self.input_type, self.bias)

    @abstractmethod
    def lane_accumulator_bits(self) -> tuple[int, ...]:
        """The width of each accumulator; row r is summed up by the r-th of them, modulo how many there are."""

    # -- streams ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def lanes_in(self) -> int:
        """Elements that a beat of the input carries."""

    @abstractmethod
    def lanes_out(self) -> int:
        """Rows that a beat of the output carries."""

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream((*self.pixels, self.mw), self.input_type, self.lanes_in()),)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream((*self.pixels, self.mh), self.output_type, self.lanes_out()),)

    # -- behaviour --------------------------------------------------------------------------------------------------

    def pixel_of(self, vector: np.ndarray) -> np.ndarray:
        """The pixel of the input of which every row sees `vector`, (MW,)."""
        return vector

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (values,) = inputs
        sums = self._sums(values)
        if self.thresholds is None:
            return (sums.astype(np.int64, copy=False),)
        return (self.output_type.lo + count_thresholds(sums, self.thresholds),)

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

    def in_style(self, style: str) -> tuple[type[MatrixVector], MatrixVector]:
        """The kernel that computes the layer in `style`, one of its `styles`, and the layer with the matrix as that kernel
        takes it."""
        return kind_of(style), self

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
    @abstractmethod
    def demand_of(cls, layer: MatrixVector, fields: Mapping[str, int | str], family: str) -> Demand:
        """The demand of the matrix of `layer` in this style, with the `fields` of a folding; weights are in their
        "ram_style", else "auto"."""

    def foldings(self) -> tuple[Folding, ...]:
        return self.foldings_of(self)

    def demand(self, family: str) -> Demand:
        fields = {field: getattr(self, field) for attribute, field in self.finn_attributes.items() if field}
        return self.demand_of(self, fields, family)

    # -- hardware ---------------------------------------------------------------------------------------------------

    def weight_memory_bits(self) -> int:
        """Bits that the weights take in memories, with what says where each belongs; 0 where they are the circuit."""
        return 0

    @abstractmethod
    def sum_bits(self) -> tuple[int, ...]:
        """The width of the sums in each output lane, as thresholds are compared with them."""

    @property
    def threshold_folds(self) -> int:
        """Beats of results after which the thresholds repeat."""
        return self.mh // self.lanes_out()

    def search_latency(self) -> int:
        """Cycles that the search among the thresholds takes."""
        return 0 if self.thresholds is None else search_stages(self.thresholds.shape[1])

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
        if self.thresholds is not None:
            parameters |= {
                "NumThresholds": self.thresholds.shape[1],
                "CompareWidths": pack_word(self._search_table.widths, 8),
                "OutputOffset": pack_word([self.output_type.lo], self.output_type.bits),
            }
        return parameters

    def memory_sets(self) -> dict[str, dict[str, Memory]]:
        return {} if self.thresholds is None else {"ThresholdFiles": self._search_table.memories}

    def hls_parameters(self) -> dict[str, int | bool | tuple[int, ...]]:
        thresholds = self.thresholds
        return {
            "Vectors": self.pixels[0] * self.pixels[1],
            "Mw": self.mw,
            "Mh": self.mh,
            "InputWidth": self.input_type.bits,
            "InputSigned": self.input_type.signed,
            "OutputWidth": self.output_type.bits,
            "OutputSigned": self.output_type.signed,
            "OutputOffset": 0 if thresholds is None else self.output_type.lo,
            "NumThresholds": 0 if thresholds is None else thresholds.shape[1],
            "HasBias": self.bias is not None,
        }

    def hls_thresholds(self) -> Table:
        """The thresholds (MH / lanes, lanes, entries); row r is in lane r % lanes of fold r // lanes."""
        if self.thresholds is None:
            return Table.absent(3)
        lanes = self.lanes_out()
        return sorted_table(self.thresholds, *self.accumulator_range(), lanes)

    @cached_property
    def _search_table(self) -> SearchTable:
        assert self.thresholds is not None
        lanes = self.lanes_out()
        return SearchTable.build(self.thresholds, *self.accumulator_range(), lanes, self.sum_bits(), signed=True)


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


@dataclass(frozen=True)
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
    bias_bits: int
    output_bits: int


@lru_cache(maxsize=256)
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
        thresholds=0 if layer.thresholds is None else layer.thresholds.shape[1],
        bias_bits=0 if layer.bias is None else int(np.abs(layer.bias).max()).bit_length() + 1,
        output_bits=layer.output_type.bits,
    )


def add_ends(demand: Demand, matrix: MatrixDemand, widths: Sequence[int]) -> None:
    """Add to `demand` the thresholds of a matrix, in lanes whose sums have `widths` bits, and the output register."""
    if matrix.thresholds:
        add_search(demand, matrix.thresholds, matrix.rows // len(widths), widths)
    demand.add(outputs=len(widths) * matrix.output_bits)


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
