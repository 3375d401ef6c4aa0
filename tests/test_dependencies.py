"""The ranges in pyproject.toml, the versions in constraints.txt, and what is said where an extra is missing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# ends like an interpreter that has none of the packages named first
WITHOUT = """
import importlib.util, sys
missing = sys.argv[1].split(",")
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in missing else find_spec(name, *rest)
sys.modules.update(dict.fromkeys(missing))
from pipeline.cli import app
app(sys.argv[2:])
"""


def requirements() -> dict[str, Requirement]:
    lines = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
    parsed = [Requirement(line) for line in lines if not line.startswith(PROJECT["name"])]
    names = [canonicalize_name(requirement.name) for requirement in parsed]
    assert len(set(names)) == len(names)
    return dict(zip(names, parsed, strict=True))


def test_every_range_has_its_version_in_it() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = {}
    for line in lines:
        name, version = re.fullmatch(r"([a-z0-9-]+)==([\w.]+)", line).groups()
        pins[name] = version
    assert list(pins) == sorted(pins) and len(pins) == len(lines)
    ranges = requirements()
    assert pins.keys() == ranges.keys()
    for name, requirement in ranges.items():
        assert pins[name] in requirement.specifier, requirement
        assert {part.operator for part in requirement.specifier} <= {">=", "<"}, requirement


def test_a_developer_has_what_all_extras_bring() -> None:
    (all_extras,) = (Requirement(line) for line in EXTRAS["dev"] if line.startswith(PROJECT["name"]))
    assert all_extras.extras == EXTRAS.keys() - {"dev"}


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("train", ("train", "cifar10_resnet8")),
        ("train", ("benchmark", "cifar10")),
        ("compare", ("compare", "quant_tfc_w2a2")),
    ],
)
def test_without_an_extra_its_commands_say_how_to_install_it(tmp_path: Path, extra: str, command: tuple) -> None:
    done = without(extra, *command, folder=tmp_path)
    first = Requirement(EXTRAS[extra][0]).name
    assert done.returncode == 1 and done.stderr == (
        f"error: The Python package `{first}` is not installed; `pip install 'a2q-pipeline[{extra}]'` installs all that "
        f"`a2q {extra}` needs.\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_build_and_an_evaluation_need_no_extra(tmp_path: Path) -> None:
    command = ("build", "quant_tfc_w2a2", "--until", "fold", "--weights", "synthetic")
    done = without("compare", *command, folder=tmp_path, also="train")
    assert done.returncode == 0, done.stderr
    done = without("train", "evaluate", "quant_tfc_w2a2", "--data-folder", "none", folder=tmp_path, also="compare")
    assert "lightning" not in done.stderr and "none" in done.stderr, done.stderr


def without(extra: str, *command: str, folder: Path, also: str = "") -> subprocess.CompletedProcess[str]:
    """A command of a2q where the packages of `extra`, and of `also`, are not installed."""
    lines = EXTRAS[extra] + EXTRAS.get(also, [])
    missing = ",".join(Requirement(line).name for line in lines)
    words = [sys.executable, "-W", "ignore", "-c", WITHOUT, missing, *command]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
