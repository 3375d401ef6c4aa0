from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.frontend.conversion.thresholds import derive_thresholds

CHANNEL = st.tuples(
    st.integers(-300, 300), st.integers(0, 600), st.floats(0, 3), st.floats(-50, 50)
)  # lowest input, range, slope, offset


@given(st.lists(CHANNEL, min_size=1, max_size=5), st.integers(1, 5), st.booleans())
def test_thresholds_give_the_levels_of_every_integer(channels, bits: int, signed: bool) -> None:
    lo = np.array([c[0] for c in channels])
    hi = lo + np.array([c[1] for c in channels])
    slope, offset = np.array([c[2] for c in channels]), np.array([c[3] for c in channels])
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def levels(x: np.ndarray) -> np.ndarray:
        return np.clip(np.round(x * slope + offset), least, most).astype(np.int64)

    type_, thresholds = derive_thresholds(levels, lo, hi)
    assert thresholds.shape == (len(channels), type_.hi - type_.lo)
    assert type_.lo <= 0 <= type_.hi  # what padding writes
    assert (np.diff(thresholds, axis=1) >= 0).all()
    assert (thresholds >= lo[:, None]).all() and (thresholds <= hi[:, None] + 1).all()
    for channel in range(len(channels)):
        every = np.arange(lo[channel], hi[channel] + 1)
        counted = type_.lo + (every[:, None] >= thresholds[channel]).sum(axis=1)
        expected = levels(np.broadcast_to(every[:, None], (len(every), len(channels))))[:, channel]
        assert np.array_equal(counted, expected)
