from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

# Before torch is imported: several workers with a thread for each core would wait for each other's threads, which made
# tests that train ten times slower.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What talks to boards runs in an environment of its own; `make test` makes it and names it.
_BOARD_PYTHON = Path(__file__).resolve().parents[1] / ".venv-board" / "bin" / "python"
if _BOARD_PYTHON.is_file():
    os.environ.setdefault("A2Q_BOARD_PYTHON", str(_BOARD_PYTHON))

# A shell's background jobs ignore it, and so does all that they start. Tests interrupt what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A test that fails because the machine is busy says nothing; benchmarks/ measures time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick",
        action="store_true",
        help="run what is pure Python: skip a test where it starts a program, and slow ones",
    )
    parser.addoption("--on-demand", action="store_true", help="run what takes minutes, too")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """With --quick, a test that starts a program or trains a network ends there as skipped, so that nobody keeps a list."""
    if not item.config.getoption("--quick"):
        return (yield)

    def start(self: subprocess.Popen, args: Any, *rest: Any, **options: Any) -> None:
        self._child_created = False  # for Popen.__del__
        program = args if isinstance(args, str | os.PathLike) else args[0]
        pytest.skip(f"starts {Path(program).name}, so it is not quick")

    def train(*arguments: Any, **options: Any) -> None:
        pytest.skip("trains a network, so it is not quick")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", start)
        if "lightning" in sys.modules:
            patch.setattr(sys.modules["lightning"].Trainer, "fit", train)
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Tests that share what a fixture of their module makes run on one worker, which makes it once; slow ones not with --quick."""
    for item in items:
        if item.get_closest_marker("slow") and item.config.getoption("--quick"):
            item.add_marker(pytest.mark.skip(reason="slow, so it is not quick"))
        if item.get_closest_marker("on_demand") and not item.config.getoption("--on-demand"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; --on-demand runs it"))
        module = item.getparent(pytest.Module).nodeid
        fixtures = [definitions[-1] for definitions in item._fixtureinfo.name2fixturedefs.values()]
        shared = any(fixture.scope == "module" and fixture.baseid == module for fixture in fixtures)
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(module))


class Groups(LoadGroupScheduling):
    """Hands out groups of tests as xdist does, and goes on after a worker has died.

    pytest-xdist 3.8.0 gives the new worker the test that the old one died of, and every worker after it, until the run is
    given up; gives work to a worker that has not collected its tests yet, an internal error; and waits for ever for a
    worker that has one test alone, which does not begin before it knows what follows.
    """

    def remove_node(self, node: WorkerController) -> str | None:
        """The test that a worker was in when it died, which is done with that; the rest of its tests are to be run."""
        units = self.assigned_work[node].values()
        unfinished = [(unit, test) for unit in units for test, done in unit.items() if not done]
        if unfinished:
            unit, test = unfinished[0]
            unit[test] = True
        super().remove_node(node)
        return unfinished[0][1] if unfinished else None

    def _reschedule(self, node: WorkerController) -> None:
        if node not in self.registered_collections:  # it gets its tests when it has collected them
            return
        super()._reschedule(node)
        while self._pending_of(self.assigned_work[node]) < 2 and not node.shutting_down:
            super()._reschedule(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadGroupScheduling | None:
    return Groups(config, log) if config.getvalue("dist") == "loadgroup" else None
