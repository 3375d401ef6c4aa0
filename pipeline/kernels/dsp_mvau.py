"""DspMVAU: the folded matrix-vector-activation unit whose products and sums are in DSPs, several rows in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import log2
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.dsp_packing import DSPS, Packing, pack_lanes, start_word
from pipeline.dataflow.layer import Memory, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.random_layers import Draw
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.activation import Activation
from pipeline.kernels.matrix_vector import MatrixVector, add_ends, draw_matrix, matrix_demand
from pipeline.kernels.mvau import MVAU

__all__ = ["DspMVAU"]

_MOST_COLUMNS = 9999  # of a beat: the names of the weights' files have four digits


@dataclass(frozen=True, eq=False)
class DspMVAU(MVAU):
    """An MVAU whose lanes share DSPs: neighbouring ones have lanes of one word, see `pipeline/dataflow/dsp_packing.py`, and
    the columns of a beat are added up in a chain of DSPs, with one more that accumulates.

    `family` says which DSP it is, by Yosys' name of the FPGA's. Raises UnsupportedError for weights, inputs or sums that do
    not fit one.
    """

    family: str = field(default="xcup", kw_only=True)

    op_type: ClassVar[str] = "DspMVAU"
    module: ClassVar[str] = "dsp_mvau"
    finn_operator: ClassVar[str] = "MVAU"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe", "SIMD": "simd", "ram_style": "ram_style"}
    style: ClassVar[str] = "dsp"
    has_m: ClassVar[bool] = False
    weight_file: ClassVar[str] = "WeightFiles"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.family not in DSPS:
            raise ConfigError(f"layer {self.name}: {self.family} is no family with DSPs; choose {' or '.join(DSPS)}.")
        if self.simd > _MOST_COLUMNS:
            raise ConfigError(f"layer {self.name}: SIMD = {self.simd}; in DSPs at most {_MOST_COLUMNS} can be built.")
        len(self.packings)  # raises what is to be raised

    # -- words ------------------------------------------------------------------------------------------------------

    @cached_property
    def packings(self) -> tuple[Packing, ...]:
        """The words that the PE lanes are in, in their order."""
        return _packed(self, self.pe, self.family)

    @property
    def dsps(self) -> int:
        """Chains of SIMD + 1 DSPs."""
        return len(self.packings) * (self.simd + 1)

    def check_packings(self) -> None:
        """Prove of every word that its lanes hold their sums. Raises VerificationError, see `Packing.check`."""
        for packing, rows in self._words():
            bias = self._bias_by_lane
            packing.check(self._by_lane[:, rows], None if bias is None else bias[:, rows])

    def _words(self) -> list[tuple[Packing, slice]]:
        """Each packing with its lanes."""
        ends = np.cumsum([len(packing.lanes) for packing in self.packings]).tolist()
        return [
            (packing, slice(end - len(packing.lanes), end)) for packing, end in zip(self.packings, ends, strict=True)
        ]

    @property
    def _by_lane(self) -> np.ndarray:
        """The weights as (neuron folds, PE, MW)."""
        return self.weights.reshape(self.neuron_folds, self.pe, self.mw)

    @property
    def _bias_by_lane(self) -> np.ndarray | None:
        return None if self.bias is None else self.bias.reshape(self.neuron_folds, self.pe)

    @property
    def _field_bits(self) -> list[int]:
        return [lane.field_bits for packing in self.packings for lane in packing.lanes]

    # -- behaviour --------------------------------------------------------------------------------------------------

    def latency(self) -> int:
        """From the last beat of a vector to the first of its results, through the stages that the sum below names."""
        replay = int(self.neuron_folds > 1)
        operands = accumulator = 1
        word = multiplied = 1
        output = 2
        return replay + operands + word + multiplied + self.simd + accumulator + self.search_latency() + output

    # -- folding ----------------------------------------------------------------------------------------------------

    @classmethod
    def demand_of(cls, layer: MatrixVector, fields: Mapping[str, Any], family: str) -> Demand:
        """DSPs are counted, those of `family`; what is around the lanes is as in an MVAU."""
        matrix, pe, simd = matrix_demand(layer), int(fields["pe"]), int(fields["simd"])
        neurons, synapses = matrix.rows // pe, matrix.columns // simd
        lanes = matrix.row_bits.reshape(neurons, pe).max(axis=0)
        packings = _packed(layer, pe, layer.family if isinstance(layer, cls) else family)
        field_bits = sum(lane.field_bits for packing in packings for lane in packing.lanes)
        demand = Demand(cls.op_type, dsp=len(packings) * (simd + 1))
        demand.add(
            inputs=simd * matrix.input_bits,
            delays=matrix.input_bits * sum(-(-(column - 1) // 32) for column in range(4, simd)),
            delay_registers=matrix.input_bits * simd,
            stages=simd,
            counters=log2(neurons * synapses),
            steps=simd * log2(neurons * synapses),
        )
        for _ in range(simd):
            demand.store_weights("weights", field_bits, neurons * synapses, str(fields.get("ram_style", "auto")))
        if layer.mh > pe:
            demand.store("replay", ram(simd * matrix.input_bits, max(synapses, 2), family))
        add_ends(demand, matrix, lanes.tolist())
        return demand

    def for_family(self, family: str) -> Self:
        return replace(self, family=family)

    def finn_nodes(self, family: str) -> dict[str, dict[str, Any]]:
        """MVAU_rtl, whose multipliers are DSPs."""
        nodes = super().finn_nodes(family)
        return {"MVAU_rtl": nodes["MVAU_rtl"]}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        while True:
            matrix = draw_matrix(draw, 100_000)
            rows, columns = matrix["weights"].shape
            pe, simd = draw.lanes(rows, 32), draw.lanes(columns, 36)
            if pe * simd <= 192 and rows * columns // (pe * simd) <= 20_000:
                return cls("layer", ("x",), ("y",), **matrix, pe=pe, simd=simd, family="xc7")  # which xcup is as well

    # -- hardware ---------------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, int | str]:
        parameters = super().parameters()
        for name in ("WeightWidth", "RecodeInput", "ProductWidth"):
            del parameters[name]
        heads = [int(index == 0) for packing in self.packings for index in range(len(packing.lanes))]
        parameters |= {"FieldWidths": pack_word(self._field_bits, 8), "Heads": pack_word(heads, 1)}
        if self.bias is not None:
            start = max(self.lane_accumulator_bits())
            parameters |= {"BiasWidth": start + self._bias_width(), "StartWidth": start}
        return parameters

    @cached_property
    def _activation(self) -> Activation | None:
        """Lanes are compared with thresholds as they are in the words, 2^(bits − 1) more than the sums."""
        if self.thresholds is None or self.requantizer:
            return super()._activation
        bits = np.tile(self.sum_bits(), self.neuron_folds)
        offsets = np.left_shift(1, bits - 1)
        lo, hi = (end + offsets for end in self.accumulator_range())
        thresholds = self.thresholds + offsets[:, None]
        return Activation(thresholds, self.level_steps, lo, hi, self.output_type, self.sum_bits(), False, None)

    def hls_thresholds(self) -> Table:
        """Those of the sums: lanes of words are of the hardware alone."""
        activation = super()._activation
        return Table.absent(3) if activation is None else activation.hls_table()

    def memories(self) -> dict[str, Memory]:
        memories = super().memories()
        memories.pop(self.weight_file, None)  # there is one for each column
        if self.bias is not None:
            start, width = max(self.lane_accumulator_bits()), self._bias_width()
            words = [
                pack_word(
                    (pack_word([bias], width) << start | load for bias, load in zip(*lanes, strict=True)), start + width
                )
                for lanes in zip(self.bias.reshape(self.neuron_folds, self.pe).tolist(), self._loads(), strict=True)
            ]
            memories["BiasFile"] = Memory((start + width) * self.pe, tuple(words))
        return memories

    def _loads(self) -> list[list[int]]:
        """For each fold, what each lane is loaded with at the head of a sum."""
        assert self.bias is not None
        folds = []
        for biases in self.bias.reshape(self.neuron_folds, self.pe):
            loads = []
            for packing, rows in self._words():
                word = start_word(packing, biases[rows].tolist())
                loads += [(word >> lane.offset) & ((1 << lane.bits) - 1) for lane in packing.lanes]
            folds.append(loads)
        return folds

    def memory_sets(self) -> dict[str, dict[str, Memory]]:
        sets = super().memory_sets()
        if not self.loads_weights:
            sets[self.weight_file] = {f"{column:04d}": memory for column, memory in enumerate(self._columns())}
        return sets

    def weight_memory_bits(self) -> int:
        return sum(self._field_bits) * self.simd * self.neuron_folds * self.synapse_folds

    def weight_memory(self) -> Memory:
        """Those of the columns of a beat, one after the other, as they are loaded."""
        columns = self._columns()
        return Memory(columns[0].width, tuple(word for memory in columns for word in memory.words))

    def _columns(self) -> list[Memory]:
        """For each column of a beat one word for each pair of folds, neuron fold first: a field for each lane."""
        fields = np.concatenate([packing.fields(self._by_lane[:, rows]) for packing, rows in self._words()], axis=1)
        bits = self._field_bits
        places = np.cumsum([0, *bits]).tolist()
        columns = []
        for column in range(self.simd):
            steps = fields[:, :, column :: self.simd].swapaxes(1, 2).reshape(-1, self.pe).tolist()
            words = (
                sum(
                    (value & ((1 << width) - 1)) << place
                    for value, width, place in zip(step, bits, places[:-1], strict=True)
                )
                for step in steps
            )
            columns.append(Memory(places[-1], tuple(words)))
        return columns


@lru_cache(maxsize=256)
def _packed(layer: MatrixVector, pe: int, family: str) -> tuple[Packing, ...]:
    """The words that `pe` lanes of the matrix of `layer` are in. Raises UnsupportedError for what no DSP holds."""
    folds = layer.mh // pe
    bits = np.array(layer.accumulator_bits or [max(layer.exact_accumulator_bits())] * layer.mh)
    weights = layer.weights.reshape(folds, pe, layer.mw)
    bias = None if layer.bias is None else layer.bias.reshape(folds, pe)
    try:
        return pack_lanes(weights, layer.input_type, bits.reshape(folds, pe).max(axis=0).tolist(), DSPS[family], bias)
    except ValueError as error:
        raise UnsupportedError(
            f"layer {layer.name} cannot be computed in DSPs: {error}. Choose another mvau_style for it."
        ) from error
