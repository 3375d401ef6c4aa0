"""DRAM: buffers at physical addresses, for the client to fill and for the DMA to read and write.

There is nothing between the buffers: an address that lies in none of them answers nobody. Addresses are given out in
rising order and come round again last, so that a transfer to a buffer that was freed finds nothing there, not the
buffer of another client.

A buffer is given back when the client that used it last is gone: when there is no room for another one, and else some
seconds after its connection ended. gRPC's clients end a connection that nothing was asked on for half an hour, and open
another one for the next call: what such a client may still want is kept until there is no room.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.board_sim.errors import OutOfMemoryError, RequestError, UnknownBufferError, shown

__all__ = ["BUFFER_LIMIT", "MEMORY_LIMIT", "PAGE_BYTES", "Buffer", "Memory"]

PAGE_BYTES = 4096  # Linux' contiguous memory comes in pages; every data width of a DMA divides it
BUFFER_LIMIT = 128 << 20  # bytes; a DMA transfer is 64 MiB at most
MEMORY_LIMIT = 256 << 20  # bytes of all buffers together, in whole pages

_LOST_SECONDS = 5.0  # after which a connection that was lost is not expected again
_IDLE_SECONDS = 20 * 60.0  # after which a connection may have ended because nothing was asked on it


@dataclass
class Buffer:
    """Physically contiguous memory. `owner` is the connection that used it last.

    `used` is when it did that, and `seen` when it was last known to be there, of time.monotonic().
    """

    id: str
    address: int
    data: np.ndarray  # uint8, (size,)
    cacheable: bool
    owner: str
    used: float
    seen: float

    @property
    def end(self) -> int:
        """The first address after the pages that the buffer holds."""
        return self.address + _whole_pages(len(self.data))


class Memory:
    """Buffers between the physical addresses `base` and `base + size`."""

    def __init__(self, base: int, size: int) -> None:
        self._base = base
        self._end = base + size
        self._next = base
        self._buffers: dict[str, Buffer] = {}

    @property
    def used(self) -> int:
        """Bytes of all buffers, in whole pages."""
        return sum(buffer.end - buffer.address for buffer in self._buffers.values())

    def allocate(self, size: int, cacheable: bool, owner: str) -> Buffer:
        """A buffer of `size` bytes, zeroed. Raises OutOfMemoryError if there is no room for it."""
        if size < 1:
            raise RequestError(f"A buffer of {size} bytes was asked for; the smallest has 1 byte.")
        if size > BUFFER_LIMIT:
            raise OutOfMemoryError(f"A buffer of {size} bytes was asked for; the largest has {BUFFER_LIMIT} bytes.")
        pages = _whole_pages(size)
        if self.used + pages > MEMORY_LIMIT:
            raise OutOfMemoryError(
                f"A buffer of {size} bytes was asked for; {self.used} of the board's {MEMORY_LIMIT} bytes are in use. "
                "Free a buffer first."
            )
        address = self._find_room(pages)
        self._next = address + pages
        now = time.monotonic()
        buffer = Buffer(secrets.token_hex(8), address, np.zeros(size, np.uint8), cacheable, owner, used=now, seen=now)
        self._buffers[buffer.id] = buffer
        return buffer

    def find(self, buffer_id: str, owner: str) -> Buffer:
        """The buffer `buffer_id`, which `owner` uses from now on. Raises UnknownBufferError."""
        buffer = self._buffers.get(buffer_id)
        if buffer is None:
            raise UnknownBufferError(f"There is no buffer {shown(buffer_id)}: it was never allocated, or is freed.")
        buffer.owner = owner
        buffer.used = buffer.seen = time.monotonic()
        return buffer

    def free(self, buffer_id: str, owner: str) -> None:
        """Forget the buffer `buffer_id`. Raises UnknownBufferError."""
        del self._buffers[self.find(buffer_id, owner).id]

    def free_abandoned(self, owners: Container[str]) -> None:
        """Forget the buffers of all but `owners`."""
        self._buffers = {key: buffer for key, buffer in self._buffers.items() if buffer.owner in owners}

    def free_lost(self, owners: Container[str], now: float) -> None:
        """Forget the buffers of all but `owners` that are not waited for; to be called now and then."""
        for key, buffer in list(self._buffers.items()):
            if buffer.owner in owners:
                buffer.seen = now
            elif now - buffer.seen >= _LOST_SECONDS and buffer.seen - buffer.used < _IDLE_SECONDS:
                del self._buffers[key]

    def view(self, address: int, length: int) -> np.ndarray | None:
        """The `length` bytes from the physical `address` on, uint8; None unless one buffer holds them all."""
        for buffer in self._buffers.values():
            offset = address - buffer.address
            if 0 <= offset and offset + length <= len(buffer.data):
                return buffer.data[offset : offset + length]
        return None

    def _find_room(self, pages: int) -> int:
        gaps = list(self._gaps())
        for start, end in gaps:
            start = max(start, self._next)
            if end - start >= pages:
                return start
        for start, end in gaps:
            if end - start >= pages:
                return start
        raise OutOfMemoryError(
            f"{pages} bytes in one piece were asked for; the largest piece that is free has "
            f"{max((end - start for start, end in gaps), default=0)}. Free a buffer first."
        )

    def _gaps(self) -> Iterator[tuple[int, int]]:
        start = self._base
        for buffer in sorted(self._buffers.values(), key=lambda buffer: buffer.address):
            yield start, buffer.address
            start = buffer.end
        yield start, self._end


def _whole_pages(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES
