"""How the tests are run, after a worker has died too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Groups

ROOT = Path(__file__).parents[1]
ALONE = """
import os
import pytest

@pytest.mark.parametrize("number", range(4))
def test_before(number): pass

def test_dies(): os.abort()

def test_after(): pass
"""
SHARED = """
import os
import pytest

@pytest.fixture(scope="module")
def shared(): pass

def test_before(shared): pass

def test_beside(shared): pass

def test_dies(shared): os.abort()

def test_after(shared): pass

def test_last(shared): pass
"""

QUICK = """
import subprocess
from concurrent.futures import ThreadPoolExecutor

import lightning
import pytest

@pytest.fixture(scope="module")
def started(): subprocess.run(["true"], check=True)

def test_pure(): pass

def test_fixture(started): pass

def test_thread():
    with ThreadPoolExecutor() as pool: pool.submit(subprocess.run, ["true"]).result()

def test_training():
    with pytest.raises(TypeError): lightning.Trainer.fit()

@pytest.mark.slow
def test_slow(): pass

def test_pure_again(): subprocess.Popen
"""


def test_a_worker_that_dies_fails_its_test_alone(tmp_path: Path) -> None:
    """A run of pytest in a folder of its own, with this repository's settings."""
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_alone.py").write_text(ALONE)
    (tmp_path / "tests" / "test_shared.py").write_text(SHARED)
    command = [sys.executable, "-m", "pytest", "-v", "-n", "2", "--dist", "loadgroup", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 1 and "INTERNALERROR" not in printed and " 2 failed, 9 passed in " in printed, printed
    results = re.findall(r"\[(gw\d+)\] \[ *\d+%\] (PASSED|FAILED) tests/test_(\S+?\.py::\w+)", printed)
    failed = {test for _, result, test in results if result == "FAILED"}
    assert failed == {"alone.py::test_dies", "shared.py::test_dies"}
    # what shares a fixture stays together, on one worker and then on the one that follows it
    worker_of = {test.partition("::")[2]: worker for worker, _, test in results if test.startswith("shared")}
    assert worker_of["test_before"] == worker_of["test_beside"] == worker_of["test_dies"]
    assert worker_of["test_after"] == worker_of["test_last"] != worker_of["test_dies"]


class Worker:
    """What a worker of xdist does: it begins a test when it knows which one follows, or that none does."""

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.queue: list[int] = []
        self.shutting_down = False
        self.step = "starts"

    def send_runtest_some(self, indices: list[int]) -> None:
        self.queue += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    def can_go_on(self) -> bool:
        return self.step in ("starts", "collects") or len(self.queue) > 1 or self.shutting_down


@given(st.data())
def test_every_test_is_run_once_whichever_workers_die(data: st.DataObject) -> None:
    """The session of xdist, with events in any order."""
    groups = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=6), label="sizes of groups")
    tests = [f"test_{i}.py::test_{j}" + f"@{i}" * (n > 1) for i, n in enumerate(groups) for j in range(n)]
    deadly = data.draw(st.sets(st.sampled_from(tests)), label="tests that end their worker")
    count = data.draw(st.integers(1, 3), label="workers")
    options = SimpleNamespace(loadscopereorder=True)
    scheduler = Groups(SimpleNamespace(getvalue=lambda _: [f"{count}*popen"], option=options))
    workers = [Worker(number) for number in range(count)]
    closing, made, run = False, count, []
    while workers:
        ready = [worker for worker in workers if worker.can_go_on()]
        assert ready, "all workers wait for ever"
        worker = data.draw(st.sampled_from(ready), label="next")
        if worker.step == "starts":
            worker.step = "collects"
            if closing:
                worker.shutdown()
            else:
                scheduler.add_node(worker)
        elif worker.step == "collects":
            worker.step = "runs"
            if not closing:
                scheduler.add_node_collection(worker, tests)
                if scheduler.collection_is_completed:
                    scheduler.schedule()
        elif not worker.queue:
            workers.remove(worker)
            assert worker not in scheduler.nodes or scheduler.remove_node(worker) is None
        else:
            index = worker.queue.pop(0)
            run.append(tests[index])
            assert len(run) <= len(tests), "a test is run again"
            if tests[index] in deadly:
                workers[workers.index(worker)] = Worker(made)
                made, closing = made + 1, False
                assert scheduler.remove_node(worker) == tests[index]
            else:
                scheduler.mark_test_complete(worker, index)
        if scheduler.tests_finished and not closing:
            closing = True
            for node in scheduler.nodes:
                node.shutdown()
    assert sorted(run) == sorted(tests)


@pytest.mark.parametrize(
    ("options", "skipped"), [((), set()), (("--quick",), {"fixture", "thread", "training", "slow"})]
)
def test_quick_tests_start_no_program_and_train_nothing(
    tmp_path: Path, options: tuple[str, ...], skipped: set[str]
) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_quick.py").write_text(QUICK)
    command = [sys.executable, "-m", "pytest", "-v", *options, "tests"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False).stdout
    results = dict(re.findall(r"::test_(\w+) (PASSED|SKIPPED)", printed))
    assert len(results) == 6, printed
    assert {name for name, result in results.items() if result == "SKIPPED"} == skipped
