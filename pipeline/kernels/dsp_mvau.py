"""DspMVAU: the folded matrix-vector-activation unit whose products and sums are in DSPs, several rows in each."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import log2
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from pipeline.dataflow.bounds import range_bits
from pipeline.dataflow.dsp_packing import (
    DSPS,
    Packing,
    SegmentSums,
    TapPacking,
    any_rows,
    check_taps,
    field_widths,
    pack_lanes,
    start_word,
)
from pipeline.dataflow.layer import Folding, Memory, Stream
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.rising import running_max
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram, rom, share_of_bits
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.activation import Activation, turns_of
from pipeline.kernels.matrix_vector import MatrixVector, add_ends, draw_matrix, matrix_demand
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.taps import Taps

__all__ = ["TAP_PIXELS", "DspMVAU"]

_FEWEST_TURNS = 4  # of lanes whose segments are added up: a choice among two or three costs as much as an adder
_MOST_ROWS = 12  # of a word: as many lanes of two bits reach the end of its port
TAP_PIXELS = 2  # of a word with several columns of a kernel: three take more than the port B for inputs of 4 bits
_SAMPLED_COLUMNS = 8  # of a beat, of which the bits are compared
_MOST_COLUMNS = 9999  # of a beat: the names of the weights' files have four digits


class Segmentation(NamedTuple):
    """How a row's sum is split: into segments of so many synapse `folds`, each in so many `chains` of `length` columns, of which
    the last may have fewer."""

    folds: int
    chains: int
    length: int

    @classmethod
    def of(cls, synapse_folds: int, simd: int, segments: int) -> Segmentation | None:
        """That of a row in so many `segments`; None if there is none."""
        if synapse_folds % segments == 0:
            return cls(synapse_folds // segments, 1, simd)
        if segments % synapse_folds:
            return None
        chains = segments // synapse_folds
        length = -(-simd // chains)
        return cls(1, chains, length) if -(-simd // length) == chains else None

    @staticmethod
    def choices(synapse_folds: int, simd: int) -> list[int]:
        """In how many segments a row can be: one, some of several folds, one a fold, and several a fold."""
        lengths = {-(-simd // chains) for chains in range(2, simd + 1)}
        return [
            *(count for count in range(1, synapse_folds + 1) if synapse_folds % count == 0),
            *(synapse_folds * -(-simd // length) for length in sorted(lengths, reverse=True)),
        ]


@dataclass(frozen=True, eq=False)
class DspMVAU(MVAU):
    """An MVAU whose lanes share DSPs: neighbouring rows have lanes of one word, see `pipeline/dataflow/dsp_packing.py`, and
    the columns of a beat are added up in a chain of DSPs, with one more that accumulates.

    `segments` are the parts of a row's sum that a lane holds one after the other, or that several chains hold; with more of
    them lanes are narrower, and more rows share a word. What adds them up is no DSP. With 1 a lane holds the whole sum.
    Of M pixels as many share words as takes the fewest DSPs.

    With `taps` of more than 1 a word holds those columns of a row's kernel, whose windows of `kernel_height` rows this layer
    makes itself along the rows of an image: the input is no windows but, for each row of them, the pixels of the rows that
    they reach, side by side, (OH, W, MW / taps), with zeros as `pad_left` and `pad_right`. Then PE is MH, a lane holds the
    whole sum, and SIMD divides MW / taps.

    `family` says which DSP it is, by Yosys' name of the FPGA's. Raises UnsupportedError for weights, inputs or sums that do
    not fit one, ConfigError for segments that the folding does not have.
    """

    segments: int = 1
    taps: int = field(default=1, kw_only=True)
    kernel_height: int = field(default=1, kw_only=True)
    pad_left: int = field(default=0, kw_only=True)
    pad_right: int = field(default=0, kw_only=True)
    family: str = field(default="xcup", kw_only=True)

    op_type: ClassVar[str] = "DspMVAU"
    module: ClassVar[str] = "dsp_mvau"
    finn_operator: ClassVar[str] = "MVAU"
    finn_attributes: ClassVar[Mapping[str, str]] = {
        "PE": "pe",
        "SIMD": "simd",
        "segments": "segments",
        "taps": "taps",
        "M": "m",
        "ram_style": "ram_style",
    }
    style: ClassVar[str] = "dsp"
    weight_file: ClassVar[str] = "WeightFiles"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.family not in DSPS:
            raise ConfigError(f"layer {self.name}: {self.family} is no family with DSPs; choose {' or '.join(DSPS)}.")
        if self.taps > 1:
            self._check_taps()
        if self.simd > _MOST_COLUMNS:
            raise ConfigError(f"layer {self.name}: SIMD = {self.simd}; in DSPs at most {_MOST_COLUMNS} can be built.")
        if self.segments < 1 or Segmentation.of(self.synapse_folds, self.simd, self.segments) is None:
            choices = ", ".join(map(str, Segmentation.choices(self.synapse_folds, self.simd)))
            raise ConfigError(
                f"layer {self.name}: segments = {self.segments}; with SIMD = {self.simd} of its {self.mw} columns, a row "
                f"can be in {choices}."
            )
        _ = self._plan  # raises what is to be raised

    def _check_taps(self) -> None:
        if self.mw % (self.taps * self.kernel_height):
            raise UnsupportedError(
                f"layer {self.name} has {self.mw} columns, which are no kernel {self.kernel_height} pixels high and {self.taps} "
                "wide (taps)."
            )
        self.row.check(self.name)
        if self.pe != self.mh or self.segments != 1 or self.vector % self.simd:
            raise ConfigError(
                f"layer {self.name}: PE = {self.pe}, SIMD = {self.simd}, segments = {self.segments}; with {self.taps} columns of "
                f"its kernel in a DSP (taps) PE must be its {self.mh} rows, segments 1, and SIMD a divisor of the "
                f"{self.vector} elements of such a column."
            )

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def row(self) -> Taps:
        """The rows of the image, where a word holds several columns of a kernel."""
        width = self.pixels[1] - self.pad_left - self.pad_right + self.taps - 1
        return Taps(self.taps, self.kernel_height, self.pad_left, self.pad_right, width, self.m)

    @property
    def vector(self) -> int:
        """Elements of a pixel of the input: MW, or those that a column of the kernel sees."""
        return self.mw // self.taps

    @property
    def synapse_folds(self) -> int:
        return self.vector // self.simd

    def inputs(self) -> tuple[Stream, ...]:
        if self.taps == 1:
            return super().inputs()
        shape = (self.pixels[0], self.row.width, self.vector)
        return (Stream(shape, self.input_type, self.m * self.simd, self.m),)

    def pixel_of(self, row: int, elements: np.ndarray) -> np.ndarray:
        """A row of pixels where a word holds several columns of a kernel: (W, channels), the window from its first pixel on."""
        if self.taps == 1:
            return super().pixel_of(row, elements)
        pixels = np.zeros((self.row.width, self.vector), elements.dtype)
        pixels[: self.taps] = _by_tap(elements[None], self.taps, self.kernel_height)[0]
        return pixels

    # -- words ------------------------------------------------------------------------------------------------------

    @property
    def segmentation(self) -> Segmentation:
        split = Segmentation.of(self.synapse_folds, self.simd, self.segments)
        assert split is not None  # checked at the start
        return split

    @property
    def _plan(self) -> _Words:
        if self.taps > 1:
            return _words_of_taps(self, self.simd, self.taps, self.kernel_height, self.family, self.m)
        return _words_of(self, self.pe, self.simd, self.segments, self.family, self.m)

    @cached_property
    def tap_packings(self) -> tuple[TapPacking, ...]:
        """The word of each row, where it holds several columns of a kernel; else none."""
        if self.taps == 1:
            return ()
        (bits, *_), starts = self._plan.bits, [0] * self.mh if self.bias is None else self.bias.tolist()
        return tuple(
            TapPacking.of(weights, self.input_type, bits, DSPS[self.family], self.m, start)
            for weights, start in zip(self._tap_weights, starts, strict=True)
        )

    @property
    def _tap_weights(self) -> np.ndarray:
        """The weights as (MH, taps, MW / taps), the last column of the kernel first, as they are in a word."""
        return _by_tap(self.weights, self.taps, self.kernel_height)[:, ::-1]

    @cached_property
    def packings(self) -> tuple[Packing, ...]:
        """The words that the PE lanes are in, in their order; none where they hold columns of a kernel."""
        if self.taps > 1:
            return ()
        words = self._plan
        ends = np.cumsum(words.counts).tolist()
        bias = self._bias_by_lane if self.segments == 1 else None
        return tuple(
            Packing.of(
                self._by_lane[:, end - count : end],
                self.input_type,
                words.bits[end - count : end],
                DSPS[self.family],
                None if bias is None else bias[:, end - count : end],
                pixels=words.pixels,
                segments=self._segment_columns,
            )
            for count, end in zip(words.counts, ends, strict=True)
        )

    @property
    def _segment_columns(self) -> tuple[int, ...]:
        """The first column of each segment."""
        folds, chains, length = self.segmentation
        if chains == 1:
            return tuple(range(0, self.mw, folds * self.simd))
        return tuple(fold + column for fold in range(0, self.mw, self.simd) for column in range(0, self.simd, length))

    @property
    def accumulates(self) -> bool:
        """Whether chains end with a DSP that accumulates: where a lane's sum is of several beats, or starts from a bias."""
        return self.taps > 1 or _accumulates(self, self.segmentation, self.segments)

    @property
    def dsps(self) -> int:
        """One for each column of a word, and one for each chain that accumulates, of all pixels."""
        return self._plan.dsps

    def check_packings(self) -> None:
        """Prove of every word that its lanes hold their sums. Raises VerificationError, see `Packing.check`, `TapPacking.check`."""
        starts = [0] * self.mh if self.bias is None else self.bias.tolist()
        for tap_packing, weights, start in zip(self.tap_packings, self._tap_weights, starts, strict=False):
            tap_packing.check(weights, start)
        bias = self._bias_by_lane if self.segments == 1 else None
        for packing, rows in self._words():
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
        if self.taps > 1:
            return [bits for packing in self.tap_packings for bits in packing.field_bits]
        return [lane.field_bits for packing in self.packings for lane in packing.lanes]

    def sum_bits(self) -> tuple[int, ...]:
        """Of segments, what adds them up is the same for all lanes."""
        bits = self.lane_accumulator_bits()
        if self.taps > 1:
            return self._plan.bits
        return bits if self.segments == 1 else (max(*bits, 2),) * self.pe

    # -- behaviour --------------------------------------------------------------------------------------------------

    def _sums(self, values: np.ndarray) -> np.ndarray:
        if self.taps == 1:
            return super()._sums(values)
        frames, height, _, _ = values.shape
        padded = np.pad(values, ((0, 0), (0, 0), (self.pad_left, self.pad_right), (0, 0)))
        columns = np.stack([padded[:, :, tap : tap + self.pixels[1]] for tap in range(self.taps)], axis=3)
        windows = columns.reshape(frames, height, self.pixels[1], self.taps, self.kernel_height, -1).swapaxes(3, 4)
        return super()._sums(windows.reshape(frames, height, self.pixels[1], self.mw))

    @property
    def _pause(self) -> int:
        """Cycles that the zeros behind a row of pixels take."""
        return self.threshold_turns if self.row.last_emits else 1

    def cycles(self) -> int:
        if self.taps == 1:
            return super().cycles()
        return self.pixels[0] * (self.row.beats * self.synapse_folds + self._pause)

    def _beats_to_take(self) -> np.ndarray:
        """For each beat of outputs of a row, how many beats of its pixels it needs."""
        return np.minimum(np.arange(self.row.outputs // self.m) + self.row.late + 1, self.row.beats)

    def inputs_needed(self) -> np.ndarray:
        if self.taps == 1:
            return super().inputs_needed()
        rows = np.arange(self.pixels[0], dtype=np.int64)[:, None] * self.row.beats
        needed: np.ndarray = (rows + self._beats_to_take()) * self.synapse_folds
        return needed.ravel()

    def beat_times(
        self, arrivals: np.ndarray, frames: int, spacing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """With taps the steps of a row follow each other, behind them are its zeros, and no result is replayed."""
        if self.taps == 1:
            return super().beat_times(arrivals, frames, spacing)
        beats = np.arange(len(arrivals), dtype=np.int64)
        taken = running_max(arrivals, beats + beats // (self.row.beats * self.synapse_folds) * self._pause)
        sent: np.ndarray = taken[self.needed_of(frames) - 1] + self.latency()
        if self.row.last_emits:
            sent.reshape(-1, self.row.outputs // self.m)[:, -1] += self._pause
        return sent, taken

    def latency(self) -> int:
        """From the last beat of a vector to the first of its results, through the stages that the sum below names."""
        folds, chains, length = self.segmentation
        replay = int(self.neuron_folds > 1)
        operands = word = multiplied = 1
        accumulator = int(self.accumulates)
        tree = ((chains - 1).bit_length() + 1) // 2
        segments = int(self.segments > 1 and (folds < self.synapse_folds or self.bias is not None))
        output = 2
        added = length + accumulator + tree + segments
        return replay + operands + word + multiplied + added + self.search_latency() + output

    def result_interval(self) -> int:
        """Of segments, the cycles from one to the next where adders have turns."""
        return _turn_interval(self.segmentation, self.segments, self.synapse_folds)

    @property
    def segment_turns(self) -> int:
        """In how many turns segments are added up: those in which sums are compared with thresholds, or all at once."""
        return self.threshold_turns if self.segments > 1 and self.segmentation.folds >= _FEWEST_TURNS else 1

    # -- folding ----------------------------------------------------------------------------------------------------

    @classmethod
    def foldings_of(
        cls, layer: MatrixVector, budget: int | None = None, walkers: int | None = None
    ) -> tuple[Folding, ...]:
        """Those of an MVAU, each with its rows whole, and in as few segments as more rows in a word take, where that takes
        fewer DSPs. What no DSP holds has none."""
        family = layer.family if isinstance(layer, cls) else "xcup"
        foldings = []
        for folding in MVAU.foldings_of(layer):
            pe, simd = int(folding.fields["pe"]), int(folding.fields["simd"])
            m = int(folding.fields.get("m", layer.m))
            for segments in _worthwhile(layer, pe, simd, family, m) if simd <= _MOST_COLUMNS else ():
                fields = {**folding.fields, "segments": segments}
                foldings.append(replace(folding, fields=fields, style=cls.style))
        return tuple(foldings)

    @classmethod
    def foldings_of_taps(
        cls, layer: MatrixVector, taps: int, kernel_height: int, pads: tuple[int, int], family: str
    ) -> tuple[Folding, ...]:
        """Those of the matrix of `layer` with that many columns of a kernel in a word, for rows of an image with zeros as `pads`
        on the left and on the right. What no DSP of `family` holds has none."""
        shape = {"taps": taps, "kernel_height": kernel_height, "pad_left": pads[0], "pad_right": pads[1]}
        foldings = []
        try:
            first = layer.styled(cls.style, {"pe": layer.mh, "simd": 1, "m": TAP_PIXELS, "family": family, **shape})
        except (ConfigError, UnsupportedError):
            return ()
        assert isinstance(first, cls)
        row, bits = first.row, first.sum_bits()
        for simd in divisors(first.vector):
            if simd > _MOST_COLUMNS:
                break
            fields: dict[str, int | str] = {"pe": layer.mh, "simd": simd, "segments": 1, "m": TAP_PIXELS, **shape}
            folds = first.vector // simd
            pause = _tap_turns(layer, bits, folds, TAP_PIXELS) if row.last_emits else 1
            cycles = layer.pixels[0] * (row.beats * folds + pause)
            folding = Folding(fields, TAP_PIXELS * simd, TAP_PIXELS * layer.mh, cycles, cls.style)
            foldings.append(replace(folding, input_pixels=TAP_PIXELS, output_pixels=TAP_PIXELS))
        return tuple(foldings)

    @classmethod
    def demand_of(cls, layer: MatrixVector, fields: Mapping[str, Any], family: str) -> Demand:
        """DSPs are counted, those of `family`; what is around the lanes is as in an MVAU."""
        matrix, pe, simd = matrix_demand(layer), int(fields["pe"]), int(fields["simd"])
        segments, m, taps = int(fields.get("segments", 1)), int(fields.get("m", layer.m)), int(fields.get("taps", 1))
        neurons, synapses = matrix.rows // pe, matrix.columns // taps // simd
        family = layer.family if isinstance(layer, cls) else family
        if taps > 1:
            words = _words_of_taps(layer, simd, taps, int(fields["kernel_height"]), family, m)
        else:
            words = _words_of(layer, pe, simd, segments, family, m)
        split = Segmentation.of(synapses, simd, segments)
        assert split is not None  # the words have been found
        lanes = matrix.row_bits.reshape(neurons, pe).max(axis=0).tolist()
        demand = Demand(cls.op_type, dsp=words.dsps)
        lengths = [min(split.length, simd - first) for first in range(0, simd, split.length)]
        delays = sum(-(-delay // 32) for length in lengths for delay in range(3, length - 1))
        demand.add(
            inputs=m * simd * matrix.input_bits,
            delays=m * matrix.input_bits * delays,
            delay_registers=m * matrix.input_bits * simd,
            stages=split.length,
            counters=log2(neurons * synapses),
            steps=split.length * log2(neurons * synapses),
        )
        column = Demand(cls.op_type, defaultdict(float))
        column.store_weights("weights", words.field_bits, neurons * synapses, str(fields.get("ram_style", "auto")))
        share = _share_of_bits(layer, pe, simd, taps, int(fields.get("kernel_height", 1)))
        for term in ("weights", "weights_output"):
            column.terms[term] *= share
        demand.include(column, simd)
        if layer.mh > pe:
            demand.store("replay", ram(m * simd * matrix.input_bits, max(synapses, 2), family))
        if segments > 1:
            lanes = [max(*lanes, 2)] * pe
        if matrix.bias_bits:
            demand.store("biases", rom(pe * matrix.bias_bits, neurons))
        if taps > 1:
            lanes = list(words.bits)
            demand.ff += pe * words.bits[0] * ((int(fields["pad_left"]) + 1 - taps) % m)
        turns = add_ends(demand, matrix, lanes, _turn_interval(split, segments, synapses), m)
        if segments > 1:
            of_segments = turns if split.folds >= _FEWEST_TURNS else 1
            accumulates = split.folds < synapses or bool(matrix.bias_bits)
            _add_segments(demand, split.chains, words.bits[0], lanes * m, of_segments, accumulates=accumulates)
        return demand

    def demand(self, family: str) -> Demand:
        names = ("pe", "simd", "segments", "taps", "kernel_height", "pad_left", "m", "ram_style")
        return self.demand_of(self, {name: getattr(self, name) for name in names}, family)

    def for_family(self, family: str) -> Self:
        return replace(self, family=family)

    def finn_folding(self) -> dict[str, int | str]:
        folding = super().finn_folding()
        return folding if self.taps > 1 else {name: value for name, value in folding.items() if name != "taps"}

    def finn_nodes(self, family: str) -> dict[str, dict[str, Any]]:
        """MVAU_rtl, whose multipliers are DSPs."""
        return {name: node for name, node in super().finn_nodes(family).items() if name == "MVAU_rtl"}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        while True:
            matrix = draw_matrix(draw, 100_000)
            rows, columns = matrix["weights"].shape
            pe, simd = draw.lanes(rows, 32), draw.lanes(columns, 36)
            if pe * simd <= 192 and rows * columns // (pe * simd) <= 20_000:
                layer = cls("layer", ("x",), ("y",), **matrix, pe=pe, simd=simd, family="xc7")  # which xcup is as well
                return replace(layer, segments=draw.one_of(_worthwhile(layer, pe, simd, "xc7", 1)))

    @classmethod
    def draw_taps(cls, draw: Draw) -> Self:
        """A convolution with the three columns of its kernel in each word, which DSPs of xcup hold."""
        shape: dict[str, Any] = {"taps": 3, "kernel_height": 3, "pad_left": 1, "pad_right": 1}
        while True:
            matrix = draw_matrix(draw, 30_000, (8, 16, 16, 24, 32), (8, 16, 16, 32))
            rows, columns = matrix["weights"].shape
            simd = draw.lanes(columns // 3, 24)
            if columns % 9 or rows * simd > 400:
                continue
            try:
                return cls("layer", ("x",), ("y",), **matrix, pe=rows, simd=simd, m=TAP_PIXELS, **shape)
            except UnsupportedError:
                continue

    # -- hardware ---------------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, int | str]:
        parameters = super().parameters()
        for name in ("WeightWidth", "RecodeInput", "ProductWidth"):
            del parameters[name]
        parameters |= {
            "AccWidths": pack_word(self.sum_bits() * self.m, 8),
            "FieldWidths": pack_word(self._field_bits, 8),
            **(self._lanes_of_taps() if self.taps > 1 else self._lanes_of_rows()),
        }
        if self.segments > 1:
            parameters |= {
                "Chains": self.segmentation.chains,
                "SegmentFolds": self.segmentation.folds,
                "SegmentTurns": self.segment_turns,
            }
        elif self.bias is not None:
            start = max(self.sum_bits())
            parameters |= {"BiasWidth": start + self._bias_width(), "StartWidth": start}
        return parameters

    def _lanes_of_rows(self) -> dict[str, int | str]:
        lanes = [lane for packing in self.packings for lane in packing.lanes]
        parameters: dict[str, int | str] = {
            "LaneWidths": pack_word([lane.bits for lane in lanes], 8),
            "Offsets": pack_word([lane.offset for lane in lanes], 8),
            "Heads": pack_word([int(lane.offset == 0) for lane in lanes], 1),
        }
        if self.m > 1:
            strides = [packing.stride for packing in self.packings for _ in packing.lanes]
            parameters |= {"WordPixels": self.packings[0].pixels, "Strides": pack_word(strides, 8)}
        return parameters

    def _lanes_of_taps(self) -> dict[str, int | str]:
        bits, row = self._plan.bits[0], self.row
        return {
            "Mw": self.vector,
            "LaneWidths": pack_word([bits] * self.taps * self.mh, 8),
            "Offsets": pack_word([bits * tap for tap in range(self.taps)] * self.mh, 8),
            "Strides": pack_word([bits] * self.taps * self.mh, 8),
            "Heads": pack_word(([1] + [0] * (self.taps - 1)) * self.mh, 1),
            "WordPixels": self.m,
            "Taps": self.taps,
            "RowBeats": row.beats,
            "FirstBeat": row.late,
            "LastEmits": int(row.last_emits),
            "Held": row.held,
        }

    @cached_property
    def _activation(self) -> Activation | None:
        """Lanes are compared with thresholds as they are in the words, 2^(bits − 1) more than the sums."""
        if self.thresholds is None or self.requantizer:
            return super()._activation
        bits = np.tile(self.sum_bits(), self.neuron_folds)
        offsets = np.left_shift(1, bits - 1)
        lo, hi = (end + offsets for end in self.accumulator_range())
        thresholds = self.thresholds + offsets[:, None]
        widths = self.turn_bits()
        activation = Activation(thresholds, self.level_steps, lo, hi, self.output_type, widths, False, None)
        return activation.beside(self.m, by_row=True)

    def memories(self) -> dict[str, Memory]:
        memories = super().memories()
        memories.pop(self.weight_file, None)  # there is one for each column
        if self.bias is not None and self.segments > 1:
            width = self._bias_width()
            words_of_turns = self.bias.repeat(self.m).reshape(self.neuron_folds * self.segment_turns, -1)
            words = [pack_word(row, width) for row in words_of_turns]
            memories["BiasFile"] = Memory(width * words_of_turns.shape[1], tuple(words))
        elif self.bias is not None:
            start, width = max(self.sum_bits()), self._bias_width()
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
        if self.taps > 1:
            return [(self.bias + (1 << self._plan.bits[0] - 1)).tolist()]
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
        if self.taps > 1:
            fields = np.concatenate([TapPacking.fields(weights) for weights in self._tap_weights])[None]
        else:
            fields = np.concatenate([packing.fields(self._by_lane[:, rows]) for packing, rows in self._words()], axis=1)
        bits = self._field_bits
        places = np.cumsum([0, *bits]).tolist()
        columns = []
        for column in range(self.simd):
            steps = fields[:, :, column :: self.simd].swapaxes(1, 2).reshape(-1, len(bits)).tolist()
            words = (
                sum(
                    (value & ((1 << width) - 1)) << place
                    for value, width, place in zip(step, bits, places[:-1], strict=True)
                )
                for step in steps
            )
            columns.append(Memory(places[-1], tuple(words)))
        return columns

    def hls_parameters(self) -> dict[str, int | bool | tuple[int, ...]]:
        parameters = super().hls_parameters() | {"Taps": self.taps}
        if self.taps == 1:
            return parameters
        row = self.row
        return parameters | {
            "Mw": self.vector,
            "Rows": self.pixels[0],
            "RowBeats": row.beats,
            "FirstBeat": row.late,
            "LastEmits": row.last_emits,
            "Held": row.held,
        }

    def _folded_weights(self) -> np.ndarray:
        """(neuron folds, synapse folds, PE, SIMD); with taps SIMD weights of each column of the kernel, one after the other."""
        if self.taps == 1:
            return super()._folded_weights()
        columns = _by_tap(self.weights, self.taps, self.kernel_height).reshape(self.pe, self.taps, -1, self.simd)
        return columns.transpose(2, 0, 1, 3).reshape(1, self.synapse_folds, self.pe, self.taps * self.simd)


class _Words(NamedTuple):
    """The words of a folding: the rows of each, its pixels, the bits of each row's lanes and of a word of the weights of a column,
    and the DSPs of all."""

    counts: tuple[int, ...]
    pixels: int
    bits: tuple[int, ...]
    field_bits: int
    dsps: int


@lru_cache(maxsize=4096)
def _words_of(layer: MatrixVector, pe: int, simd: int, segments: int, family: str, m: int) -> _Words:
    """The words of `pe` rows of the matrix of `layer`, of as many of `m` pixels as takes the fewest DSPs. Raises UnsupportedError
    for what no DSP holds."""
    split = Segmentation.of(layer.mw // simd, simd, segments)
    assert split is not None
    bits = _row_bits(layer, pe) if segments == 1 else (_segment_bits(layer, split, simd),) * pe
    accumulators = split.chains if _accumulates(layer, split, segments) else 0

    def of(pixels: int) -> _Words | None:
        counts = _rows_of_words(layer, pe, bits, family, pixels)
        if isinstance(counts, str):
            return None
        fields, below = _lane_fields(layer, pe), [row for count in counts for row in range(count)]
        stored = sum(int(fields[depth, row]) for row, depth in enumerate(below))
        return _Words(counts, pixels, bits, stored, len(counts) * (m // pixels) * (simd + accumulators))

    possible = [words for pixels in range(1, m + 1) if m % pixels == 0 and (words := of(pixels))]
    if not possible:
        raise UnsupportedError(
            f"layer {layer.name} cannot be computed in DSPs: {_rows_of_words(layer, pe, bits, family, 1)}. Choose another "
            "mvau_style for it."
        )
    return min(possible, key=lambda words: words.dsps)


@lru_cache(maxsize=4096)
def _words_of_taps(layer: MatrixVector, simd: int, taps: int, kernel_height: int, family: str, m: int) -> _Words:
    """A word for each row of the matrix of `layer`, with that many columns of a kernel, and `m` pixels. Raises UnsupportedError for
    what no DSP holds."""
    fields = _tap_fields(layer, taps, kernel_height)
    widest = fields.max(axis=0).tolist()
    bits = max(*_row_bits(layer, layer.mh), layer.input_type.bits + 1, *widest)
    try:
        check_taps(bits, widest, layer.input_type, DSPS[family], m)
    except ValueError as error:
        raise UnsupportedError(
            f"layer {layer.name} cannot be computed in DSPs with {taps} columns of its kernel in each: {error}. Leave taps out."
        ) from error
    return _Words((1,) * layer.mh, m, (bits,) * layer.mh, int(fields.sum()), layer.mh * (simd + 1))


@lru_cache(maxsize=256)
def _tap_fields(layer: MatrixVector, taps: int, kernel_height: int) -> np.ndarray:
    """The bits in which the weights of each row are stored of each column of a kernel, the last one first: int64 (rows, taps)."""
    weights = _by_tap(layer.weights, taps, kernel_height)[:, ::-1]
    fields = Packing.fields(weights)
    ends = zip(fields.min(axis=2).ravel().tolist(), fields.max(axis=2).ravel().tolist(), strict=True)
    return np.array([range_bits(*pair) for pair in ends], np.int64).reshape(len(weights), taps)


@lru_cache(maxsize=4096)
def _share_of_bits(layer: MatrixVector, pe: int, simd: int, taps: int, kernel_height: int) -> float:
    """Of the memories of the weights, one for each column of a beat, see `share_of_bits`."""
    words = layer.mw // taps // simd * (layer.mh // pe)
    if taps > 1:
        by_column = _by_tap(layer.weights, taps, kernel_height).reshape(1, layer.mh * taps, -1, simd)
    else:
        by_column = layer.weights.reshape(layer.mh // pe, pe, -1, simd)
    columns = by_column[..., :: max(simd // _SAMPLED_COLUMNS, 1)].transpose(3, 0, 2, 1)
    return share_of_bits(columns.reshape(-1, words, pe * taps), layer.weight_type.bits)


def _tap_turns(layer: MatrixVector, bits: Sequence[int], folds: int, m: int) -> int:
    """The turns of lanes of so many `bits`, of each of `m` pixels, whose sums come every `folds` cycles."""
    if not layer.activates:
        return 1
    matrix = matrix_demand(layer)
    widths = [width for width in bits for _ in range(m)]
    given = matrix.requantizer, matrix.level_bits, matrix.output_bits
    return turns_of(matrix.thresholds, 1, widths, *given, folds, m)


def _by_tap(weights: np.ndarray, taps: int, kernel_height: int) -> np.ndarray:
    """`weights` (rows, MW) of windows, the columns of the kernel apart: (rows, taps, MW / taps)."""
    split = weights.reshape(len(weights), kernel_height, taps, -1)
    return split.swapaxes(1, 2).reshape(len(weights), taps, -1)


@lru_cache(maxsize=4096)
def _rows_of_words(
    layer: MatrixVector, pe: int, bits: tuple[int, ...], family: str, pixels: int
) -> tuple[int, ...] | str:
    """The rows of each word, or why there are no such words."""
    try:
        return tuple(pack_lanes(bits, _lane_fields(layer, pe), layer.input_type, DSPS[family], pixels))
    except ValueError as error:
        return str(error)


@lru_cache(maxsize=256)
def _row_bits(layer: MatrixVector, pe: int) -> tuple[int, ...]:
    """Of the whole sums in each of `pe` lanes."""
    bits = np.array(layer.accumulator_bits or [max(layer.exact_accumulator_bits())] * layer.mh)
    return tuple(bits.reshape(-1, pe).max(axis=0).tolist())


def _segment_bits(layer: MatrixVector, split: Segmentation, simd: int) -> int:
    """Of the segments of all rows, at least 2. An input that cannot be 0 counts as if it could, which may be a bit more."""
    step = split.folds * simd
    return _bits_of_parts(layer, step, step if split.chains == 1 else split.length)


@lru_cache(maxsize=4096)
def _bits_of_parts(layer: MatrixVector, step: int, length: int) -> int:
    """Of parts of `length` columns in every `step`, of which the last may have fewer."""
    starts = [first + column for first in range(0, layer.mw, step) for column in range(0, step, length)]
    return max(_segment_sums(layer).bits(starts), 2)


@lru_cache(maxsize=8)
def _segment_sums(layer: MatrixVector) -> SegmentSums:
    return SegmentSums.of(layer.weights, layer.input_type)


@lru_cache(maxsize=256)
def _lane_fields(layer: MatrixVector, pe: int) -> np.ndarray:
    """The bits of the fields of `pe` lanes, see `pack_lanes`."""
    widths: np.ndarray = _row_fields(layer).reshape(_MOST_ROWS, -1, pe).max(axis=1)
    return widths


@lru_cache(maxsize=64)
def _row_fields(layer: MatrixVector) -> np.ndarray:
    return field_widths(layer.weights, _MOST_ROWS)


def _accumulates(layer: MatrixVector, split: Segmentation, segments: int) -> bool:
    return split.folds > 1 or (segments == 1 and layer.bias is not None)


def _worthwhile(layer: MatrixVector, pe: int, simd: int, family: str, m: int) -> list[int]:
    """Into how many segments rows may be split, from 1 on, each for fewer DSPs than with fewer segments."""
    chosen: list[int] = []
    fewest = None
    for segments in _candidates(layer, simd, family, m):
        try:
            dsps = _words_of(layer, pe, simd, segments, family, m).dsps
        except UnsupportedError:
            continue
        if fewest is None or dsps < fewest:
            chosen.append(segments)
            fewest = dsps
    return chosen


@lru_cache(maxsize=1024)
def _candidates(layer: MatrixVector, simd: int, family: str, m: int) -> list[int]:
    """The fewest segments whose lanes are as narrow as one row more in a word takes, 1, and one a fold, which needs no DSP that
    accumulates."""
    folds = layer.mw // simd
    choices = Segmentation.choices(folds, simd)

    def bits(segments: int) -> int:
        split = Segmentation.of(folds, simd, segments)
        assert split is not None  # it is among the choices
        return _segment_bits(layer, split, simd)

    found = {1, folds}
    for limit in _lane_limits(layer, family, m):
        index = bisect_left(choices, -limit, key=lambda segments: -bits(segments))
        found |= set(choices[index : index + 1])
    return sorted(found)


@lru_cache(maxsize=64)
def _lane_limits(layer: MatrixVector, family: str, m: int) -> list[int]:
    """The most bits of lanes with which a word takes one row, two rows, and so on, of a pixel and of several, as far as they hold
    a product."""
    ends = IntType(int(layer.weights.min()), int(layer.weights.max()))
    limits = set()
    for pixels in (pixels for pixels in range(1, m + 1) if m % pixels == 0):
        for rows in range(1, _MOST_ROWS + 1):
            fitting = (
                bits
                for bits in range(DSPS[family].p, 1, -1)
                if any_rows(ends, layer.input_type, bits, DSPS[family], rows, pixels)
            )
            limits.add(next(fitting, 0))
    product = _bits_of_parts(layer, layer.mw, 1)
    return sorted((limit for limit in limits if limit >= product), reverse=True)


def _turn_interval(split: Segmentation, segments: int, synapse_folds: int) -> int:
    """The most turns that thresholds may have."""
    return synapse_folds if segments == 1 or split.folds < _FEWEST_TURNS else split.folds


def _add_segments(
    demand: Demand, chains: int, bits: int, sums: Sequence[int], turns: int, *, accumulates: bool
) -> None:
    """Add to `demand` what adds up segments of so many `bits`: a LUT and a flip-flop for each bit of an adder, and where lanes
    have turns, a shift register for each bit of the sums that wait."""
    nodes, width = chains, bits
    while nodes > 1:
        demand.lut += len(sums) * (nodes // 2) * (width + 1)
        nodes, width = -(-nodes // 2), width + 1
        demand.ff += len(sums) * nodes * width / 2
    if accumulates:
        added = sum(sums) // turns
        demand.lut += added * (2 if turns > 2 else 1)
        demand.ff += added * min(turns, 3)
