"""Waiting with a limit: pauses that grow with the time waited, and an eye on whether anything moves meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Patience"]

_LONGEST_PAUSE = 0.005  # seconds
_SHARE = 1 / 16  # of the time waited: by so much later than it comes is the end noticed
_LOOKS = 8  # at what moves, within the limit


class Patience:
    """Waits as long as something moves at least every `limit` seconds. `observe` reads what does."""

    def __init__(self, limit: float, observe: Callable[[], object]) -> None:
        self._limit = limit
        self._observe = observe
        self._seen = observe()
        self._begun = self._looked = self._moved = time.monotonic()

    @property
    def moved(self) -> bool:
        """Whether something has moved, as `spent` last saw it."""
        return self._moved > self._begun

    @property
    def spent(self) -> bool:
        """Whether nothing has moved for as long as the limit."""
        now = time.monotonic()
        if now - self._looked > self._limit / _LOOKS:
            seen = self._observe()
            self._looked = now
            if seen != self._seen:
                self._seen, self._moved = seen, now
        return now - self._moved > self._limit

    def pause(self) -> None:
        """Let some time go by."""
        time.sleep(min(_SHARE * (time.monotonic() - self._begun), _LONGEST_PAUSE))
