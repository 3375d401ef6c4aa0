"""The delays that paths are added up from: of cells by family, and of nets, an optimistic and a pessimistic one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CELL_DELAYS", "CellDelays", "NetDelay"]

_FAN_OUT_FREE = 16  # loads that a net reaches without an addition, about what lies in the CLBs beside its driver


@dataclass(frozen=True)
class NetDelay:
    """What a net between two slices takes, in ns: `base`, and `per_doubling` for each doubling of its fan-out above 16.

    A LUT lies in one slice with the flip-flop or the carry chain that it feeds, and no net is between them: `shares` says
    whether also where it has other loads.
    """

    name: str
    base: float
    per_doubling: float = 0.0
    shares: bool = True

    def of(self, fan_out: int) -> float:
        return self.base + self.per_doubling * max(0.0, math.log2(max(fan_out, 1) / _FAN_OUT_FREE))


@dataclass(frozen=True)
class CellDelays:
    """Delays of the primitives of a family in one speed grade, in ns, and the two net delays."""

    part: str
    lut: float
    mux_in: float  # MUXF7 and MUXF8, from a LUT or a MUXF7 beside it
    mux_select: float
    clk_to_q: float
    setup_d: float
    setup_enable: float  # CE
    setup_reset: float  # R, S
    carry_entry: float  # S, DI or CYINIT of a CARRY4 to any CO
    carry_sum: float  # S, DI or CYINIT to any O
    carry_step: float  # CI to CO[3], the way to the next CARRY4 included
    carry_exit: float  # CI to O, or to CO[0] to CO[2]
    lutram_clk_to_out: float
    lutram_setup: float
    srl_clk_to_out: float
    srl_setup: float
    bram_clk_to_out: float
    bram_clk_to_out_registered: float
    bram_setup: float
    uram_clk_to_out: float
    uram_clk_to_out_registered: float
    uram_setup: float
    uncertainty: float
    optimistic: NetDelay
    pessimistic: NetDelay

    @property
    def nets(self) -> tuple[NetDelay, NetDelay]:
        return self.optimistic, self.pessimistic


CELL_DELAYS: Mapping[str, CellDelays] = {
    "xcup": CellDelays(
        part="UltraScale+, speed grade -2",
        lut=0.13,
        mux_in=0.07,
        mux_select=0.08,
        clk_to_q=0.105,
        setup_d=0.0,
        setup_enable=0.05,
        setup_reset=0.07,
        carry_entry=0.22,
        carry_sum=0.22,
        carry_step=0.02,
        carry_exit=0.10,
        lutram_clk_to_out=0.50,
        lutram_setup=0.18,
        srl_clk_to_out=0.50,
        srl_setup=0.08,
        bram_clk_to_out=0.95,
        bram_clk_to_out_registered=0.30,
        bram_setup=0.30,
        uram_clk_to_out=1.40,
        uram_clk_to_out_registered=0.40,
        uram_setup=0.35,
        uncertainty=0.15,
        optimistic=NetDelay("optimistic", 0.35),
        pessimistic=NetDelay("pessimistic", 0.60, 0.10, shares=False),
    ),
    "xc7": CellDelays(
        part="7-series, speed grade -1",
        lut=0.124,
        mux_in=0.22,
        mux_select=0.30,
        clk_to_q=0.456,
        setup_d=0.03,
        setup_enable=0.205,
        setup_reset=0.43,
        carry_entry=0.55,
        carry_sum=0.55,
        carry_step=0.117,
        carry_exit=0.334,
        lutram_clk_to_out=1.31,
        lutram_setup=0.45,
        srl_clk_to_out=1.63,
        srl_setup=0.17,
        bram_clk_to_out=2.454,
        bram_clk_to_out_registered=0.882,
        bram_setup=0.566,
        uram_clk_to_out=0.0,
        uram_clk_to_out_registered=0.0,
        uram_setup=0.0,
        uncertainty=0.15,
        optimistic=NetDelay("optimistic", 0.50),
        pessimistic=NetDelay("pessimistic", 0.85, 0.15, shares=False),
    ),
}
