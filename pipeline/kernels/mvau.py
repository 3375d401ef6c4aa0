"""MVAU, the matrix-vector-activation unit: integer weights times a vector, plus bias, then thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.accumulators.bounds import exact_range, range_bits
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.base import Kernel, Memory, Shape
from pipeline.kernels.thresholding import SearchTable, check_thresholds, count_thresholds, search_stages

__all__ = ["MAX_ACCUMULATOR_BITS", "MVAU"]

MAX_ACCUMULATOR_BITS = 63
# a float holds every integer up to here, so BLAS computes exact sums as long as no partial sum can exceed it
_EXACT_UP_TO = ((1 << 24, np.float32), (1 << 53, np.float64))


@dataclass(frozen=True, eq=False)
class MVAU(Kernel):
    """weights · vector + bias for each pixel, then output_type.lo + the number of thresholds that the sum reaches.

    `weights` is int64 (MH, MW), `thresholds` int64 (MH, T), non-decreasing along axis 1, or None: then the sums
    themselves go out. `bias` is int64 (MH,) or None; the accumulator starts from it. A frame is (OH, OW, MW) in and
    (OH, OW, MH) out, `pixels` being (OH, OW). `simd` elements a beat go in and `pe` come out; row r is computed by lane
    r % pe in fold r // pe, column c by multiplier c % simd of the lane in fold c // simd, as in FINN.
    `accumulator_bits` gives the width of each row's accumulator, two's complement; None is the smallest that is exact
    for all rows. A lane is as wide as the widest of its rows.

    Raises ConfigError for a folding that does not divide, UnsupportedError for what cannot be built.
    """

    weights: np.ndarray
    input_type: IntType
    output_type: IntType
    pixels: tuple[int, int]
    thresholds: np.ndarray | None = None
    bias: np.ndarray | None = None
    pe: int = 1
    simd: int = 1
    accumulator_bits: tuple[int, ...] | None = None

    op_type: ClassVar[str] = "MVAU"
    module: ClassVar[str] = "mvau"

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or 0 in self.weights.shape:
            raise UnsupportedError(f"layer {self.name} has weights of shape {self.weights.shape}; expected (MH, MW).")
        self._check_shapes()
        self._check_folding()
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

    def _check_folding(self) -> None:
        for what, fold, size in (("PE", self.pe, self.mh), ("SIMD", self.simd, self.mw)):
            if fold < 1 or size % fold:
                of = "rows (MH)" if what == "PE" else "columns (MW)"
                raise ConfigError(
                    f"layer {self.name}: {what} = {fold} does not divide its {size} {of}; choose a divisor of {size}."
                )

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def mh(self) -> int:
        return self.weights.shape[0]

    @property
    def mw(self) -> int:
        return self.weights.shape[1]

    @property
    def neuron_folds(self) -> int:
        """MH / PE."""
        return self.mh // self.pe

    @property
    def synapse_folds(self) -> int:
        """MW / SIMD."""
        return self.mw // self.simd

    @property
    def weight_type(self) -> IntType:
        """The smallest signed type that holds the weights."""
        return IntType(min(int(self.weights.min()), -1), max(int(self.weights.max()), 0))

    # -- accumulators -----------------------------------------------------------------------------------------------

    def accumulator_range(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and largest sum of each row, int64 of (MH,), exact over all inputs of `input_type`."""
        lo, hi = exact_range(self.weights, self.input_type, self.bias)
        return np.array(lo), np.array(hi)

    def exact_accumulator_bits(self) -> tuple[int, ...]:
        """The fewest bits, two's complement, that hold `accumulator_range` of each row."""
        return tuple(map(range_bits, *exact_range(self.weights, self.input_type, self.bias)))

    def lane_accumulator_bits(self) -> tuple[int, ...]:
        """The accumulator width of each of the PE lanes: that of the widest row it computes."""
        if self.accumulator_bits is None:
            return (max(self.exact_accumulator_bits()),) * self.pe
        return tuple(max(self.accumulator_bits[lane :: self.pe]) for lane in range(self.pe))

    # -- streams ----------------------------------------------------------------------------------------------------

    def input_shapes(self) -> tuple[Shape, ...]:
        return ((*self.pixels, self.mw),)

    def output_shapes(self) -> tuple[Shape, ...]:
        return ((*self.pixels, self.mh),)

    def input_types(self) -> tuple[IntType, ...]:
        return (self.input_type,)

    def output_types(self) -> tuple[IntType, ...]:
        return (self.output_type,)

    def input_lanes(self) -> tuple[int, ...]:
        return (self.simd,)

    def output_lanes(self) -> tuple[int, ...]:
        return (self.pe,)

    # -- behaviour --------------------------------------------------------------------------------------------------

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (values,) = inputs
        sums = self._sums(values)
        if self.thresholds is None:
            return (sums,)
        return (self.output_type.lo + count_thresholds(sums, self.thresholds),)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        reach = max(abs(self.input_type.lo), abs(self.input_type.hi)) * int(np.abs(self.weights).sum(axis=1).max())
        number = next((type_ for limit, type_ in _EXACT_UP_TO if reach < limit), np.int64)
        vectors = values.reshape(-1, self.mw).astype(number)  # two dimensions: BLAS is not used for more
        sums = (vectors @ self.weights.T.astype(number)).astype(np.int64).reshape(*values.shape[:-1], self.mh)
        return sums if self.bias is None else sums + self.bias

    def cycles(self) -> int:
        return self.pixels[0] * self.pixels[1] * self.neuron_folds * self.synapse_folds

    def latency(self) -> int:
        """From the last beat of a vector to the first of its results, through the stages that the sum below names."""
        products = (_digits(self._recoded_type()) + 1) // 2
        tree = (self.simd - 1).bit_length() // 2
        search = 0 if self.thresholds is None else search_stages(self.thresholds.shape[1])
        replay = int(self.neuron_folds > 1)
        operands = accumulator = output = 1
        return replay + operands + products + tree + accumulator + search + output

    def inputs_needed(self) -> np.ndarray:
        vectors = np.arange(1, self.pixels[0] * self.pixels[1] + 1, dtype=np.int64)
        return np.repeat(vectors * self.synapse_folds, self.neuron_folds)

    # -- hardware ---------------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, int]:
        parameters = {
            "Mw": self.mw,
            "Mh": self.mh,
            "Simd": self.simd,
            "Pe": self.pe,
            "InputWidth": self.input_type.bits,
            "InputSigned": int(self.input_type.signed),
            "WeightWidth": self.weight_type.bits,
            "RecodeInput": int(self._recodes_input()),
            "ProductWidth": self._product_width(),
            "AccWidths": pack_word(self.lane_accumulator_bits(), 8),
            "OutputWidth": self.output_type.bits,
            "OutputOffset": pack_word([self.output_type.lo], self.output_type.bits)
            if self.thresholds is not None
            else 0,
            "NumThresholds": 0,
            "HasBias": int(self.bias is not None),
        }
        if self.thresholds is not None:
            table = self._table()
            parameters |= {
                "NumThresholds": self.thresholds.shape[1],
                "ThresholdWidth": table.memory.width,
                "CompareWidths": pack_word(table.widths, 8),
            }
        if self.bias is not None:
            parameters["BiasWidth"] = self._bias_width()
        return parameters

    def memories(self) -> dict[str, Memory]:
        memories = {"WeightFile": self._weight_memory()}
        if self.thresholds is not None:
            memories["ThresholdFile"] = self._table().memory
        if self.bias is not None:
            width = self._bias_width()
            words = tuple(pack_word(row, width) for row in self.bias.reshape(self.neuron_folds, self.pe))
            memories["BiasFile"] = Memory(width * self.pe, words)
        return memories

    def _recodes_input(self) -> bool:
        """Whether the multipliers are smaller if they recode the input and not the weight: rows times bits of a row."""
        weight, input_ = self.weight_type, self.input_type
        return _digits(input_) * (weight.bits + 2) < _digits(weight) * (input_.bits + 2)

    def _recoded_type(self) -> IntType:
        return self.input_type if self._recodes_input() else self.weight_type

    def _product_width(self) -> int:
        """Bits, two's complement, of every product of an input and a weight."""
        weight = IntType.of_bits(self.weight_type.bits, signed=True)
        input_ = IntType.of_bits(self.input_type.bits, signed=self.input_type.signed)
        ends = [a * b for a in (weight.lo, weight.hi) for b in (input_.lo, input_.hi)]
        return IntType(min(ends), max(ends)).bits

    def _weight_memory(self) -> Memory:
        """One word for each pair of folds, neuron fold first: lane by lane, the SIMD weights of the lane."""
        width = self.weight_type.bits
        folded = self.weights.reshape(self.neuron_folds, self.pe, self.synapse_folds, self.simd).swapaxes(1, 2)
        words = tuple(pack_word(word, width) for word in folded.reshape(-1, self.pe * self.simd))
        return Memory(width * self.pe * self.simd, words)

    def _bias_width(self) -> int:
        assert self.bias is not None
        return IntType(min(int(self.bias.min()), -1), max(int(self.bias.max()), 0)).bits

    def _table(self) -> SearchTable:
        assert self.thresholds is not None
        lo, hi = self.accumulator_range()
        return SearchTable.build(self.thresholds, lo, hi, self.pe, self.lane_accumulator_bits(), signed=True)


def _digits(factor: IntType) -> int:
    """Radix-4 digits, in -2 … 2, of a recoded factor: an unsigned one needs a digit for the sign it lacks."""
    return (factor.bits + 1) // 2 if factor.signed else factor.bits // 2 + 1
