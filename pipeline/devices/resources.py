"""What of an FPGA something takes, by whichever tool."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Utilization"]


@dataclass(frozen=True)
class Utilization:
    """Resources of an FPGA. `lut` includes `lutram` (LUTs used as memory) and `srl` (as shift registers).

    `carry` counts CARRY4 and CARRY8 cells as Yosys placed them; a RAMB36 is two of `bram_18k`.
    """

    lut: int = 0
    lutram: int = 0
    srl: int = 0
    ff: int = 0
    carry: int = 0
    bram_18k: int = 0
    uram: int = 0
    dsp: int = 0

    @property
    def bram_36k(self) -> float:
        """Block RAM in units of 36 Kb, as boards are specified; halves occur."""
        return self.bram_18k / 2

    def __add__(self, other: Utilization) -> Utilization:
        return Utilization(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, count: int) -> Utilization:
        return Utilization(*(getattr(self, f.name) * count for f in fields(self)))
