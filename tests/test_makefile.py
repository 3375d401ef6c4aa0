from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*arguments: str, **environment: str) -> str:
    """What make prints; it must succeed."""
    done = run_make(*arguments, **environment)
    done.check_returncode()
    return done.stdout


def run_make(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """make without the variables that an outer make hands down."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PIP_FIND_LINKS")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True, check=False
    )


def test_alone_it_prints_help() -> None:
    printed = make()
    assert printed == make("help")
    assert [line.split()[1] for line in printed.splitlines()] == [
        "setup",
        "board-setup",
        "build",
        "compare",
        "deploy",
        "validate",
        "train",
        "test",
        "test-quick",
        "lint",
        "docs",
        "bench",
        "clean",
        "help",
    ]


def planned(*arguments: str, **environment: str) -> str:
    """The commands that make would run, the environment taken as made, on one line."""
    return " ".join(
        make("--dry-run", "--assume-old", ".venv/.a2q-installed", *arguments, **environment)
        .replace("\\\n", " ")
        .split()
    )


def test_build_is_a_thin_line(tmp_path: Path) -> None:
    stamp = tmp_path / ".a2q-installed"
    stamp.touch()
    arguments = ("MODEL=a.onnx", "CONFIG=c.yaml", "BOARD=ZCU104", "TARGET_FPS=7", "OUT=o", "WEIGHTS=synthetic")
    line = planned("build", f"VENV={tmp_path}", f"--assume-old={stamp}", *arguments)
    assert line == (
        f"{tmp_path}/bin/a2q build 'a.onnx' --config 'c.yaml' --board 'ZCU104' --target-fps '7' --out 'o' "
        "--weights 'synthetic'"
    )
    assert planned("build", f"VENV={tmp_path}", f"--assume-old={stamp}") == f"{tmp_path}/bin/a2q build"
    assert planned("build", f"VENV={tmp_path}", f"--assume-old={stamp}", "SET=simulation.frames=3 seed=1") == (
        f"{tmp_path}/bin/a2q build --set 'simulation.frames=3' --set 'seed=1'"
    )
    of_the_user = ("INPUT_RANGE=0,255", "MODEL_CLASS=net:Net", "INPUT_SHAPE=3,32,32")
    assert planned("build", f"VENV={tmp_path}", f"--assume-old={stamp}", *of_the_user) == (
        f"{tmp_path}/bin/a2q build --input-range '0,255' --model-class 'net:Net' --input-shape '3,32,32'"
    )


def test_compare_takes_lists(tmp_path: Path) -> None:
    stamp = tmp_path / ".a2q-installed"
    stamp.touch()
    made = (f"VENV={tmp_path}", f"--assume-old={stamp}")
    assert planned("compare", *made) == f"{tmp_path}/bin/a2q compare"
    assert planned("compare", *made, "SET=seed=1") == f"{tmp_path}/bin/a2q compare --set 'seed=1'"
    axes = ("POLICY=exact/pe fixed:32", "BITS=12 14", "BOARD=KV260 ZCU104", "TARGET_FPS=1000 max", "SEED=0 1")
    others = ("CONFIG=c.yaml", "WEIGHTS=synthetic", "OUT=o", "SCHEDULER=tcp://10.0.0.1:8786")
    line = planned("compare", *made, "MODEL=quant_resnet8_w4a4_a2q_* a.onnx", *axes, *others)
    assert line == (
        f"{tmp_path}/bin/a2q compare 'quant_resnet8_w4a4_a2q_*' 'a.onnx' --config 'c.yaml' --policy 'exact/pe' "
        "--policy 'fixed:32' --bits '12' --bits '14' --board 'KV260' --board 'ZCU104' --target-fps '1000' "
        "--target-fps 'max' --seed '0' --seed '1' --weights 'synthetic' --out 'o' --scheduler 'tcp://10.0.0.1:8786'"
    )


def test_deploy_and_validate_are_thin_lines(tmp_path: Path) -> None:
    stamp = tmp_path / ".a2q-installed"
    stamp.touch()
    made = (f"VENV={tmp_path}", f"BOARD_VENV={tmp_path}", f"--assume-old={stamp}")
    assert planned("deploy", *made, "BOARD=sim") == f"{tmp_path}/bin/a2q deploy 'sim'"
    assert planned("deploy", *made, "BOARD=sim", "SET=seed=1") == f"{tmp_path}/bin/a2q deploy 'sim' --set 'seed=1'"
    line = planned("validate", *made, "BOARD=Pynq-Z2", "HOST=192.168.2.99", "N=7", "MODEL=a.onnx", "CONFIG=c.yaml")
    assert line == (
        f"{tmp_path}/bin/a2q validate 'Pynq-Z2' --host '192.168.2.99' --model 'a.onnx' --config 'c.yaml' --images '7'"
    )


@pytest.mark.parametrize("goal", ["deploy", "validate"])
def test_a_board_that_is_not_named_is_an_error_before_anything_is_made(goal: str) -> None:
    done = run_make("--dry-run", goal)
    assert done.returncode and "BOARD= is missing" in done.stderr and not done.stdout


def test_what_talks_to_boards_has_an_environment_of_its_own(tmp_path: Path) -> None:
    line = planned("board-setup", f"BOARD_VENV={tmp_path}/board", f"BOOTSTRAP={tmp_path}/bootstrap")
    assert f"--python {tmp_path}/board/bin/python --requirement hw/driver/requirements.txt" in line


@pytest.mark.parametrize("links", ["", "/some/wheels"])
def test_setup_takes_a_local_torch_where_pip_has_one(tmp_path: Path, links: str) -> None:
    environment = {"PIP_FIND_LINKS": links} if links else {}
    line = planned("setup", f"VENV={tmp_path}/venv", f"BOOTSTRAP={tmp_path}/bootstrap", **environment)
    assert (f'UV_FIND_LINKS="{links}"' in line) == bool(links)
    assert ("--torch-backend cpu" in line) == (not links)
    assert "--constraint constraints.txt --editable '.[dev]'" in line


def test_setup_compiles_what_it_installs(tmp_path: Path) -> None:
    line = planned("setup", f"VENV={tmp_path}/venv", f"BOOTSTRAP={tmp_path}/bootstrap")
    assert "--compile-bytecode" in line


def test_ci_runs_what_a_developer_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert "make lint" in text and "make test" in text and "../shared/data" in text
