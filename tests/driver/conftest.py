"""Packages that the tests of the driver share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.driver.packages import label_graph, loading_graph, logits_graph, make_package

# run in the environment of pynq
collect_ignore = ["board_process.py", "embedded.py", "on_the_board.py", "pl_server.py"]


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    make_package(folder, label_graph())
    return folder / "deploy"


@pytest.fixture(scope="session")
def other(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("logits")
    make_package(folder, logits_graph(), config_hash="f" * 64)
    return folder / "deploy"


@pytest.fixture(scope="session")
def loading(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("loading")
    make_package(folder, loading_graph(), config_hash="e" * 64)
    return folder / "deploy"
