"""The delays that paths are added up from: of cells by family, and of nets, an optimistic and a pessimistic one.

docs/timing.md says where each figure is from; those that are assumed say so here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CELL_DELAYS", "CellDelays", "NetDelay", "graded"]

_GRADE = re.compile(r"-([1-3][A-Z]*)(?=-|$)")
_LOADS = 128  # of an input of an unrolled layer
_FAN_OUT_FREE = 16  # loads that a net reaches without an addition, about what lies in the CLBs beside its driver


@dataclass(frozen=True)
class NetDelay:
    """The delay of a net between slices, in ns: `base`, and `per_doubling` for each doubling of its fan-out above 16.

    A LUT lies in one slice with the flip-flop or the carry chain that it feeds, and no net is between them: `shares` says
    whether also where it has other loads.
    """

    name: str
    base: float
    per_doubling: float
    shares: bool

    def of(self, fan_out: int) -> float:
        return self.base + self.per_doubling * max(0.0, math.log2(max(fan_out, 1) / _FAN_OUT_FREE))


@dataclass(frozen=True)
class CellDelays:
    """Delays of the primitives of a family in one speed grade, in ns, and the net delays."""

    family: str
    grade: str
    lut: float
    mux_in: float  # MUXF7 and MUXF8, from what is beside them
    mux_select: float
    clk_to_q: float
    setup_d: float
    setup_enable: float  # CE
    setup_reset: float  # R, S
    carry_entry: float  # S, DI or CYINIT of a CARRY4 to any CO
    carry_sum: float  # S, DI or CYINIT to any O
    carry_step: float  # CI to CO[3], the way to the next CARRY4 included
    carry_exit: float  # CI to O, or to CO[0] to CO[2]
    carry_to_net: float  # from O out of the slice
    lutram_clk_to_out: float
    lutram_setup: float
    srl_clk_to_out: float
    srl_setup: float
    bram_clk_to_out: float
    bram_clk_to_out_registered: float
    bram_setup: float  # addresses, enables
    bram_setup_data: float
    uram_clk_to_out: float
    uram_clk_to_out_registered: float
    uram_setup: float
    dsp_clk_to_out: float  # of the register at its sum
    dsp_setup: float  # operands and addend, of the registers there
    dsp_setup_sum: float  # an addend without one
    uncertainty: float  # of the clock; skew is left out
    nets: tuple[NetDelay, ...]  # the optimistic one first

    def adders_between_registers(self, period_ns: float) -> int:
        """How many adders of look-up tables, one behind the other, a clock of `period_ns` leaves time for, by the pessimistic
        net delay; at least 1.

        Each is a net to its LUTs, these, a net to the carry chain where that is in another slice, and the chain from its entry
        to a sum. The first net has up to _LOADS loads.
        """
        net = self.nets[-1]
        to_chain = 0.0 if net.shares else net.of(1)
        adder = net.of(1) + self.lut + to_chain + self.carry_entry + self.carry_exit + self.carry_to_net
        once = self.clk_to_q + self.setup_d + self.uncertainty + net.of(_LOADS) - net.of(1)
        return max(int((period_ns - once) / adder), 1)

    @property
    def part(self) -> str:
        """The parts that the delays are of."""
        return f"{self.family}, speed grade -{self.grade}"


CELL_DELAYS: Mapping[str, CellDelays] = {
    "xcup": CellDelays(
        family="UltraScale+",
        grade="2",
        lut=0.13,
        mux_in=0.10,
        mux_select=0.08,
        clk_to_q=0.105,
        setup_d=0.025,
        setup_enable=0.06,
        setup_reset=0.07,  # assumed
        carry_entry=0.22,
        carry_sum=0.16,
        carry_step=0.025,
        carry_exit=0.12,
        carry_to_net=0.03,
        lutram_clk_to_out=0.32,
        lutram_setup=0.18,
        srl_clk_to_out=0.32,
        srl_setup=0.08,
        bram_clk_to_out=1.00,
        bram_clk_to_out_registered=0.23,
        bram_setup=0.39,
        bram_setup_data=0.30,
        uram_clk_to_out=2.06,
        uram_clk_to_out_registered=0.40,  # assumed
        uram_setup=0.40,  # assumed
        dsp_clk_to_out=0.35,  # assumed, as are the other two: little less than the 7-series'
        dsp_setup=0.30,
        dsp_setup_sum=1.20,
        uncertainty=0.15,  # assumed
        nets=(NetDelay("optimistic", 0.35, 0.0, True), NetDelay("pessimistic", 0.60, 0.10, False)),
    ),
    "xc7": CellDelays(
        family="7-series",
        grade="1",
        lut=0.124,
        mux_in=0.223,
        mux_select=0.296,
        clk_to_q=0.456,
        setup_d=0.0,
        setup_enable=0.202,
        setup_reset=0.404,
        carry_entry=0.548,
        carry_sum=0.618,
        carry_step=0.117,
        carry_exit=0.334,
        carry_to_net=0.18,
        lutram_clk_to_out=1.19,
        lutram_setup=0.654,
        srl_clk_to_out=1.472,
        srl_setup=0.173,
        bram_clk_to_out=2.454,
        bram_clk_to_out_registered=0.882,
        bram_setup=0.566,
        bram_setup_data=0.737,
        uram_clk_to_out=0.0,  # the family has none
        uram_clk_to_out_registered=0.0,
        uram_setup=0.0,
        dsp_clk_to_out=0.383,
        dsp_setup=0.324,
        dsp_setup_sum=1.244,
        uncertainty=0.15,  # assumed
        nets=(NetDelay("optimistic", 0.50, 0.0, True), NetDelay("pessimistic", 0.85, 0.15, False)),
    ),
}


def graded(delays: CellDelays, part: str) -> str:
    """The parts of `delays`, and a remark where `part`, the name of one, is of another speed grade."""
    grade = _GRADE.search(part)
    if grade and grade[1] != delays.grade:
        return f"{delays.part} ({part} is of grade -{grade[1]}, with other delays)"
    return delays.part
