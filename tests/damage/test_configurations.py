"""The larger run is benchmarks/damaged_configurations.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.damage.configurations import KINDS, damaged, outcome

_GROUPS = 6


@pytest.mark.timeout(120)
@pytest.mark.parametrize("group", range(_GROUPS))
def test_a_damaged_file_is_read_or_refused_in_a_sentence_that_names_it(tmp_path: Path, group: int) -> None:
    """300 files; a hang ends with the test's time."""
    for seed in range(group, 300, _GROUPS):
        file = damaged(seed)
        reading = outcome(file, tmp_path)
        assert reading.result != "failed", f"seed {seed}, {file.kind} ({', '.join(file.changes)}): {reading.text}"


def test_a_seed_stands_for_a_file_and_every_kind_is_damaged() -> None:
    assert damaged(7) == damaged(7) != damaged(8)
    counts = Counter(damaged(seed).kind for seed in range(300))
    assert all(counts[kind] >= 25 for kind in KINDS)
