"""SparseMVAU: a matrix-vector-activation unit that stores and multiplies by no weight that is zero."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import log2
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.bounds import exact_range, range_bits
from pipeline.dataflow.layer import Folding, Memory, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.rising import running_max
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram, rom
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.matrix_vector import (
    LARGE_CHANNELS,
    LARGE_ROWS,
    MatrixVector,
    StoredMatrixVector,
    add_ends,
    draw_matrix,
    matrix_demand,
)
from pipeline.kernels.product_pair import product_latency, product_width, recodes_input

__all__ = ["SparseMVAU", "assign_rows", "longest_schedule", "row_lengths", "schedule_of", "sparse_cycles"]

_WINDOWS = 2  # of which the FIFOs hold sums, but for a few with short schedules; see `windows`
_ROWS = 2  # that a walker takes at least, for walks of like length
_MOST_RESULTS = (1 << 16) - 1  # of a walker and a window, as the hardware counts them


@dataclass(frozen=True, eq=False)
class SparseMVAU(StoredMatrixVector):
    """A StoredMatrixVector of which `pe` walkers go through the weights that are not zero, one each in a cycle.

    `simd` elements a beat go in and `lanes` rows a beat come out: row r in lane r % lanes, computed by one of the
    walkers p with p % lanes == r % lanes. All walkers take as long as the longest schedule. A walker's sums are as
    wide as the widest of its rows. Of `m` pixels side by side a walker multiplies by the same weight in a cycle.

    Raises ConfigError for a folding that does not divide, UnsupportedError for what cannot be built.
    """

    pe: int = 1
    simd: int = 1
    lanes: int = 1

    op_type: ClassVar[str] = "SparseMVAU"
    module: ClassVar[str] = "sparse_mvau"
    finn_operator: ClassVar[str] = "MVAU"
    finn_attributes: ClassVar[Mapping[str, str]] = {
        "PE": "pe",
        "SIMD": "simd",
        "lanes": "lanes",
        "M": "m",
        "ram_style": "ram_style",
    }
    lut_purpose: ClassVar[str] = "glue"
    style: ClassVar[str] = "sparse"
    weight_file: ClassVar[str] = "WalkFile"

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, fold, size, of in (
            ("SIMD", self.simd, self.mw, "columns (MW)"),
            ("lanes", self.lanes, self.mh, "rows (MH)"),
            ("lanes", self.lanes, self.pe, "walkers (PE)"),
        ):
            if fold < 1 or size < 1 or size % fold:
                raise ConfigError(f"layer {self.name}: {what} = {fold} does not divide its {size} {of}.")
        if self.pe > self.mh:
            raise ConfigError(f"layer {self.name}: PE = {self.pe} is more than its {self.mh} rows (MH).")
        if max(map(len, self.schedules)) > _MOST_RESULTS // 2:
            raise UnsupportedError(f"layer {self.name} has {self.mh} rows for {self.pe} walkers; use more walkers.")

    # -- who computes what ------------------------------------------------------------------------------------------

    @cached_property
    def schedules(self) -> tuple[tuple[int, ...], ...]:
        """The rows of each walker, in rising order."""
        return assign_rows(row_lengths(self.weights), self.pe, self.lanes)

    @cached_property
    def steps(self) -> int:
        """Cycles of the longest schedule."""
        return longest_schedule(row_lengths(self.weights), self.schedules)

    # -- accumulators -----------------------------------------------------------------------------------------------

    def _row_bits(self) -> tuple[int, ...]:
        """The bits for the sum of each row, before its bias is added and after."""
        before = map(range_bits, *exact_range(self.weights, self.input_type))
        return tuple(map(max, before, self.accumulator_bits or self.exact_accumulator_bits()))

    def lane_accumulator_bits(self) -> tuple[int, ...]:
        """The width of the sums of each walker."""
        bits = self._row_bits()
        return tuple(max((bits[row] for row in rows), default=1) for rows in self.schedules)

    # -- streams ----------------------------------------------------------------------------------------------------

    def lanes_in(self) -> int:
        return self.simd

    def lanes_out(self) -> int:
        return self.lanes

    # -- behaviour --------------------------------------------------------------------------------------------------

    def cycles(self) -> int:
        return sparse_cycles(self.vectors, self.steps, self.mw // self.simd, self.mh // self.lanes)

    def latency(self) -> int:
        """Cycles from the last beat of a vector to the first of its results, if the schedule of its first rows ends first.

        The sum names the stages that follow.
        """
        loaded = chosen = output = 1
        waits = 2  # cycles in the FIFO
        bias = int(self.bias is not None)
        first = max(self.finished()[: self.lanes])
        return loaded + first + self._summed() + waits + chosen + bias + self.search_latency() + output

    def _summed(self) -> int:
        """From the last step of a row to its sum at the FIFO, through the stages that the sum below names."""
        step = word = element = total = 1
        return step + word + element + product_latency(self.input_type, self.weight_type) + total

    @cached_property
    def windows(self) -> int:
        """Windows of which sums may be in the FIFOs or on their way, so that no walker has to wait for their places."""
        finished = np.array(self.finished()).reshape(-1, self.lanes).max(axis=1)
        beats = len(finished)
        waits = freed = 2  # cycles in the FIFO, and until a walker may begin in the places that the last sums leave
        sent = int((finished + np.arange(beats)[::-1]).max()) + self._summed() + waits  # from the first step on
        return max(2, -(-(sent + freed) // max(self.steps, self.mw // self.simd, beats)))

    def _results(self) -> list[int]:
        """The sums that the FIFO of each walker holds."""
        return [max(self.windows * len(rows), 1) for rows in self.schedules]

    def finished(self) -> tuple[int, ...]:
        """The step of its schedule, counted from 0, in which the sum of each row is complete."""
        lengths = row_lengths(self.weights)
        ends = [0] * self.mh
        for rows in self.schedules:
            done = 0
            for row in rows:
                done += int(lengths[row])
                ends[row] = done - 1
        return tuple(ends)

    def inputs_needed(self) -> np.ndarray:
        vectors = np.arange(1, self.vectors + 1, dtype=np.int64)
        return np.repeat(vectors * (self.mw // self.simd), self.mh // self.lanes)

    def beat_times(
        self, arrivals: np.ndarray, frames: int, spacing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A sparse MVAU walks a vector when all of it is there, while the next one takes the place of the one before."""
        words, beats, steps = self.mw // self.simd, self.mh // self.lanes, self.steps
        finished = np.maximum.accumulate(np.array(self.finished()).reshape(beats, self.lanes).max(axis=1))
        behind = self.latency() - 1 - finished[0]  # from the step in which a beat's rows are complete to the beat
        word = np.arange(words, dtype=np.int64)
        alone = (
            np.maximum.accumulate(arrivals.reshape(-1, words) - word, axis=1) + word
        )  # if nothing held a vector back
        room: list[int] = []  # of each vector: the cycle from which there is a place for it
        starts: list[int] = []
        free, walked = 0, 0  # from when on its first word may come, and the walk be free
        for vector, last in enumerate(alone[:, -1].tolist()):
            room.append(max(free, starts[vector - 2] + steps + 1) if vector > 1 else free)
            free = max(last, room[-1] + words - 1) + 1
            starts.append(max(free, walked))
            walked = starts[-1] + steps
        taken = np.maximum(alone, np.array(room)[:, None] + word).ravel()
        sent = (np.array(starts)[:, None] + finished + behind).ravel()
        return running_max(sent, np.arange(len(sent), dtype=np.int64)), taken

    # -- folding ----------------------------------------------------------------------------------------------------

    @classmethod
    def foldings_of(
        cls, layer: MatrixVector, budget: int | None = None, walkers: int | None = None
    ) -> tuple[Folding, ...]:
        return tuple(cls._foldings(layer, budget, walkers))

    @classmethod
    def _foldings(cls, layer: MatrixVector, budget: int | None, walkers: int | None) -> Iterator[Folding]:
        pixels = layer.pixels[0] * layer.pixels[1]
        lengths = tuple(row_lengths(layer.weights).tolist())
        entries = sum(lengths)
        for lanes in divisors(layer.mh):
            shares: Sequence[int] = range(1, layer.mh // lanes + 1)
            if walkers is not None:
                shares = [walkers // lanes] if walkers % lanes == 0 and walkers <= layer.mh else []
            for simd in divisors(layer.mw):
                words, beats = layer.mw // simd, layer.mh // lanes
                for share in shares:
                    if budget is not None and share < shares[-1]:
                        least = sparse_cycles(
                            pixels, -(-entries // (lanes * share)), words, beats
                        )  # schedules of equal length
                        if least > budget:
                            continue
                    steps = _schedule_of(lengths, lanes * share, lanes)[1]
                    cycles = sparse_cycles(pixels, steps, words, beats)
                    if budget is None or cycles <= budget or share == shares[-1]:
                        yield Folding(
                            {"pe": lanes * share, "simd": simd, "lanes": lanes}, simd, lanes, cycles, cls.style
                        )
                        break

    @classmethod
    def pixels_within(cls, layer: MatrixVector, budget: int, counts: Sequence[int]) -> int:
        """Of the `counts` of pixels side by side the fewest with which a walker has time for `_ROWS` of the longest row within
        a `budget` of cycles, or, if there are none, for that row; the most of them if it never has.

        A row has one walker, so that more walkers are of no use; and with few rows for each, walks are of unlike length.
        """
        pixels, longest = layer.pixels[0] * layer.pixels[1], int(row_lengths(layer.weights).max())
        for rows in (_ROWS, 1):
            for m in counts:
                if sparse_cycles(pixels // m, rows * longest, 1, 1) <= budget:
                    return m
        return counts[-1]

    @classmethod
    def demand_of(cls, layer: MatrixVector, fields: Mapping[str, Any], family: str) -> Demand:
        m = int(fields.get("m", 1))
        least, weights = _least_demand(layer, fields["pe"], fields["simd"], fields["lanes"], m, family)
        demand = replace(least, terms=least.terms.copy())
        demand.store_weights("walk", *weights, fields.get("ram_style", "auto"))
        return demand

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        while True:
            matrix = draw_matrix(draw, 20_000)
            rows, columns = matrix["weights"].shape
            lanes, simd = draw.lanes(rows, 16), draw.lanes(columns, 16)
            pe = lanes * draw.one_of([1, 1, 2, 4])
            if pe <= min(rows, 32) and pe * simd <= 128:
                return cls("layer", ("x",), ("y",), **matrix, pe=pe, simd=simd, lanes=lanes)

    @classmethod
    def draw_several(cls, draw: Draw) -> Self:
        """A matrix that takes several pixels side by side."""
        while True:
            layer = cls.draw(draw)
            m = draw.one_of([2, 4])
            if m * layer.pe * layer.simd <= 256:
                return replace(layer, m=m)

    @classmethod
    def draw_large(cls, draw: Draw) -> Self:
        """A matrix larger than these, as ResNet-18 has them."""
        while True:
            matrix = draw_matrix(draw, 80_000, LARGE_ROWS, LARGE_CHANNELS)
            rows, columns = matrix["weights"].shape
            lanes, simd = draw.one_of([1, 1, 1, 2, 4]), draw.lanes(columns, 18)
            pe = lanes * draw.one_of([4, 7, 8, 11, 16, 22, 32])
            if pe <= 64 and pe * simd <= 400 and rows * columns >= 100_000:
                return cls("layer", ("x",), ("y",), **matrix, pe=pe, simd=simd, lanes=lanes)

    # -- hardware ---------------------------------------------------------------------------------------------------

    def sum_bits(self) -> tuple[int, ...]:
        return (max(self.lane_accumulator_bits()),) * self.lanes

    def parameters(self) -> dict[str, int | str]:
        weight, input_ = self.weight_type, self.input_type
        return super().parameters() | {
            "Simd": self.simd,
            "Pe": self.pe,
            "Lanes": self.lanes,
            "Pixels": self.m,
            "Steps": self.steps,
            "WeightWidth": weight.bits,
            "RecodeInput": int(recodes_input(input_, weight)),
            "ProductWidth": product_width(input_, weight),
            "AccWidths": pack_word(self.lane_accumulator_bits(), 8),
            "LaneWidth": max(self.lane_accumulator_bits()),
            "Windows": self.windows,
            "Results": pack_word(self._results(), 16),
            "HasBias": int(self.bias is not None),
        }

    def memories(self) -> dict[str, Memory]:
        memories = super().memories() | {"OrderFile": self._order_memory()}
        if self.bias is not None:
            width = max(self.lane_accumulator_bits())
            words = tuple(pack_word(row, width) for row in self.bias.reshape(-1, self.lanes))
            memories["BiasFile"] = Memory(width * self.lanes, words)
        return memories

    def weight_memory_bits(self) -> int:
        order = self._order_memory()
        return self.pe * self._entry_bits() * self.steps + order.width * len(order.words)

    def _entry_bits(self) -> int:
        element_bits = max((self.simd - 1).bit_length(), 1)
        word_bits = max((self.mw // self.simd - 1).bit_length(), 1)
        return self.weight_type.bits + element_bits + word_bits + 1

    def weight_memory(self) -> Memory:
        """One word a step: walker by walker the weight, the element of the beat, the beat, and whether the row ends."""
        element_bits = max((self.simd - 1).bit_length(), 1)
        weight_bits = self.weight_type.bits
        width = self._entry_bits()
        weights, words, elements, ends = self._entries()
        entries = weights & ((1 << weight_bits) - 1)
        entries |= elements << weight_bits | words << (weight_bits + element_bits) | ends << (width - 1)
        return Memory(width * self.pe, tuple(pack_word(step, width) for step in entries))

    def _entries(self) -> np.ndarray:
        """For each step and walker the weight, the beat, the element of the beat, and whether the row ends.

        int64 of (4, steps, PE), zero after the end of a schedule.
        """
        entries = np.zeros((4, self.steps, self.pe), np.int64)
        for walker, rows in enumerate(self.schedules):
            step = 0
            for row in rows:
                columns = np.flatnonzero(self.weights[row])
                if not columns.size:
                    columns = np.zeros(1, np.int64)
                words, elements = np.divmod(columns, self.simd)
                ends = np.arange(len(columns)) == len(columns) - 1
                entries[:, step : step + len(columns), walker] = self.weights[row, columns], words, elements, ends
                step += len(columns)
        return entries

    def _order(self) -> np.ndarray:
        """For each row the number of its walker among those of its lane, and its own number among those of the walker.

        int64 of (2, MH).
        """
        order = np.zeros((2, self.mh), np.int64)
        for walker, rows in enumerate(self.schedules):
            order[:, rows] = np.full(len(rows), walker // self.lanes), np.arange(len(rows))
        return order

    def _order_memory(self) -> Memory:
        """One word an output beat: lane by lane the number of the walker among those of the lane."""
        bits = max((self.pe // self.lanes - 1).bit_length(), 1)
        owners, _ = self._order()
        return Memory(bits * self.lanes, tuple(pack_word(beat, bits) for beat in owners.reshape(-1, self.lanes)))

    def hls_parameters(self) -> dict[str, int | bool | tuple[int, ...]]:
        walkers = self.lane_accumulator_bits()
        lengths = row_lengths(self.weights)
        return super().hls_parameters() | {
            "Simd": self.simd,
            "Pe": self.pe,
            "Lanes": self.lanes,
            "Pixels": self.m,
            "Steps": self.steps,
            "Rows": max(map(len, self.schedules)),
            "WeightWidth": self.weight_type.bits,
            "LaneWidth": max(walkers),
            "acc_width": walkers * self.m,
            "walk_length": tuple(int(lengths[list(rows)].sum()) for rows in self.schedules),
            "Accumulators": self.pe + (self.lanes if self.bias is not None else 0),
        }

    def hls_tables(self) -> dict[str, Table]:
        weights, *positions = self._entries()
        owners, places = (numbers.reshape(-1, self.lanes) for numbers in self._order())
        biases = Table.absent(2)
        if self.bias is not None:
            lane_type = IntType.of_bits(max(self.lane_accumulator_bits()), signed=True)
            biases = Table(self.bias.reshape(-1, self.lanes), lane_type)
        counts = dict(zip(("words", "elements", "ends"), positions, strict=True)) | {"order": owners, "places": places}
        return {
            "weights": Table(weights, self.weight_type),
            **{name: Table(values, IntType(0, int(values.max()))) for name, values in counts.items()},
            "biases": biases,
            "thresholds": self.hls_thresholds(),
        }

    def hls_pragmas(self, name: str) -> tuple[str, ...]:
        """All parts of a schedule's entries are in the memory of the weights."""
        weights = f"{name}_weights"
        return tuple(
            pragma.replace(weights, f"{name}_{table}")
            for pragma in super().hls_pragmas(name)
            for table in ("weights", "words", "elements", "ends")
        )


def schedule_of(layer: MatrixVector, pe: int, lanes: int) -> tuple[tuple[tuple[int, ...], ...], int]:
    """The rows of each walker through the weights of `layer`, and the entries of the longest schedule."""
    return _schedule_of(tuple(row_lengths(layer.weights).tolist()), pe, lanes)


@lru_cache(maxsize=4096)  # by the lengths: with other pixels side by side a layer has the same
def _schedule_of(lengths: tuple[int, ...], pe: int, lanes: int) -> tuple[tuple[tuple[int, ...], ...], int]:
    entries = np.array(lengths)
    schedules = assign_rows(entries, pe, lanes)
    return schedules, longest_schedule(entries, schedules)


def row_lengths(weights: np.ndarray) -> np.ndarray:
    """The entries of each row: its weights that are not zero, and at least one. int64 of (MH,)."""
    entries: np.ndarray = np.maximum(np.count_nonzero(weights, axis=1), 1)
    return entries


def assign_rows(lengths: np.ndarray, pe: int, lanes: int) -> tuple[tuple[int, ...], ...]:
    """The rows of each of `pe` walkers, in rising order; row r goes to a walker p with p % lanes == r % lanes.

    The longest rows first, each to the walker that has the least to do (Graham, "Bounds on multiprocessing timing
    anomalies", 1969: no more than 4/3 of the best).
    """
    rows: list[list[int]] = [[] for _ in range(pe)]
    for lane in range(lanes):
        queue = [(0, 0, walker) for walker in range(lane, pe, lanes)]
        candidates = np.arange(lane, len(lengths), lanes)
        for row in candidates[np.argsort(-lengths[candidates], kind="stable")].tolist():
            work, count, walker = queue[0]
            rows[walker].append(row)
            heapq.heapreplace(queue, (work + int(lengths[row]), count + 1, walker))
    return tuple(tuple(sorted(assigned)) for assigned in rows)


def longest_schedule(lengths: np.ndarray, schedules: tuple[tuple[int, ...], ...]) -> int:
    """The entries of the walker that has the most of them."""
    return max(int(lengths[list(rows)].sum()) for rows in schedules)


def sparse_cycles(vectors: int, steps: int, words: int, beats: int) -> int:
    """Cycles for `vectors` of `words` beats in and `beats` out, walked in `steps`.

    A vector takes as long as its schedule, its beats in, or those of its results out; or, as there are two halves of
    memory, half of what one is busy with a vector: until it is loaded, and walked, and a cycle.
    """
    return max(vectors * max(steps, words, beats), (vectors * (words + steps + 1) + 1) // 2)


@lru_cache(maxsize=256)
def _least_demand(
    layer: MatrixVector, pe: int, simd: int, lanes: int, m: int, family: str
) -> tuple[Demand, tuple[int, int]]:
    """The demand besides the memory of the schedules, whatever that is made of; and the bits and the number of its words."""
    matrix = matrix_demand(layer)
    waiting, sums, widest = _walkers(layer, pe, lanes, m, family)
    demand = replace(waiting, terms=waiting.terms.copy())
    steps = schedule_of(layer, pe, lanes)[1]
    words = matrix.columns // simd
    word_bits, element_bits = max((words - 1).bit_length(), 1), max((simd - 1).bit_length(), 1)
    demand.store("window", ram(m * simd * matrix.input_bits, (1 << word_bits) + words, family), pe)
    demand.add(
        walkers=pe,
        products=m * pe * matrix.product_adders,
        factors=pe * (m * matrix.product_bits + 2 * matrix.weight_bits),
        stages=matrix.stages * m * pe * (matrix.input_bits + matrix.weight_bits + matrix.product_bits),
        selection=m * pe * matrix.input_bits * simd if simd > 1 else 0,
        accumulators=m * sums,
        counters=log2(steps) + log2(words) + log2(matrix.rows // lanes + 1),
        choice=m * pe * widest if pe > lanes else 0,
        chosen=m * lanes * widest,
    )
    if matrix.bias_bits:
        demand.store("biases", rom(lanes * widest, matrix.rows // lanes))
        demand.add(bias_adders=m * lanes * widest)
    add_ends(demand, matrix, [widest] * lanes, pixels=m)
    return demand, (pe * (matrix.weight_bits + element_bits + word_bits + 1), steps)


@lru_cache(maxsize=4096)
def _walkers(layer: MatrixVector, pe: int, lanes: int, m: int, family: str) -> tuple[Demand, int, int]:
    """What sums need that wait for their turn, whatever the lanes of the input; of a pixel the bits of all sums and of the
    widest."""
    matrix = matrix_demand(layer)
    demand = Demand(SparseMVAU.op_type)
    schedules, _ = schedule_of(layer, pe, lanes)
    sums = [int(matrix.row_bits[list(rows)].max()) if rows else 1 for rows in schedules]
    for rows, width in zip(schedules, sums, strict=True):
        address_bits = max((_WINDOWS * len(rows) - 1).bit_length(), 1)
        storage = ram(m * width, 1 << address_bits, family)
        demand.lut += storage.lut
        demand.bram_18k += storage.bram_18k
        demand.ff += 2 * m * width  # the sum on its way to the FIFO and the one at its output
        demand.add(fifos=1, result_counters=address_bits)
    return demand, sum(sums), max(sums)
