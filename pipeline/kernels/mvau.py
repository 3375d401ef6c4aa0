"""MVAU, the matrix-vector-activation unit, folded: multipliers that take turns with the weights of a dense matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.dataflow.layer import Memory, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError
from pipeline.kernels.matrix_vector import StoredMatrixVector
from pipeline.kernels.product_pair import product_latency, product_width, recodes_input

__all__ = ["MVAU"]


@dataclass(frozen=True, eq=False)
class MVAU(StoredMatrixVector):
    """A StoredMatrixVector of which `simd` elements a beat go in and `pe` come out.

    Row r is computed by lane r % pe in fold r // pe, column c by multiplier c % simd of the lane in fold c // simd, as in
    FINN. A lane's accumulator is as wide as the widest of its rows.

    Raises ConfigError for a folding that does not divide, UnsupportedError for what cannot be built.
    """

    pe: int = 1
    simd: int = 1

    op_type: ClassVar[str] = "MVAU"
    module: ClassVar[str] = "mvau"
    weight_file: ClassVar[str] = "WeightFile"

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, fold, size in (("PE", self.pe, self.mh), ("SIMD", self.simd, self.mw)):
            if fold < 1 or size % fold:
                of = "rows (MH)" if what == "PE" else "columns (MW)"
                raise ConfigError(
                    f"layer {self.name}: {what} = {fold} does not divide its {size} {of}; choose a divisor of {size}."
                )

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def neuron_folds(self) -> int:
        """MH / PE."""
        return self.mh // self.pe

    @property
    def synapse_folds(self) -> int:
        """MW / SIMD."""
        return self.mw // self.simd

    def lane_accumulator_bits(self) -> tuple[int, ...]:
        """The accumulator width of each of the PE lanes: that of the widest row it computes."""
        if self.accumulator_bits is None:
            return (max(self.exact_accumulator_bits()),) * self.pe
        return tuple(max(self.accumulator_bits[lane :: self.pe]) for lane in range(self.pe))

    # -- streams ----------------------------------------------------------------------------------------------------

    def lanes_in(self) -> int:
        return self.simd

    def lanes_out(self) -> int:
        return self.pe

    # -- behaviour --------------------------------------------------------------------------------------------------

    def cycles(self) -> int:
        return self.pixels[0] * self.pixels[1] * self.neuron_folds * self.synapse_folds

    def latency(self) -> int:
        """From the last beat of a vector to the first of its results, through the stages that the sum below names."""
        products = product_latency(self.input_type, self.weight_type)
        tree = (self.simd - 1).bit_length() // 2
        replay = int(self.neuron_folds > 1)
        operands = accumulator = 1
        output = 2
        return replay + operands + products + tree + accumulator + self.search_latency() + output

    def inputs_needed(self) -> np.ndarray:
        vectors = np.arange(1, self.pixels[0] * self.pixels[1] + 1, dtype=np.int64)
        return np.repeat(vectors * self.synapse_folds, self.neuron_folds)

    # -- hardware ---------------------------------------------------------------------------------------------------

    def sum_bits(self) -> tuple[int, ...]:
        return self.lane_accumulator_bits()

    def parameters(self) -> dict[str, int | str]:
        parameters = super().parameters() | {
            "Simd": self.simd,
            "Pe": self.pe,
            "WeightWidth": self.weight_type.bits,
            "RecodeInput": int(recodes_input(self.input_type, self.weight_type)),
            "ProductWidth": product_width(self.input_type, self.weight_type),
            "AccWidths": pack_word(self.lane_accumulator_bits(), 8),
            "HasBias": int(self.bias is not None),
        }
        if self.bias is not None:
            parameters["BiasWidth"] = self._bias_width()
        return parameters

    def memories(self) -> dict[str, Memory]:
        memories = super().memories()
        if self.bias is not None:
            width = self._bias_width()
            words = tuple(pack_word(row, width) for row in self.bias.reshape(self.neuron_folds, self.pe))
            memories["BiasFile"] = Memory(width * self.pe, words)
        return memories

    def weight_memory_bits(self) -> int:
        return self.weights.size * self.weight_type.bits

    def weight_memory(self) -> Memory:
        """One word for each pair of folds, neuron fold first: lane by lane, the SIMD weights of the lane."""
        width = self.weight_type.bits
        words = tuple(pack_word(word, width) for word in self._folded_weights().reshape(-1, self.pe * self.simd))
        return Memory(width * self.pe * self.simd, words)

    def hls_parameters(self) -> dict[str, int | bool | tuple[int, ...]]:
        return super().hls_parameters() | {
            "Simd": self.simd,
            "Pe": self.pe,
            "WeightWidth": self.weight_type.bits,
            "acc_width": self.lane_accumulator_bits(),
            "Accumulators": self.pe,
        }

    def hls_tables(self) -> dict[str, Table]:
        weights = self._folded_weights().reshape(-1, self.pe, self.simd)
        if self.bias is None:
            biases = Table.absent(2)
        else:
            biases = Table(
                self.bias.reshape(self.neuron_folds, self.pe), IntType.of_bits(self._bias_width(), signed=True)
            )
        return {"weights": Table(weights, self.weight_type), "biases": biases, "thresholds": self.hls_thresholds()}

    def _folded_weights(self) -> np.ndarray:
        """(neuron folds, synapse folds, PE, SIMD)."""
        return self.weights.reshape(self.neuron_folds, self.pe, self.synapse_folds, self.simd).swapaxes(1, 2)

    def _bias_width(self) -> int:
        assert self.bias is not None
        return IntType(min(int(self.bias.min()), -1), max(int(self.bias.max()), 0)).bits
