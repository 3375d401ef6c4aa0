"""MVAU, the matrix-vector-activation unit, folded: multipliers that take turns with the weights of a dense matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import cached_property, lru_cache
from itertools import product
from math import log2
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.bounds import exact_range, range_bits
from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Folding, Memory, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.rising import running_max
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram, rom, share_of_bits
from pipeline.errors import ConfigError
from pipeline.kernels.activation import Activation, finn_thresholding
from pipeline.kernels.elementwise import finn_elementwise
from pipeline.kernels.matrix_vector import (
    LARGE_CHANNELS,
    LARGE_ROWS,
    STYLES,
    MatrixVector,
    StoredMatrixVector,
    add_ends,
    draw_matrix,
    kind_of,
    matrix_demand,
)
from pipeline.kernels.product_pair import product_latency, product_width, recodes_input

__all__ = ["MVAU", "demand_of_lanes"]

_LARGE = 1 << 17  # weights of which it would take long to compare the bits, folding by folding


@dataclass(frozen=True, eq=False)
class MVAU(StoredMatrixVector):
    """A StoredMatrixVector of which `simd` elements a beat go in and `pe` come out, of each of `m` pixels.

    Row r is computed by lane r % pe in fold r // pe, column c by multiplier c % simd of the lane in fold c // simd, as in
    FINN. A lane's accumulator is as wide as the widest of its rows.

    Raises ConfigError for a folding that does not divide, UnsupportedError for what cannot be built.
    """

    pe: int = 1
    simd: int = 1

    op_type: ClassVar[str] = "MVAU"
    module: ClassVar[str] = "mvau"
    finn_attributes: ClassVar[Mapping[str, str]] = {
        "PE": "pe",
        "SIMD": "simd",
        "M": "m",
        "ram_style": "ram_style",
        "mem_mode": "",
        "resType": "",
        "mvau_style": "",
    }
    lut_purpose: ClassVar[str] = "glue"
    style: ClassVar[str] = "folded"
    styles: ClassVar[tuple[str, ...]] = STYLES
    sets_rate: ClassVar[bool] = True
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
        return self.vectors * self.neuron_folds * self.synapse_folds

    def latency(self) -> int:
        """From the last beat of a vector to the first of its results, through the stages that the sum below names."""
        products = product_latency(self.input_type, self.weight_type)
        tree = (self.simd - 1).bit_length() // 2
        replay = int(self.neuron_folds > 1)
        operands = accumulator = 1
        output = 2
        return replay + operands + products + tree + accumulator + self.search_latency() + output

    def inputs_needed(self) -> np.ndarray:
        vectors = np.arange(1, self.vectors + 1, dtype=np.int64)
        return np.repeat(vectors * self.synapse_folds, self.neuron_folds)

    def beat_times(
        self, arrivals: np.ndarray, frames: int, spacing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """An MVAU takes a step a cycle, fold by fold; it takes its input in the steps of a vector's first fold, when it
        comes, and is never held back in the others."""
        neuron, synapse = self.neuron_folds, self.synapse_folds
        vectors = np.arange(len(arrivals) // synapse, dtype=np.int64)[:, None]
        taken = running_max(arrivals, (vectors * (neuron * synapse) + np.arange(synapse)).ravel())
        last = taken.reshape(-1, synapse)[:, -1:]  # steps of each vector's first fold
        return (last + synapse * np.arange(neuron) + self.latency()).ravel(), taken

    # -- folding ----------------------------------------------------------------------------------------------------

    @classmethod
    def foldings_of(
        cls, layer: MatrixVector, budget: int | None = None, walkers: int | None = None
    ) -> tuple[Folding, ...]:
        pixels = layer.pixels[0] * layer.pixels[1]
        return tuple(
            Folding({"pe": pe, "simd": simd}, simd, pe, pixels * (layer.mh // pe) * (layer.mw // simd), cls.style)
            for pe, simd in product(divisors(layer.mh), divisors(layer.mw))
        )

    def foldings_in(
        self, style: str, budget: int | None = None, pe: int | None = None, m: int = 1
    ) -> tuple[Folding, ...]:
        if m == 1:
            return kind_of(style).foldings_of(self, budget, pe)
        return kind_of(style).foldings_of_pixels(self, m, budget, pe)

    def demand_in(self, style: str, fields: Mapping[str, int | str], family: str) -> Demand:
        return kind_of(style).demand_of(self, fields, family)

    def styled(self, style: str, fields: Mapping[str, int | str]) -> MatrixVector:
        if style == self.style:
            return self.folded(fields)
        same: dict[str, Any] = {part.name: getattr(self, part.name) for part in dataclass_fields(MatrixVector)}
        return kind_of(style)(**same | dict(fields))

    @classmethod
    def demand_of(cls, layer: MatrixVector, fields: Mapping[str, Any], family: str) -> Demand:
        least, weights = _least_demand(layer, fields["pe"], fields["simd"], family)
        demand = replace(least, terms=least.terms.copy()).times(int(fields.get("m", 1)))
        demand.store_weights("weights", *weights, fields.get("ram_style", "auto"))
        share = _share_of_bits(layer, fields["pe"], fields["simd"])
        for term in ("weights", "weights_output"):
            demand.terms[term] *= share
        return demand

    def finn_nodes(self, family: str) -> dict[str, dict[str, Any]]:
        """MVAU_hls with multipliers of LUTs, and MVAU_rtl, which takes DSPs and has no thresholds: they are a layer of
        their own there. Neither takes several pixels."""
        if self.m > 1:
            return {}
        weights = rom(self.pe * self.simd * self.weight_type.bits, self.neuron_folds * self.synapse_folds)
        attributes = self._finn_attributes() | {
            "outputDataType": self.output_type.name,
            "noActivation": int(self.thresholds is None),
            "resType": "lut",
            "ram_style": weights.ram_style if self.ram_style == "auto" else self.ram_style,
            "ram_style_thresholds": "distributed",
        }
        return {"MVAU_hls": attributes, "MVAU_rtl": {**attributes, "noActivation": 1, "resType": "dsp"}}

    def finn_graph(self) -> tuple[FinnNode, ...]:
        """MVAU without an activation, so that it may be one of DSPs, then the bias, then Thresholding.

        Thresholds take the bias in. The accumulator is the one that is proven here; with a bias it holds the sums without it, too.
        """
        if self.thresholds is None and self.activates:
            raise self.without_finn_node(f"it has {self.level_steps + 1:,} levels, which are a multiplication here")
        sums = self._finn_sums()
        shape = (*self.pixels, self.mh)
        last = self.thresholds is None and self.bias is None
        attributes = self._finn_attributes() | {
            "accDataType": sums.name,
            "outputDataType": sums.name,
            "noActivation": 1,
            "ram_style": self.ram_style,
        }
        weights = self._finn_weights()
        matrix = FinnNode(
            self.finn_operator,
            attributes,
            outputs=("out0" if last else "sums",),
            constants=((weights, self.weight_type),),
            between=None if last else (shape, sums),
        )
        if self.thresholds is not None:
            thresholds = self.thresholds - (0 if self.bias is None else self.bias[:, None])
            after = finn_thresholding(self.pixels, sums, self.output_type, thresholds, self.pe, "sums")
        elif self.bias is not None:
            after = finn_elementwise("Add", shape, sums, self.output_type, self.bias, self.pe, "sums", "out0")
        else:
            return (matrix,)
        return matrix, after

    def _finn_sums(self) -> IntType:
        """What an accumulator holds."""
        bits = max(self.lane_accumulator_bits())
        if self.bias is not None:
            lo, hi = exact_range(self.weights, self.input_type)
            bits = max(bits, range_bits(min(lo), max(hi)))
        return IntType.of_bits(bits, signed=True)

    def _finn_weights(self) -> np.ndarray:
        """(MW, MH)."""
        return self.weights.T

    def _finn_attributes(self) -> dict[str, Any]:
        return {
            "MW": self.mw,
            "MH": self.mh,
            "SIMD": self.simd,
            "PE": self.pe,
            "inputDataType": self.input_type.name,
            "weightDataType": self.weight_type.name,
            "accDataType": IntType.of_bits(max(self.lane_accumulator_bits()), signed=True).name,
            "numInputVectors": [1, *self.pixels],
            "mem_mode": self.mem_mode,
        }

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        while True:
            matrix = draw_matrix(draw, 100_000)
            rows, columns = matrix["weights"].shape
            pe, simd = draw.lanes(rows, 32), draw.lanes(columns, 144)
            if pe * simd <= 192 and rows * columns // (pe * simd) <= 20_000:
                return cls("layer", ("x",), ("y",), **matrix, pe=pe, simd=simd)

    @classmethod
    def draw_large(cls, draw: Draw) -> Self:
        """A matrix larger than these, as ResNet-18 has them."""
        while True:
            matrix = draw_matrix(draw, 1_000_000, LARGE_ROWS, LARGE_CHANNELS)
            rows, columns = matrix["weights"].shape
            pe, simd = draw.lanes(rows, 32), draw.lanes(columns, 64)
            if 8 <= pe * simd <= 192 and 30_000 <= rows * columns <= 300_000:
                return cls("layer", ("x",), ("y",), **matrix, pe=pe, simd=simd)

    # -- hardware ---------------------------------------------------------------------------------------------------

    def sum_bits(self) -> tuple[int, ...]:
        return self.lane_accumulator_bits()

    def result_interval(self) -> int:
        return self.synapse_folds

    @cached_property
    def _activation(self) -> Activation | None:
        """Lanes are row by row, and have their turns so."""
        activation = self._activation_of(self.turn_bits())
        return None if activation is None else activation.beside(self.m, by_row=True)

    def parameters(self) -> dict[str, int | str]:
        parameters = super().parameters() | {
            "Simd": self.simd,
            "Pe": self.m * self.pe,
            "Mh": self.m * self.mh,
            "WeightWidth": self.weight_type.bits,
            "RecodeInput": int(recodes_input(self.input_type, self.weight_type)),
            "ProductWidth": product_width(self.input_type, self.weight_type),
            "AccWidths": pack_word(self.lane_accumulator_bits() * self.m, 8),
            "HasBias": int(self.bias is not None),
            "Turns": self.threshold_turns,
        }
        if self.bias is not None:
            parameters["BiasWidth"] = self._bias_width()
        return parameters | ({"Pixels": self.m} if self.m > 1 else {})

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
            "acc_width": self.lane_accumulator_bits() * self.m,
            "Pixels": self.m,
            "Accumulators": self.pe,
        }

    def hls_tables(self) -> dict[str, Table]:
        folded = self._folded_weights()
        weights = folded.reshape(-1, *folded.shape[2:])
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


@lru_cache(maxsize=256)  # one folding after the other is asked for with each memory
def _least_demand(layer: MatrixVector, pe: int, simd: int, family: str) -> tuple[Demand, tuple[int, int]]:
    """What is needed besides the memory of the weights, whatever that is made of; and the bits of its words, and how many
    there are."""
    demand, weights = demand_of_lanes(MVAU, layer, pe, simd, simd)
    if layer.mh > pe:
        demand.store("replay", ram(simd * layer.input_type.bits, max(layer.mw // simd, 2), family))
    return demand, weights


@lru_cache(maxsize=4096)
def _share_of_bits(layer: MatrixVector, pe: int, simd: int) -> float:
    """Of the memory of the weights, see `share_of_bits`; all of those of a large matrix are taken to differ."""
    if layer.weights.size > _LARGE:
        return 1.0
    words = layer.mh // pe * (layer.mw // simd)
    folded = layer.weights.reshape(layer.mh // pe, pe, -1, simd).swapaxes(1, 2)
    return share_of_bits(folded.reshape(1, words, pe * simd), layer.weight_type.bits)


def demand_of_lanes(
    kind: type[MatrixVector], layer: MatrixVector, pe: int, simd: int, inputs: int
) -> tuple[Demand, tuple[int, int]]:
    """What `pe` lanes of `simd` multipliers need, with all around them, where a beat has so many `inputs`; and the bits of
    the words of their weights, and how many there are."""
    matrix = matrix_demand(layer)
    demand = Demand(kind.op_type)
    neurons, synapses = matrix.rows // pe, matrix.columns // simd
    lanes = matrix.row_bits.reshape(neurons, pe).max(axis=0)
    pairs = (simd + 1) // 2
    sums = np.minimum(matrix.product_bits + 1 + max(pairs - 1, 0).bit_length() / 2, lanes)
    demand.add(
        products=pe * simd * matrix.product_adders,
        factors=pe * simd * matrix.product_bits,
        stages=matrix.stages
        * pe
        * (simd * (matrix.input_bits + matrix.weight_bits) + pairs * (matrix.product_bits + 1)),
        tree=(pairs - 1) * sums.sum(),
        accumulators=lanes.sum(),
        inputs=inputs * matrix.input_bits,
        counters=log2(neurons * synapses),
    )
    if matrix.bias_bits:
        demand.store("biases", rom(pe * matrix.bias_bits, neurons))
    add_ends(demand, matrix, lanes.tolist(), synapses)
    return demand, (pe * simd * matrix.weight_bits, neurons * synapses)
