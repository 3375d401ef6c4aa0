"""300 damaged files: each is refused in a sentence that names it, or built to what QONNX's own executor computes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.frontend.streamline.damage import BUILT, NETWORKS, REFUSED, damaged_file, outcome, whole

_A_TEST = 50


@pytest.mark.timeout(300)  # a file takes some hundredths of a second: one that hangs is a fault
@pytest.mark.parametrize("first", range(0, 300, _A_TEST))
def test_damaged_files_are_refused_or_right(first: int, tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + _A_TEST):
        what, content = damaged_file(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        path = folder / f"damaged{seed}.onnx"
        path.write_bytes(content)
        try:
            result, _ = outcome(path, folder)
        except Exception as error:
            error.add_note(f"seed {seed}: {what}")
            raise
        counts[result] += 1
    assert counts[BUILT] > 0 and counts[REFUSED] > 0


@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_what_is_damaged_is_whole_before(build, tmp_path: Path) -> None:
    path = tmp_path / "whole.onnx"
    path.write_bytes(whole(build, 1).SerializeToString())
    assert outcome(path, tmp_path) == (BUILT, "the file itself")
