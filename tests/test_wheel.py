"""The wheel in an environment and a folder of their own, as a user has it who knows nothing of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.files import matching
from pipeline.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(sysconfig.get_paths()["purelib"])
CODE = ("pipeline", "hw", "build_configs", "tests", "benchmarks")
MADE_OF = (*CODE[:3], "pyproject.toml", ".gitignore", "README.md", "LICENSE", "NOTICE")
# Of the environment: it ends whatever opens a file of the checkout, or looks into a folder of it.
GUARD = f"""
import sys
CODE = tuple({str(ROOT)!r} + "/" + name for name in {CODE!r})

def refuse(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(CODE):
        raise RuntimeError(f"{{arguments[0]}} is of the checkout")

sys.addaudithook(refuse)
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and an empty folder."""

    wheel: Path
    python: Path
    folder: Path

    def run(self, *command: str, board_python: str | None = None) -> str:
        """What `command`, whose program is of the environment, prints in the folder; it must succeed."""
        done = self.start(*command, board_python=board_python)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *command: str, board_python: str | None = None) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "A2Q_BOARD_PYTHON")}
        board = {"A2Q_BOARD_PYTHON": board_python} if board_python else {}
        environment = {**inherited, **board, "A2Q_CACHE": str(self.folder.parent / "cache"), "COLUMNS": "80"}
        words = [str(self.python.with_name(command[0])), *command[1:]]
        return subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel is built by the project's build backend, as pip does it, from a copy: a build leaves files behind."""
    scratch = tmp_path_factory.mktemp("wheel")
    copy = scratch / "source"
    copy.mkdir()
    for source in map(ROOT.joinpath, MADE_OF):
        if source.is_dir():
            shutil.copytree(source, copy / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # where pip would find the checkout's
    subprocess.run([sys.executable, "-c", build, str(scratch)], cwd=copy, env=inherited, check=True)
    (wheel,) = scratch.glob("*.whl")
    python = scratch / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], env=inherited, check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, env=inherited, check=True)
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    # dependencies are those of the tests; what leads to the checkout is a .pth file there, which is not read from here
    (site / "dependencies.pth").write_text(f"{SITE}\n")
    (site / "guard.py").write_text(GUARD)
    (site / "guard.pth").write_text("import guard\n")
    folder = scratch / "empty"
    folder.mkdir()
    return Installed(wheel, python, folder)


def test_it_holds_the_files_that_stand_beside_the_package_in_a_checkout(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = {name.removeprefix("pipeline/shipped/") for name in wheel.namelist() if "/shipped/" in name}
    there = [p for name in ("hw", "build_configs") for p in (ROOT / name).rglob("*") if p.is_file()]
    expected = {path.relative_to(ROOT).as_posix() for path in there if "__pycache__" not in path.parts}
    assert names == {*expected, "LICENSE", "NOTICE"}


def test_it_is_the_wheel_that_runs(installed: Installed) -> None:
    show = "import a2q_driver, pipeline.files as f; print(a2q_driver.__file__, f.ROOT, f.IS_CHECKOUT)"
    driver, root, is_checkout = installed.run("python", "-c", show).split()
    environment = installed.python.parents[1]
    assert Path(driver).is_relative_to(environment) and Path(root).is_relative_to(environment)
    assert is_checkout == "False"
    done = installed.start("python", "-c", f"open({str(ROOT / 'hw' / 'README.md')!r})")
    assert "is of the checkout" in done.stderr, "the guard of the other tests does nothing"


def test_keys_of_stages_cover_the_same_files(installed: Installed) -> None:
    show = (
        "import json; from pipeline.files import matching; from pipeline.stages import STAGES; "
        "print(json.dumps({stage.name: list(matching(stage.sources)) for stage in STAGES}))"
    )
    covered = json.loads(installed.run("python", "-c", show))
    assert covered == {stage.name: list(matching(stage.sources)) for stage in STAGES}
    assert "pipeline/codegen/templates/top.sv.jinja" in covered["codegen"] and "LICENSE" in covered["package"]


def test_without_the_environment_for_boards_its_command_is_said(installed: Installed) -> None:
    done = installed.start("a2q", "deploy", "sim")
    assert done.returncode == 1 and not list(installed.folder.iterdir())
    folder = installed.folder.parent / "cache" / "board-environment"
    (command,) = re.findall("`(.*?)` makes it", done.stderr)
    make, install = command.split(" && ")
    assert make == f"{installed.python} -m venv {folder}"
    program, *words, requirements = install.split()
    assert program == f"{folder}/bin/pip" and words == ["install", "--requirement"]
    assert Path(requirements).read_text() == (ROOT / "hw" / "driver" / "requirements.txt").read_text()


def test_from_an_empty_folder_to_the_simulated_board(installed: Installed) -> None:
    assert installed.run("a2q", "--version").startswith("a2q 0.")
    assert "KV260" in installed.run("a2q", "boards")
    built = installed.run("a2q", "build", "quant_tfc_w2a2")
    assert "cached" not in built and "summary.md" in built
    board_python = os.environ.get("A2Q_BOARD_PYTHON") or str(ROOT / ".venv-board" / "bin" / "python")
    deployed = installed.run("a2q", "deploy", "sim", "--model", "quant_tfc_w2a2", board_python=board_python)
    assert "listening on" in deployed and "10 of 10 images give exactly the integers" in deployed
    again = re.findall(r"^(\w+) +(cached|[\d.]+ s)", deployed, re.MULTILINE)
    assert len(again) > 10 and {how for _, how in again} == {"cached"}
    examples_of_the_library(installed)


def examples_of_the_library(installed: Installed) -> None:
    """The examples of docs/library.md, in its order, in the folder of that build, whose results they take up."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL)
    assert len(examples) >= 4 and len(examples[0].splitlines()) == 4
    printed = [installed.run("python", "-c", example) for example in examples]
    lut, rate, top1 = re.search(
        r"^(\d+) LUT, ([\d.]+) steady frames/s, top-1 ([\d.]+)$", printed[0], re.MULTILINE
    ).groups()
    summary = (installed.folder / "build" / "quant_tfc_w2a2" / "summary.md").read_text()
    assert f"{int(lut):,} LUT" in summary and f"| steady frames/s | {float(rate):,.0f}, " in summary
    assert f"top-1 {float(top1):.1f} %" in summary
    assert "pipeline.build: target_fps is -1; expected a number" in printed[1]
