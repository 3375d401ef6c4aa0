"""The primitives of a memory by Yosys, and their number: hw/rtl/rom.sv, simple_dual_port_ram.sv and loaded_uram.sv.

Yosys maps a memory to whatever costs least by its own libraries. What is here repeats that choice; the sizes of the
primitives are those of UG474 and UG574, the prices found by synthesizing memories of 4 to 144 bits and 8 to 4,096
words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.devices.resources import Resources

__all__ = ["Storage", "block_count", "loaded_uram", "ram", "rom", "share_of_bits"]

# LUTs of a distributed memory, and the bits it is wide, at 32 and at 64 words
_DISTRIBUTED = {"xcup": ((8, 14), (8, 7)), "xc7": ((4, 6), (4, 3))}
_BLOCK_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))  # of 18 Kb: words, bits
_BLOCK_PRICE_RAM, _BLOCK_PRICE_ROM = 72, 136  # LUTs that are worth a block of 18 Kb
_FEW_WORDS = 32  # of constants: with more of them two bits are seldom alike
_ULTRA_WORDS, _ULTRA_BITS = 4096, 72  # of a URAM288, which has no other shape


@dataclass(frozen=True)
class Storage(Resources):
    """What a memory takes, with the flip-flops of its output, which a block has; and how many words deep it is."""

    words: int = 0

    @property
    def ram_style(self) -> str:
        """FINN's name of it."""
        return "block" if self.bram_18k else "distributed"


def ram(width: int, depth: int, family: str) -> Storage:
    """A memory of `depth` words of `width` bits that is written and read in every cycle."""
    (short_luts, short_bits), (long_luts, long_bits) = _DISTRIBUTED[family]
    if depth <= 32:
        luts = short_luts * -(-width // short_bits)
    else:
        luts = -(-depth // 64) * long_luts * -(-width // long_bits)
    return _cheaper(luts, _BLOCK_PRICE_RAM, width, depth)


def rom(width: int, depth: int, ram_style: str = "auto") -> Storage:
    """A memory of `depth` constant words of `width` bits in the `ram_style` of hw/rtl/rom.sv; a single word is no
    memory."""
    if depth < 2:
        return Storage()
    if ram_style == "block":
        return Storage(bram_18k=block_count(width, depth), words=depth)
    luts = width * -(-depth // 64)
    if ram_style == "distributed":
        # the multiplexers of a slice join 256 words; beyond them a third more was counted, for 512 to 2,048 words
        return Storage(lut=luts if depth <= 256 else 4 * luts // 3, ff=width, words=depth)
    return _cheaper(luts, _BLOCK_PRICE_ROM, width, depth)


def share_of_bits(values: np.ndarray, bits: int) -> float:
    """The share of the bits of a word of constants that differ from each other, and from a constant, in some word.

    `values` is int64 (memories, words, values of a word), of so many `bits`. In look-up tables a bit is a function of the address:
    those that are alike are one, and with few words there are few functions. With more than 32 words all are taken to differ.
    """
    words = values.shape[1]
    if words > _FEW_WORDS:
        return 1.0
    places = np.int64(1) << np.arange(words, dtype=np.int64)[:, None]
    functions = np.concatenate([((values >> bit & 1) * places).sum(axis=1) for bit in range(bits)], axis=1)
    functions.sort(axis=1)
    constant = (functions == 0) | (functions == int(places.sum()))
    alike = np.diff(functions, axis=1, prepend=-1) == 0
    return 1 - float((constant | alike).mean())


def loaded_uram(width: int, depth: int) -> Storage:
    """A memory of `depth` words of `width` bits that is written at start-up, with what puts its words together.

    UltraRAMs and flip-flops are exact, LUTs within a few.
    """
    parts, address = -(-width // 32), (depth - 1).bit_length()
    part = (parts - 1).bit_length()
    luts = address // 2 + part + 3
    ff = 32 * (parts - 1) + part + address + 34  # parts of a word, counters, its place in the chain
    if depth < 2:
        return Storage(lut=luts, ff=ff + 2 * width)
    banks = -(-depth // _ULTRA_WORDS)
    luts += width * -(-(banks - 1) // 3)  # a LUT is a multiplexer of four
    uram = banks * -(-width // _ULTRA_BITS)
    return Storage(lut=luts, ff=ff + (banks - 1).bit_length(), uram=uram, words=depth)


def _cheaper(luts: int, price: int, width: int, depth: int) -> Storage:
    blocks = block_count(width, depth)
    if luts > price * blocks:
        return Storage(bram_18k=blocks, words=depth)
    return Storage(lut=luts, ff=width, words=depth)


def block_count(width: int, depth: int) -> int:
    """The blocks of 18 Kb of a memory of `depth` words of `width` bits."""
    return min(-(-depth // words) * -(-width // bits) for words, bits in _BLOCK_SHAPES)
