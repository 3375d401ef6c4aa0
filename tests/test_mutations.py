"""The list of mutants stays true: each can still be made, and one that changes something is told from one that does not."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from benchmarks import mutations
from benchmarks.mutations import MUTANTS, ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.area}: {m.what}")
def test_a_mutant_can_be_made(mutant: mutations.Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.text) == 1
    assert mutant.replacement != mutant.text
    files = [test for test in mutant.tests if test.endswith(".py")]
    assert files and all((ROOT / file).is_file() for file in files)


def test_there_are_many_and_all_differ() -> None:
    assert len({(m.file, m.text, m.replacement) for m in MUTANTS}) == len(MUTANTS) >= 30


def test_a_fault_is_caught_and_a_change_of_nothing_missed(tmp_path) -> None:
    for name in ("pipeline", "hw/driver"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/dataflow/test_packing.py", tmp_path / "tests")
    mutant = next(m for m in MUTANTS if m.file == "pipeline/dataflow/packing.py")
    fault = replace(mutant, tests=("tests/test_packing.py",))
    harmless = replace(fault, text="position * bits)", replacement="bits * position)")
    before = (tmp_path / fault.file).read_text()
    caught, missed = (mutations.run_mutant(tmp_path, mutant) for mutant in (fault, harmless))
    assert caught.caught and not missed.caught and not caught.problem and not missed.problem
    gone = mutations.run_mutant(tmp_path, replace(fault, text="not in this file"))
    assert "stands 0 times" in gone.problem
    assert (tmp_path / fault.file).read_text() == before
