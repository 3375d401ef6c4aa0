"""driver.py and validate.py as a user calls them, where there is no board."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import DRIVER
from tests.driver.packages import label_graph, make_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    make_package(folder, label_graph())
    return folder / "deploy"


def call(package: Path, script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-B", str(package / "driver" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.parametrize("script", ["driver.py", "validate.py"])
def test_help_is_there_without_pynq(package, tmp_path, script):
    done = call(package, script, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--host", "--port", "--no-download", "--timeout", "--batchsize"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("driver.py", "--exec_mode", "fast"), "invalid choice: 'fast'"),
        (("driver.py", "--batchsize", "0"), "0 is not above 0"),
        (("driver.py", "--timeout", "inf"), "inf is not a number of seconds above 0"),
        (("driver.py", "--inputfile", "none.npy"), "error: none.npy cannot be read as a .npy file"),
        (("driver.py", "--inputfile", "short.npy"), "error: short.npy cannot be read as a .npy file"),
        (("driver.py", "--inputfile", "pickle.npy"), "error: pickle.npy cannot be read as a .npy file"),
        (("driver.py", "--inputfile", "number.npy"), "error: number.npy holds no array of frames."),
        (("driver.py", "--inputfile", "pipe"), "error: pipe cannot be read as a .npy file: it is no regular file."),
        (("driver.py", "--inputfile", "/dev/zero"), "error: /dev/zero cannot be read as a .npy file: it is no regular"),
        (("driver.py", "--inputfile", "frames.npy", "--outputfile", "pipe"), "error: pipe cannot be written: it is a"),
        (("driver.py", "--inputfile", "frames.npy", "--bitfile", "frames.npy"), "frames.npy lies in no package"),
        (("validate.py", "--inputfile", "frames.npy"), "--inputfile and --expected go together"),
        (("validate.py", "--labels", "frames.npy"), "--labels needs --inputfile and --expected"),
        (("validate.py", "--inputfile", "frames.npy", "--expected", "none.npy"), "error: none.npy cannot be read"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(package, tmp_path, arguments, message):
    np.save(tmp_path / "frames.npy", np.zeros((2, 3, 4, 4), np.float32))
    np.save(tmp_path / "number.npy", np.float32(1))
    np.save(tmp_path / "pickle.npy", np.array([{}], object), allow_pickle=True)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "short.npy").write_bytes((tmp_path / "frames.npy").read_bytes()[:-4])
    done = call(package, *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert done.stdout == ""


def test_pynq_is_asked_for_where_a_board_is_needed(package, tmp_path):
    done = call(package, "validate.py", folder=tmp_path)
    assert done.returncode == 2
    assert "pynq cannot be imported" in done.stderr and "requirements.txt" in done.stderr


def test_a_damaged_package_is_refused_before_the_board_is_touched(package, tmp_path):
    path = package / "driver" / "transform.npz"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1])
        done = call(package, "validate.py", folder=tmp_path)
    finally:
        path.write_bytes(whole)
    assert done.returncode == 2
    assert "transform.npz has changed" in done.stderr and "Copy the folder deploy/" in done.stderr


def run_with(error: str, folder: Path, *, redirect: str = "") -> tuple[int, str]:
    """The exit status of a program of the driver's that fails with `error`, and what it says on stderr."""
    (folder / "program.py").write_text(
        "from a2q_driver.command_line import run\ndef main():\n    print('×', flush=True)\n"
        f"    raise {error}\nrun(main)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(DRIVER), "TMPDIR": str(folder), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -B program.py {redirect}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_fault_of_the_driver_is_a_sentence_and_a_file(tmp_path):
    status, said = run_with("KeyError('streams')", tmp_path)
    (log,) = tmp_path.glob("a2q-driver-*.txt")
    assert status == 70
    assert said == (
        "error: program.py broke off with KeyError ('streams'): this is a fault of the driver, not of what it was given. "
        f"Please report it with {log}, which has the traceback.\n"
    )
    assert "Traceback" in log.read_text() and "in main" in log.read_text()


@pytest.mark.parametrize(
    ("error", "redirect", "expected"),
    [
        ("MemoryError", "", (2, "error: There is not enough memory. Take fewer frames at once (--batchsize)")),
        ("IsADirectoryError(21, 'Is a directory', 'out')", "", (2, "error: out cannot be used: Is a directory.\n")),
        ("SystemExit(3)", "", (3, "")),
        ("KeyboardInterrupt", "", (130, "interrupted\n")),
        ("ValueError", "> /dev/full", (2, "error: Standard output cannot be used: No space left on device.\n")),
        ("BrokenPipeError", "", (2, "")),
    ],
)
def test_what_is_no_fault_is_told_as_such(tmp_path, error, redirect, expected):
    status, said = run_with(error, tmp_path, redirect=redirect)
    assert status == expected[0] and said.startswith(expected[1]) and bool(said) == bool(expected[1])
    assert "Traceback" not in said and not list(tmp_path.glob("a2q-driver-*"))


def test_the_driver_imports_nothing_but_numpy_and_pynq():
    allowed = {*sys.stdlib_module_names, "a2q_driver", "numpy", "pynq", "grpc"}
    for path in DRIVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, path
            lazy = {"board.py", "remote.py"}
            assert not any(name.startswith("pynq") for name in names) or path.name in lazy, path
