"""A lock that is given in the order in which it was asked for.

With Python's own lock, who asks again at once after giving it back mostly gets it again: a client that polls would stop
the clock, and the clock would keep clients out.
"""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["FairLock"]


class FairLock:
    """One holder at a time, in a with statement; the others wait in a queue."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of what follows, held for a moment
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            place = threading.Lock()
            place.acquire()
            self._waiting.append(place)
        place.acquire()  # until the one before lets it go

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False
