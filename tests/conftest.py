from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported: several workers with a thread for each core would wait for each other's threads, which made
# tests that train ten times slower.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What talks to boards runs in an environment of its own; `make test` makes it and names it.
_BOARD_PYTHON = Path(__file__).resolve().parents[1] / ".venv-board" / "bin" / "python"
if _BOARD_PYTHON.is_file():
    os.environ.setdefault("A2Q_BOARD_PYTHON", str(_BOARD_PYTHON))

# A test that fails because the machine is busy says nothing; benchmarks/ measures time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Tests that share what a fixture of their module makes run on one worker, which makes it once."""
    for item in items:
        module = item.getparent(pytest.Module).nodeid
        fixtures = [definitions[-1] for definitions in item._fixtureinfo.name2fixturedefs.values()]
        shared = any(fixture.scope == "module" and fixture.baseid == module for fixture in fixtures)
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(module))
