"""A timeout that starts anew with all progress, and pauses between two looks that grow with the time waited."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Timeout"]

_LONGEST_PAUSE = 0.005  # seconds
_SHARE = 1 / 16  # of the time waited: the end is noticed at most by so much late
_LOOKS = 8  # at what moves, within the limit


class Timeout:
    """Expires when nothing has moved for `limit` seconds. `observe` reads what moves, such as a count of frames."""

    def __init__(self, limit: float, observe: Callable[[], object]) -> None:
        self._limit = limit
        self._observe = observe
        self._seen = observe()
        self._begun = self._looked = self._moved = time.monotonic()

    @property
    def moved(self) -> bool:
        """Whether something has moved, as `expired` last saw it."""
        return self._moved > self._begun

    @property
    def expired(self) -> bool:
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
