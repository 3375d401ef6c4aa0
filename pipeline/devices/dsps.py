"""Multiplications in DSP blocks: the DSP48E1 of the 7-series (UG479) and the DSP48E2 of UltraScale+ (UG579)."""

from __future__ import annotations

__all__ = ["LOW_BITS", "PORTS", "SUM_BITS", "dsp_latency", "multiplier_dsps"]

PORTS = {"xc7": (25, 18), "xcup": (27, 18)}
"""Bits of the operands that a block multiplies, two's complement, by Yosys' family: the wide one first."""

SUM_BITS = 48
"""Bits of what it adds up."""

LOW_BITS = 17
"""Bits of an operand that the first of two blocks multiplies; the second adds what the first has beyond as many bits."""


def multiplier_dsps(first_bits: int, second_bits: int, sum_bits: int, family: str) -> int | None:
    """The blocks of `family` that multiply integers of so many bits, two's complement, and add one, modulo 2^`sum_bits`: one,
    or two for a first operand that is cut in two; None if that takes more.

    >>> multiplier_dsps(18, 27, 45, "xcup"), multiplier_dsps(20, 24, 44, "xc7"), multiplier_dsps(36, 24, 48, "xc7")
    (1, 2, None)
    """
    if sum_bits > SUM_BITS:
        return None
    if _fits(first_bits, second_bits, family):
        return 1
    high_bits = max(first_bits - LOW_BITS, 1)
    both = (_fits(bits, second_bits, family) for bits in (LOW_BITS + 1, high_bits))
    return 2 if all(both) else None


def dsp_latency(dsps: int) -> int:
    """Cycles from operands to their product and its sum in so many DSPs: a register each, and one for the second sum."""
    return dsps + 2


def _fits(first_bits: int, second_bits: int, family: str) -> bool:
    wide, narrow = PORTS[family]
    return min(first_bits, second_bits) <= narrow and max(first_bits, second_bits) <= wide
