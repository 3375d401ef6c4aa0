"""Rising sequences of cycles, one for each beat of a stream."""

from __future__ import annotations

import numpy as np

__all__ = ["of_count", "running_max"]


def running_max(earliest: np.ndarray, spacing: np.ndarray, ahead: int | None = None) -> np.ndarray:
    """The first cycles that are no earlier than `earliest` and at least as far apart as `spacing`, a rising sequence,
    is; `ahead` is by how much the cycle before the first is later than its spacing."""
    late = np.maximum.accumulate(earliest - spacing)
    cycles: np.ndarray = (late if ahead is None else np.maximum(late, ahead)) + spacing
    return cycles


def of_count(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`values` of the beat that is the count-th; 0 for a count of 0. In `counts` no 0 comes after another number."""
    of_beats: np.ndarray = values[counts - 1]
    of_beats[: np.searchsorted(counts, 1)] = 0
    return of_beats
