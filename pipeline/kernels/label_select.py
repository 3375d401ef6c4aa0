"""LabelSelect: the index of the largest class score."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import log2
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Memory, Stream, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.roles import Scaling
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.dsps import LOW_BITS, SUM_BITS, dsp_latency, multiplier_dsps
from pipeline.devices.memories import rom
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.elementwise import finn_elementwise
from pipeline.kernels.product_pair import product_adders, product_latency, recodes_input

__all__ = ["LabelSelect"]


@dataclass(frozen=True, eq=False)
class LabelSelect(Scaling):
    """The index of the largest multiplier · x + offset among `labels` elements; of equal ones, the lowest index.

    `multipliers` is int64 (labels,), positive, or None (1); `offsets` int64 (labels,) or None (0): what is left of
    scales and biases that differ by class. In (1, 1, labels), `pe` elements a beat: one, or where there are no
    multipliers but a power of two all, which a tree of comparisons takes in a cycle; out (1, 1, 1). `dsps` multiply and
    add, where there are multipliers, or look-up tables if it is 0. `adders_per_stage` and `ahead` are of a tree: how
    much stands between two of its registers, a comparison and the choice behind it counted as two adders, and the
    cycles of the layers before it that push (see `unrolled_mvau.py`). Raises ConfigError for another PE,
    UnsupportedError for what cannot be built.
    """

    labels: int
    input_type: IntType
    multipliers: np.ndarray | None = None
    offsets: np.ndarray | None = None
    pe: int = 1
    dsps: int = field(default=0, kw_only=True)
    adders_per_stage: int = field(default=1, kw_only=True)
    ahead: int = field(default=0, kw_only=True)

    op_type: ClassVar[str] = "LabelSelect"
    module: ClassVar[str] = "label_select"
    lut_purpose: ClassVar[str] = "glue"
    gives_label: ClassVar[bool] = True
    lut_purpose_of_cells: ClassVar[bool] = True  # its memory and its multiplier are for the classes' scales

    def __post_init__(self) -> None:
        if self.labels < 1:
            raise UnsupportedError(f"layer {self.name} has {self.labels} labels; at least 1 is needed.")
        for what, values in (("multipliers", self.multipliers), ("offsets", self.offsets)):
            if values is not None and values.shape != (self.labels,):
                raise UnsupportedError(
                    f"layer {self.name} has {what} of shape {values.shape}; expected ({self.labels},)."
                )
        if self.pe not in self.legal_values()["pe"]:
            why = "takes one element a cycle or all and" if self._shifts else "has a scale for each class and"
            others = f" or {self.labels}" if self._shifts else ""
            raise ConfigError(f"layer {self.name}: PE = {self.pe}; it {why} needs a PE of 1{others}.")
        if self.adders_per_stage < 1 or (self.ahead and not self.in_tree):
            raise ConfigError(
                f"layer {self.name}: adders_per_stage = {self.adders_per_stage} and ahead = {self.ahead}; the first must be "
                "at least 1, and the second 0 where elements come one by one."
            )
        if self.multipliers is not None and int(self.multipliers.min()) < 1:
            raise UnsupportedError(
                f"layer {self.name} has a multiplier of {self.multipliers.min()}; multipliers must be positive."
            )
        if self._score_type().bits > 63:
            raise UnsupportedError(
                f"layer {self.name} needs scores of {self._score_type().bits} bits; at most 63 can be "
                "built. Use coarser multipliers."
            )
        if self.dsps and (self.multipliers is None or self._score_type().bits > SUM_BITS):
            raise UnsupportedError(
                f"layer {self.name} has {self.dsps} DSPs; it needs multipliers for them, and scores of up to {SUM_BITS} bits."
            )

    @property
    def in_tree(self) -> bool:
        """Whether all elements are compared in a tree."""
        return self.pe > 1

    @property
    def alone(self) -> Self:
        return replace(self, ahead=0) if self.ahead else self

    @property
    def rtl_module(self) -> str:
        return "label_tree" if self.in_tree else self.module

    @property
    def multiplier_type(self) -> IntType:
        """The type of the multipliers, which there must be."""
        assert self.multipliers is not None
        return IntType(0, int(self.multipliers.max()))

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream((1, 1, self.labels), self.input_type, self.pe),)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream((1, 1, 1), IntType(0, self.labels - 1), 1),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        scores = inputs[0].astype(np.int64, copy=False)
        if self.multipliers is not None:
            scores = scores * self.multipliers
        if self.offsets is not None:
            scores = scores + self.offsets
        return (scores.argmax(axis=3, keepdims=True).astype(np.int64),)

    def cycles(self) -> int:
        return self.labels // self.pe

    def latency(self) -> int:
        """The input register, the multiplication and the addition where there are any, the best label, the output; DSPs add
        as they multiply, and their sum has a register more. Of a tree its stages."""
        if self.in_tree:
            levels = -(-(self.labels - 1).bit_length() // self._levels_per_stage)
            return int(self._registers_scores) + levels
        multiplication = 0
        if self.dsps:
            multiplication = dsp_latency(self.dsps)
        elif self.multipliers is not None:
            multiplication = product_latency(self.input_type, self.multiplier_type)
        return 4 + multiplication + (self.offsets is not None or self.dsps > 0)

    @property
    def _levels_per_stage(self) -> int:
        """Levels of a tree between two registers."""
        return max(self.adders_per_stage // 2, 1)

    @property
    def _registers_scores(self) -> bool:
        """Whether a register of a tree follows the addition of the offsets: the first levels leave no time for it."""
        return self.offsets is not None and self.adders_per_stage < 2 * self._levels_per_stage + 1

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": (1, self.labels) if self._shifts and self.labels > 1 else (1,)}

    @property
    def _shifts(self) -> bool:
        """Whether no multiplication is needed: all multipliers are the same power of two."""
        if self.multipliers is None:
            return True
        first = int(self.multipliers[0])
        return first & (first - 1) == 0 and bool((self.multipliers == first).all())

    @property
    def scales(self) -> bool:
        return self.multipliers is not None

    def with_multipliers_in_dsps(self, family: str) -> Self | None:
        value_bits = self.input_type.bits + (not self.input_type.signed)
        dsps = multiplier_dsps(value_bits, self._multiplier_width() + 1, self._score_type().bits, family)
        return None if dsps is None else replace(self, dsps=dsps)

    def inputs_needed(self) -> np.ndarray:
        return np.array([self.labels // self.pe], np.int64)

    def demand(self, family: str) -> Demand:
        if self.in_tree:
            return self._tree_demand()
        demand, parameters = Demand(self.op_type), self.parameters()
        multiplier, offset, score = (parameters[f"{name}Width"] for name in ("Multiplier", "Offset", "Score"))
        for values, width in ((self.multipliers, multiplier), (self.offsets, offset)):
            if values is not None:
                varying = int(np.bitwise_or.reduce(values ^ values[0])) & ((1 << width) - 1)  # other bits are no memory
                demand.store("constants", rom(varying.bit_count(), self.labels))
        demand.add(score=score, labels=log2(self.labels + 1))
        if self.dsps:
            demand.dsp = self.dsps
            demand.ff += score + (LOW_BITS if self.dsps == 2 else 0)
            return demand
        demand.add(offset=offset)
        if self.multipliers is not None:
            types = self.input_type, self.multiplier_type
            registers = score + self.input_type.bits + multiplier
            demand.add(product=product_adders(*types), stages=product_latency(*types) * registers)
        return demand

    def _tree_demand(self) -> Demand:
        """Counted, not fitted: a LUT a bit of an addition, of a comparison and of a choice."""
        demand, score = Demand(self.op_type), self._score_type().bits
        index = (self.labels - 1).bit_length()
        demand.lut = (self.labels - 1) * (2 * score + index / 2) + 20
        demand.ff = 2 * self.labels * score / self._levels_per_stage + 20
        if self.offsets is not None:
            demand.lut += (self.labels - 1) * score
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        """LabelSelect, behind an ElementwiseMul and an ElementwiseAdd of the classes' scales where there are some."""
        nodes, stream, shape, scores = [], "in0", (1, 1, self.labels), self.input_type
        if self.multipliers is not None:
            ends = [scores.scaled(int(by)) for by in self.multipliers]
            product = IntType(min(end.lo for end in ends), max(end.hi for end in ends))
            nodes.append(finn_elementwise("Mul", shape, scores, product, self.multipliers, self.pe, stream, "products"))
            stream, scores = "products", product
        if self.offsets is not None:
            sums = self._score_type()
            nodes.append(finn_elementwise("Add", shape, scores, sums, self.offsets, self.pe, stream, "scores"))
            stream, scores = "scores", sums
        attributes = {
            "Labels": self.labels,
            "PE": self.pe,
            "K": 1,
            "inputDataType": scores.name,
            "outputDataType": self.outputs()[0].type.name,
            "numInputVectors": (1, 1, 1),
        }
        return (*nodes, FinnNode("LabelSelect", attributes, (stream,)))

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        labels, element = draw.one_of([2, 10, 12, 100]), IntType.of_bits(draw.one_of([8, 12, 16, 20]), signed=True)
        scaled, moved = draw.random.random(2) < 0.6
        factor, reach = 1 << draw.one_of([4, 8, 12, 25, 26]), 1 << draw.one_of([12, 28, 36])
        return cls(
            "layer", ("x",), ("y",), labels=labels, input_type=element,
            multipliers=draw.random.integers(1, factor, labels) if scaled else None,
            offsets=draw.random.integers(-reach, reach, labels) if moved else None,
        )  # fmt: skip

    def parameters(self) -> dict[str, int]:
        if self.in_tree:
            return {
                "Labels": self.labels,
                "InputWidth": self.input_type.bits,
                "InputSigned": int(self.input_type.signed),
                "Shift": 0 if self.multipliers is None else int(self.multipliers[0]).bit_length() - 1,
                "OffsetWidth": self._offset_width(),
                "ScoreWidth": self._score_type().bits,
                "OutputWidth": self.outputs()[0].type.bits,
                "LevelsPerStage": self._levels_per_stage,
                "RegisterScores": int(self._registers_scores),
                "Ahead": self.ahead,
            }
        return {
            "Labels": self.labels,
            "InputWidth": self.input_type.bits,
            "InputSigned": int(self.input_type.signed),
            "MultiplierWidth": self._multiplier_width(),
            **({"Dsps": self.dsps} if self.dsps else {}),
            "RecodeInput": int(self.scales and not self.dsps and recodes_input(self.input_type, self.multiplier_type)),
            "OffsetWidth": self._offset_width(),
            "ScoreWidth": self._score_type().bits,
            "OutputWidth": self.outputs()[0].type.bits,
        }

    def memories(self) -> dict[str, Memory]:
        if self.in_tree:
            width = self._offset_width()
            words = () if self.offsets is None else (pack_word(self.offsets, width),)
            return {"OffsetFile": Memory(width * self.labels, words)} if words else {}
        memories = {}
        for parameter, values, width in (
            ("MultiplierFile", self.multipliers, self._multiplier_width()),
            ("OffsetFile", self.offsets, self._offset_width()),
        ):
            if values is not None:
                memories[parameter] = Memory(width, tuple(pack_word([value], width) for value in values))
        return memories

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "Labels": self.labels,
            "Pe": self.pe,
            "InputWidth": self.input_type.bits,
            "InputSigned": self.input_type.signed,
            "MultiplierWidth": self._multiplier_width(),
            "OffsetWidth": self._offset_width(),
            "MultipliesInDsps": self.dsps > 0,
            "ScoreWidth": self._score_type().bits,
            "OutputWidth": self.outputs()[0].type.bits,
        }

    def hls_tables(self) -> dict[str, Table]:
        return {
            "multipliers": _table(self.multipliers, self._multiplier_width(), signed=False),
            "offsets": _table(self.offsets, self._offset_width(), signed=True),
        }

    def _multiplier_width(self) -> int:
        """Bits of the unsigned multipliers; 0 if there are none."""
        return 0 if self.multipliers is None else self.multiplier_type.bits

    def _offset_width(self) -> int:
        """Bits of the signed offsets; 0 if there are none."""
        return (
            0
            if self.offsets is None
            else IntType(min(int(self.offsets.min()), -1), max(int(self.offsets.max()), 0)).bits
        )

    def _score_type(self) -> IntType:
        """The smallest signed type that holds every score and every product, in Python integers."""
        ends = [-1, 1]  # an input of one bit, signed or not, also where it can only be 0
        for label in range(self.labels):
            multiplier = 1 if self.multipliers is None else int(self.multipliers[label])
            offset = 0 if self.offsets is None else int(self.offsets[label])
            for end in (self.input_type.lo, self.input_type.hi):
                ends += [multiplier * end, multiplier * end + offset]
        return IntType(min(ends), max(ends))


def _table(values: np.ndarray | None, bits: int, *, signed: bool) -> Table:
    return Table.absent(1) if values is None else Table(values, IntType.of_bits(bits, signed=signed))
