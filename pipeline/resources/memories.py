"""Which primitives Yosys makes of a memory, and how many: the rule of hw/rtl/rom.sv and simple_dual_port_ram.sv.

Yosys maps a memory to whatever costs least by its own libraries. What is here repeats that choice; the sizes of the
primitives are those of UG474 and UG574, the prices found by synthesizing memories of 4 to 144 bits and 8 to 4,096
words.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Storage", "ram", "rom"]

# LUTs of a distributed memory, and the bits it is wide, at 32 and at 64 words
_DISTRIBUTED = {"xcup": ((8, 14), (8, 7)), "xc7": ((4, 6), (4, 3))}
_BLOCK_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))  # of 18 Kb: words, bits
_BLOCK_PRICE_RAM, _BLOCK_PRICE_ROM = 72, 136  # LUTs that are worth a block of 18 Kb


class Storage(NamedTuple):
    """LUTs and 18 Kb blocks of a memory, one or the other; and the flip-flops of its output, which a block has."""

    lut: int
    bram_18k: int
    ff: int


def ram(width: int, depth: int, family: str) -> Storage:
    """A memory of `depth` words of `width` bits that is written and read in every cycle."""
    (short_luts, short_bits), (long_luts, long_bits) = _DISTRIBUTED[family]
    if depth <= 32:
        luts = short_luts * -(-width // short_bits)
    else:
        luts = -(-depth // 64) * long_luts * -(-width // long_bits)
    return _cheaper(luts, _blocks(width, depth), _BLOCK_PRICE_RAM, width)


def rom(width: int, depth: int) -> Storage:
    """A memory of `depth` constant words of `width` bits; a single word is no memory."""
    if depth < 2:
        return Storage(0, 0, 0)
    return _cheaper(width * -(-depth // 64), _blocks(width, depth), _BLOCK_PRICE_ROM, width)


def _cheaper(luts: int, blocks: int, price: int, width: int) -> Storage:
    return Storage(0, blocks, 0) if luts > price * blocks else Storage(luts, 0, width)


def _blocks(width: int, depth: int) -> int:
    return min(-(-depth // words) * -(-width // bits) for words, bits in _BLOCK_SHAPES)
