from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.training.config import TrainConfig
from pipeline.training.fit import fit
from tests.training.digits import config, write_digits


@pytest.fixture(scope="session")
def mnist(tmp_path_factory) -> Path:
    """IDX files of noise, with a bright block whose place is the label."""
    folder = tmp_path_factory.mktemp("mnist")
    write_digits(folder)
    return folder


@pytest.fixture(scope="session")
def trained(mnist: Path, tmp_path_factory) -> tuple[TrainConfig, Path, list[str]]:
    folder = tmp_path_factory.mktemp("trained")
    lines: list[str] = []
    chosen = config(mnist, validation=32)
    fit(chosen, folder, lines.append)
    return chosen, folder, lines
