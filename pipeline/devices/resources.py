"""What something takes of an FPGA, or what a part has, by whichever tool or document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from operator import add, attrgetter

__all__ = ["PART_KEYS", "REPORT_KEYS", "Resources"]

REPORT_KEYS: Mapping[str, str] = {
    "LUT": "lut",
    "LUTRAM": "lutram",
    "SRL": "srl",
    "FF": "ff",
    "Carry": "carry",
    "BRAM_18K": "bram_18k",
    "URAM": "uram",
    "DSP": "dsp",
}
"""The field of `Resources` behind each key of a report; the keys are FINN's, where FINN has one."""

PART_KEYS = ("LUT", "FF", "BRAM_18K", "URAM", "DSP")
"""The keys of the resources that a part is specified by. The others have no limit besides: see `Resources`."""


@dataclass(frozen=True)
class Resources:
    """Resources of an FPGA: whole where they are counted, fractions where they are estimated.

    `lut` includes `lutram` (LUTs used as memory) and `srl` (as shift registers). `carry` counts CARRY4 and CARRY8 cells.
    Block RAM is in blocks of 18 Kb, of which a RAMB36 is two; `uram` is in blocks of 288 Kb.
    """

    lut: float = 0
    lutram: float = 0
    srl: float = 0
    ff: float = 0
    carry: float = 0
    bram_18k: float = 0
    uram: float = 0
    dsp: float = 0

    @classmethod
    def from_report(cls, entry: Mapping[str, float], keys: Iterable[str] = tuple(REPORT_KEYS)) -> Resources:
        """The resources that `entry` has by the `keys` of a report. Raises KeyError for one that is not in it."""
        return cls(**{REPORT_KEYS[key]: entry[key] for key in keys})

    def to_report(self, keys: Iterable[str] = tuple(REPORT_KEYS)) -> dict[str, float]:
        """The resources by the `keys` of a report, in their order."""
        return {key: getattr(self, REPORT_KEYS[key]) for key in keys}

    @property
    def amounts(self) -> tuple[float, ...]:
        """The amounts in the order of the fields."""
        return _AMOUNTS(self)

    @property
    def bram_36k(self) -> float:
        """Block RAM in blocks of 36 Kb, as boards are specified; halves occur."""
        return self.bram_18k / 2

    def exceeded(self, capacity: Resources) -> dict[str, tuple[float, float]]:
        """By its key in a report each resource of which this is more than `capacity`: this amount, and that of `capacity`."""
        used, there = self.to_report(PART_KEYS), capacity.to_report(PART_KEYS)
        return {key: (used[key], there[key]) for key in PART_KEYS if used[key] > there[key]}

    def fits(self, capacity: Resources) -> bool:
        """Whether this is no more than `capacity`, of any resource that a part is specified by."""
        return not self.exceeded(capacity)

    def __add__(self, other: Resources) -> Resources:
        return Resources(*map(add, self.amounts, other.amounts))

    def __mul__(self, count: float) -> Resources:
        return Resources(*(amount * count for amount in self.amounts))


_AMOUNTS = attrgetter(*(field.name for field in fields(Resources)))
