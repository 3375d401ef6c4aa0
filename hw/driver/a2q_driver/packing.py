"""How integers lie in memory: lanes in beats, beats in slots.

A beat holds `lanes` integers of `bits` bits each, in two's complement where they are signed, lane 0 in the least
significant bits, padded with zero bits to whole bytes. It lies at the start of a slot, little endian; what is left of
the slot is zero. A slot is as wide as the DMA's stream, or a whole number of its words, the least significant first. A
frame is its slots, and frames lie one after the other.

Integers come and go in the narrowest type of numpy that holds them. Neighbouring lanes are moved together in words of
up to 64 bits, whole arrays at a time, and the words are cut into bytes: the cost of a beat hardly depends on its bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import numpy as np

from a2q_driver.errors import DtypeError, RangeError

__all__ = ["WIDEST_STREAM", "beat_bytes", "element_type", "pack", "slot_bytes", "stream_bytes", "unpack"]

WIDEST_STREAM = 64
"""Bytes of the widest stream that is used; AXI DMA has up to 128 (PG021), its interconnect is cheaper below."""

_BLOCK = 1 << 17  # bytes of integers at a time, so that what lies between two steps stays in the cache
_NARROW_ROW = 8  # bytes up to which a row is copied faster column by column
_FEW_LANES = 8


def beat_bytes(lanes: int, bits: int) -> int:
    """Bytes that a beat of `lanes` integers of `bits` bits takes."""
    return (lanes * bits + 7) // 8


def slot_bytes(beat: int) -> int:
    """Bytes of the slot of a beat of `beat` bytes: the next power of two, or above 64 the next multiple of 64.

    >>> [slot_bytes(beat) for beat in (1, 3, 64, 65, 200)]
    [1, 4, 64, 128, 256]

    Raises ValueError for a beat of no bytes.
    """
    if beat < 1:
        raise ValueError(f"a beat of {beat} bytes has no slot; 1 is the least")
    if beat <= WIDEST_STREAM:
        return 1 << (beat - 1).bit_length()
    return -(-beat // WIDEST_STREAM) * WIDEST_STREAM


def stream_bytes(beat: int) -> int:
    """Bytes of a word of the stream that carries slots for beats of `beat` bytes: the slot itself, or 64.

    >>> [stream_bytes(beat) for beat in (1, 3, 64, 65, 200)]
    [1, 4, 64, 64, 64]

    Raises ValueError for a beat of no bytes.
    """
    return min(slot_bytes(beat), WIDEST_STREAM)


def element_type(bits: int, signed: bool) -> np.dtype:
    """The narrowest type of numpy that holds integers of `bits` bits, 1 to 64.

    >>> element_type(4, signed=False), element_type(17, signed=True)
    (dtype('uint8'), dtype('int32'))
    """
    if not 1 <= bits <= 64:
        raise ValueError(f"integers of {bits} bits; 1 to 64 can be packed")
    size = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
    return np.dtype(f"<{'i' if signed else 'u'}{size}")


def pack(
    values: np.ndarray, bits: int, signed: bool, lanes: int, slot: int, out: np.ndarray | None = None
) -> np.ndarray:
    """`values`, integers in any shape whose size is a multiple of `lanes`, as uint8 slots of shape (beats, slot).

    They are written to `out` where it is given. Raises DtypeError where `values` are no integers, RangeError where one
    does not fit its bits.
    """
    _check(values, bits, signed)
    elements = values.reshape(-1, lanes)
    if out is None:
        out = np.empty((len(elements), slot), np.uint8)
    beat = beat_bytes(lanes, bits)
    if _is_word(out, lanes, bits):
        for rows in _blocks(len(elements), lanes, bits):
            _pack_words(elements[rows], bits, out[rows].view(f"<u{slot}")[:, 0])
        return out
    for rows in _blocks(len(elements), lanes, bits):
        _pack_block(elements[rows], bits, out[rows, :beat])
    for column in range(beat, min(slot, beat + _NARROW_ROW)):
        out[:, column] = 0
    out[:, beat + _NARROW_ROW :] = 0
    return out


def unpack(slots: np.ndarray, bits: int, signed: bool, lanes: int) -> np.ndarray:
    """The inverse of `pack`: integers of shape (beats, lanes) from uint8 slots of shape (beats, slot).

    They are of `element_type(bits, signed)`. What lies in the slots behind the beats does not count.
    """
    result = np.empty((len(slots), lanes), element_type(bits, signed))
    beat = beat_bytes(lanes, bits)
    is_word = _is_word(slots, lanes, bits)
    for rows in _blocks(len(slots), lanes, bits):
        if is_word:
            _unpack_words(slots[rows].view(f"<u{slots.shape[1]}")[:, 0], bits, result[rows])
        else:
            _unpack_block(slots[rows, :beat], bits, result[rows])
    return result


def _check(values: np.ndarray, bits: int, signed: bool) -> None:
    if values.dtype.kind not in "iu":
        raise DtypeError(f"Values of type {values.dtype} cannot be packed; expected integers.")
    lo, hi = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    info = np.iinfo(values.dtype)
    if values.size == 0 or (info.min >= lo and info.max <= hi):
        return
    least, most = int(values.min()), int(values.max())
    if least < lo or most > hi:
        raise RangeError(
            f"Values from {least} to {most} do not fit {'' if signed else 'un'}signed {bits}-bit integers, "
            f"{lo} to {hi}."
        )


def _blocks(rows: int, lanes: int, bits: int) -> Iterator[slice]:
    step = max(1, _BLOCK // (lanes * element_type(bits, signed=False).itemsize))
    return (slice(begin, begin + step) for begin in range(0, rows, step))


def _span(bits: int) -> int:
    """The fewest lanes, a power of two, whose bits fill whole bytes."""
    return next(lanes for lanes in (1, 2, 4, 8) if lanes * bits % 8 == 0)


def _is_word(slots: np.ndarray, lanes: int, bits: int) -> bool:
    """Whether a slot is best taken as one word of numpy's: few lanes, which do not begin with bytes."""
    return slots.shape[1] in (1, 2, 4, 8) and slots.flags.c_contiguous and bits % 8 != 0 and lanes <= _FEW_LANES


