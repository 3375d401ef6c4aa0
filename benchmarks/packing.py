"""Speed of the driver's packing and unpacking, on one core: megabytes of the larger side a second of the processor's time.

Integers are in the narrowest type of numpy that holds them. So they are the larger side, except where the padding of a
slot is more than that of its integers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from a2q_driver.packing import beat_bytes, element_type, pack, slot_bytes, unpack

_WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 19, 24, 31, 32)
_LANES = (1, 3, 8, 16, 27, 64)
_USUAL = (1, 2, 4, 8, 16, 32)
_BOUND = 500  # MB/s, for the usual widths


def _seconds(function: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        function()
        best = min(best, time.process_time() - begun)
    return best


def _rates(bits: int, signed: bool, lanes: int, count: int, rounds: int) -> tuple[float, float]:
    """Megabytes a second of packing and of unpacking `count` integers."""
    lo, hi = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    values = np.random.default_rng(0).integers(lo, hi, (count // lanes, lanes)).astype(element_type(bits, signed))
    slot = slot_bytes(beat_bytes(lanes, bits))
    slots = pack(values, bits, signed, lanes, slot)
    megabytes = max(values.nbytes, slots.nbytes) / 1e6
    packing = _seconds(lambda: pack(values, bits, signed, lanes, slot, out=slots), rounds)
    return megabytes / packing, megabytes / _seconds(lambda: unpack(slots, bits, signed, lanes), rounds)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1 << 21, help="integers (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="of which the fastest counts (default: %(default)s)")
    parser.add_argument("--unsigned", action="store_true", help="unsigned integers instead of signed ones")
    options = parser.parse_args()
    columns = [f"{lanes} lane{'s' if lanes > 1 else ''}" for lanes in _LANES]
    table = Table("bits", *columns, title="MB/s of the larger side, packed / unpacked", box=None)
    slowest: dict[bool, float] = {}
    for bits in _WIDTHS:
        rates = [_rates(bits, not options.unsigned, lanes, options.count, options.rounds) for lanes in _LANES]
        table.add_row(str(bits), *(f"{packing:,.0f} / {unpacking:,.0f}" for packing, unpacking in rates))
        slowest[bits in _USUAL] = min(slowest.get(bits in _USUAL, float("inf")), *map(min, rates))
    Console().print(table)
    usual = ", ".join(map(str, _USUAL))
    print(
        f"slowest of {usual} bits: {slowest[True]:,.0f} MB/s, bound {_BOUND}; of the others: {slowest[False]:,.0f} MB/s"
    )


if __name__ == "__main__":
    _main()
