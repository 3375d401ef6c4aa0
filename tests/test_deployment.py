"""Which board is meant, and what is said where it cannot be: before anything is built, where that is possible."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.deployment import Address, destination, simulated_board, validate_build
from pipeline.errors import ConfigError, ModelError, ResourceError, ToolError
from pipeline.flow import BuildResult
from tests.driver.packages import label_graph, make_package


@pytest.fixture
def environment(monkeypatch, tmp_path_factory):
    """What talks to boards has its environment, a program that says that it lacks nothing; nothing of it runs here."""
    python = tmp_path_factory.mktemp("environment") / "python"
    python.write_text("#!/bin/sh\necho '[]'\n")
    python.chmod(0o755)
    monkeypatch.setenv("A2Q_BOARD_PYTHON", str(python))


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> BuildResult:
    folder = tmp_path_factory.mktemp("build")
    make_package(folder, label_graph())
    return BuildResult(folder, (), 0.0, {})


def test_the_simulated_board_is_started_here_and_a_real_one_has_an_address(environment):
    assert destination("sim", None, None) is None
    assert destination("pynq-z2", "192.168.2.99", 1234) == Address("192.168.2.99", 1234)
    assert destination("pynq-z2", "192.168.2.99", None) == Address("192.168.2.99", 7967)


@pytest.mark.parametrize(
    ("board", "host", "message"),
    [
        (
            "sim",
            "192.168.2.99",
            "The simulated board is started here, so it takes no address; '192.168.2.99' was given",
        ),
        ("Pynq-Z2", None, "The address of the Pynq-Z2 is missing: name it with --host"),
        ("U250", "192.168.2.99", "There are no packages for the U250: it has no processors beside its logic"),
        ("Pynq-Z9", "192.168.2.99", "There is no board called 'Pynq-Z9'. Choose one of: AUP-ZU3"),
    ],
)
def test_boards_that_cannot_be_meant(environment, board, host, message):
    with pytest.raises(ConfigError) as error:
        destination(board, host, None)
    assert message in str(error.value)


def test_without_the_environment_for_boards_it_is_said_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setenv("A2Q_BOARD_PYTHON", str(tmp_path / "none"))
    with pytest.raises(ResourceError, match="`make board-setup` makes it"):
        destination("sim", None, None)


def test_an_environment_without_pynq_is_refused_before_the_build(monkeypatch, tmp_path):
    monkeypatch.setenv("A2Q_BOARD_PYTHON", sys.executable)
    with pytest.raises(ResourceError, match=r"not there: .* has no package pynq. `make board-setup` makes it"):
        destination("sim", None, None)
    monkeypatch.setenv("A2Q_BOARD_PYTHON", shutil.which("true"))
    with pytest.raises(ResourceError, match=r"true is no Python"):
        destination("sim", None, None)
    (tmp_path / "python").write_text("")
    monkeypatch.setenv("A2Q_BOARD_PYTHON", str(tmp_path / "python"))
    with pytest.raises(ResourceError, match=r"python cannot be run \(.*Permission denied"):
        destination("sim", None, None)


def test_a_package_without_a_bitstream_is_not_sent_to_a_board(environment, build):
    with pytest.raises(ConfigError, match="holds no bitstream for the KV260, because Vivado was not on PATH"):
        validate_build(build, Address("192.168.2.99", 7967), None, print)


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (1, 1), (2, 1), (70, 70), (-9, 70)])
def test_the_exit_status_tells_a_difference_from_a_fault(build, monkeypatch, tmp_path, status, expected):
    """validate.py is a program that ends with `status`, on a package that says that it has a bitstream."""
    package = shutil.copytree(build.folder / "deploy", tmp_path / "deploy")
    manifest = json.loads((package / "manifest.json").read_text())
    manifest["bitstream"]["kind"] = "vivado"
    (package / "manifest.json").write_text(json.dumps(manifest))
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{f'kill {status} $$' if status < 0 else f'exit {status}'}\n")
    python.chmod(0o755)
    monkeypatch.setenv("A2Q_BOARD_PYTHON", str(python))
    result = BuildResult(tmp_path, (), 0.0, {})
    assert validate_build(result, Address("192.168.2.99", 7967), None, print) == expected


def test_of_what_the_simulated_board_says_the_end_is_kept(build, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write('a line\\n' * 500_000 + 'the last one\\n')\n")
    python.chmod(0o755)
    monkeypatch.setenv("A2Q_BOARD_PYTHON", str(python))
    with pytest.raises(ToolError, match="the last one") as caught, simulated_board(build.folder / "deploy"):
        pass
    assert len(str(caught.value)) < 4000


def test_a_build_for_a_board_without_processors_has_no_package(environment, tmp_path):
    with pytest.raises(ModelError, match="There is no package in"):
        validate_build(BuildResult(tmp_path, (), 0.0, {}), None, None, print)


@pytest.mark.parametrize("text", ["", "nonsense"])
def test_a_package_that_is_none_is_no_board(environment, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="cannot be read"), simulated_board(tmp_path):
        pass


@pytest.mark.skipif(
    "A2Q_BOARD_PYTHON" not in os.environ, reason="no environment with pynq; `make board-setup` makes it"
)
def test_a_port_that_is_taken_ends_the_server_with_a_message(build):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [Path(sys.executable).with_name("a2q"), "board-sim", "deploy", "--port", str(port)]
        done = subprocess.run(
            list(map(str, command)), cwd=build.folder, capture_output=True, text=True, check=False, timeout=300
        )
    assert done.returncode == 1
    assert str(port) in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(
    "A2Q_BOARD_PYTHON" not in os.environ, reason="no environment with pynq; `make board-setup` makes it"
)
def test_the_simulated_board_ends_with_the_command_that_started_it(build):
    command = [str(Path(sys.executable).with_name("a2q")), "board-sim", "deploy", "--port", "0"]
    with subprocess.Popen(command, cwd=build.folder, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass
        process.terminate()
        process.wait(10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.skipif(
    "A2Q_BOARD_PYTHON" not in os.environ, reason="no environment with pynq; `make board-setup` makes it"
)
def test_a_simulated_board_does_not_outlive_who_started_it(build):
    code = """
import sys, time
from pathlib import Path
from pipeline.deployment import simulated_board
with simulated_board(Path("deploy")) as address:
    print(address.port, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=build.folder, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        process.kill()
        process.wait(10)
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except ConnectionRefusedError:
            break
        assert time.monotonic() < end, "the server listens still"
        time.sleep(0.1)