def _pack_words(values: np.ndarray, bits: int, slots: np.ndarray) -> None:
    """Write `values` (rows, lanes) to `slots` (rows,), each a word."""
    words, width = _joined(_as_words(values, bits), bits)
    parts = (_moved(words[:, i].astype(slots.dtype, copy=False), i * width) for i in range(words.shape[1]))
    slots[:] = reduce(np.bitwise_or, parts)


def _unpack_words(slots: np.ndarray, bits: int, values: np.ndarray) -> None:
    """Write the integers of `slots` (rows,), each a word, to `values` (rows, lanes)."""
    words = values.view(f"<u{values.itemsize}")
    for lane in range(values.shape[1]):
        words[:, lane] = _moved(slots, -lane * bits)
    words &= words.dtype.type((1 << bits) - 1)
    _extend_sign(words, values, bits)


def _pack_block(values: np.ndarray, bits: int, beats: np.ndarray) -> None:
    """Write `values` (rows, lanes) to `beats` (rows, bytes of a beat)."""
    rows, lanes = values.shape
    words = _as_words(values, bits)
    span = _span(bits)
    if lanes <= span:
        _cut(*_joined(words, bits), beats)
        return
    groups = -(-lanes // span)
    if groups * span > lanes:
        padded = np.zeros((rows, groups * span), words.dtype)
        _copy(words, padded[:, :lanes])
        words = padded
    cut = np.empty((rows * groups, span * bits // 8), np.uint8)
    _cut(*_joined(words.reshape(-1, span), bits), cut)
    _copy(cut.reshape(rows, -1)[:, : beats.shape[1]], beats)


def _unpack_block(beats: np.ndarray, bits: int, values: np.ndarray) -> None:
    """Write the integers of `beats` (rows, bytes of a beat) to `values` (rows, lanes)."""
    rows, lanes = values.shape
    words = np.dtype(f"<u{values.itemsize}")
    span = _span(bits)
    if lanes <= span:
        elements = _parted(beats, bits, lanes, words)
    else:
        groups = -(-lanes // span)
        cut = np.empty((rows, groups * span * bits // 8), np.uint8)
        _copy(beats, cut[:, : beats.shape[1]])
        cut[:, beats.shape[1] :] = 0
        elements = _parted(cut.reshape(rows * groups, -1), bits, span, words).reshape(rows, -1)[:, :lanes]
    _extend_sign(elements, values, bits)


def _extend_sign(words: np.ndarray, values: np.ndarray, bits: int) -> None:
    """Write to `values` the integers whose low `bits` bits are `words`."""
    target = values.view(words.dtype)
    if values.dtype.kind == "u" or bits == 8 * values.itemsize:
        if not np.shares_memory(words, target):
            _copy(words, target)
        return
    sign = words.dtype.type(1 << (bits - 1))
    np.bitwise_xor(words, sign, out=target)
    np.subtract(target, sign, out=target)  # modulo 2^n: two's complement


def _as_words(values: np.ndarray, bits: int) -> np.ndarray:
    """The low `bits` bits of `values` as unsigned integers of `element_type`, contiguous."""
    dtype = element_type(bits, signed=False)
    words = np.ascontiguousarray(values)
    same_bytes = words.itemsize == dtype.itemsize and words.dtype.isnative
    words = words.view(dtype) if same_bytes else words.astype(dtype)
    if values.dtype.kind == "i" and bits < 8 * dtype.itemsize:
        return words & dtype.type((1 << bits) - 1)
    return words


def _joined(words: np.ndarray, bits: int) -> tuple[np.ndarray, int]:
    """Words that hold `bits` bits each, two and two joined to words of twice the size: until they hold whole bytes,
    or 64 bits hold no more, or they do not come in pairs. Returns also the bits that each of them holds then."""
    while bits % 8 and words.shape[1] % 2 == 0 and words.itemsize < 8:
        half = 8 * words.itemsize
        pairs = words.view(f"<u{2 * words.itemsize}")  # low + 2^half high
        high = pairs >> pairs.dtype.type(half)
        high *= pairs.dtype.type((1 << half) - (1 << bits))
        words, bits = np.subtract(pairs, high, out=high), 2 * bits  # low + 2^bits high
    return words, bits


def _cut(words: np.ndarray, bits: int, beats: np.ndarray) -> None:
    """Write words (rows, n) that hold `bits` bits each to `beats` (rows, bytes), bit by bit behind each other."""
    rows, count = words.shape
    if bits % 8 == 0:
        _copy(_low_bytes(words, bits // 8), beats.reshape(rows, count, bits // 8))
        return
    size = 8 * words.itemsize
    dense = np.empty((rows, -(-8 * beats.shape[1] // size)), words.dtype)
    for index in range(dense.shape[1]):
        first, last = size * index // bits, min((size * index + size - 1) // bits, count - 1)
        parts = [_moved(words[:, i], i * bits - size * index) for i in range(first, last + 1)]
        dense[:, index] = reduce(np.bitwise_or, parts)
    _copy(dense.view(np.uint8)[:, : beats.shape[1]], beats)


def _parted(beats: np.ndarray, bits: int, lanes: int, dtype: np.dtype) -> np.ndarray:
    """The inverse of `_joined` and `_cut`: `lanes` words of `dtype` that hold `bits` bits each from every beat."""
    rows, count, width, dtype_bits = len(beats), lanes, bits, 8 * dtype.itemsize
    size = dtype_bits
    while width % 8 and count % 2 == 0 and size < 64:
        count, width, size = count // 2, 2 * width, 2 * size
    words = np.zeros((rows, count), f"<u{size // 8}")
    if width % 8 == 0:
        _copy(beats.reshape(rows, count, width // 8), _low_bytes(words, width // 8))
    else:
        dense = np.zeros((rows, -(-8 * beats.shape[1] // size)), words.dtype)
        _copy(beats, dense.view(np.uint8)[:, : beats.shape[1]])
        for index in range(count):
            first, last = index * width // size, (index * width + width - 1) // size
            parts = [_moved(dense[:, i], size * i - index * width) for i in range(first, last + 1)]
            words[:, index] = reduce(np.bitwise_or, parts)
        words &= words.dtype.type((1 << width) - 1)
    while size > dtype_bits:
        size, width = size // 2, width // 2
        high = words >> words.dtype.type(width)  # of low + 2^width high
        high *= words.dtype.type((1 << size) - (1 << width))
        words = np.add(words, high, out=high).view(f"<u{size // 8}")
    return words


def _low_bytes(words: np.ndarray, count: int) -> np.ndarray:
    """The view (rows, n, count) of the low `count` bytes of each of `words` (rows, n)."""
    return words.view(np.uint8).reshape(*words.shape, words.itemsize)[:, :, :count]


def _moved(words: np.ndarray, places: int) -> np.ndarray:
    """`words` moved up by `places` bits, down where that is negative."""
    if places == 0:
        return words
    shift = np.left_shift if places > 0 else np.right_shift
    return shift(words, words.dtype.type(abs(places)))


def _copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy an array of rows; short ones, where they are not contiguous, column by column: numpy is faster that way."""
    if source.shape[-1] <= _NARROW_ROW and not (source.flags.c_contiguous and target.flags.c_contiguous):
        for column in range(source.shape[-1]):
            target[..., column] = source[..., column]
    else:
        target[...] = source
