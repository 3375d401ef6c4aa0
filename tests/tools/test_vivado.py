from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pipeline.errors import ToolError
from pipeline.tools import vivado
from tests.tools import vivado_stand_in


@pytest.fixture
def program(tmp_path: Path, monkeypatch):
    """Puts a shell script called `vivado` on PATH, alone."""

    def put(text: str) -> Path:
        path = tmp_path / "bin" / "vivado"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
        return path

    return put


def test_it_is_found_on_path(program):
    path = program('echo "Vivado v2023.1.1 (64-bit)"')
    assert vivado.find() == path
    assert vivado.version() == "2023.1.1"


def test_where_it_is_not_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vivado.find() is None
    for call in (vivado.version, lambda: vivado.run(tmp_path / "a.tcl", [], tmp_path)):
        with pytest.raises(ToolError, match="no program called vivado is on PATH"):
            call()


def test_a_program_that_does_not_tell_its_version_is_refused(program):
    program("echo no licence >&2; exit 2")
    with pytest.raises(ToolError, match="-version ended with status 2 and names no version; it prints: 'no licence'"):
        vivado.version()


def test_the_command_line_and_what_is_printed(program, tmp_path):
    program('for word in "$@"; do echo "$word"; done; pwd')
    lines = []
    script = tmp_path / "a script.tcl"
    status = vivado.run(script, ["a b", "2"], tmp_path / "new" / "run", on_line=lines.append)
    assert status == 0
    batch = ["-mode", "batch", "-nolog", "-nojournal", "-notrace", "-source", str(script)]
    assert lines == [*batch, "-tclargs", "a b", "2", str(tmp_path / "new" / "run")]
    assert (tmp_path / "new" / "run" / vivado.LOG).read_text().splitlines() == lines


def test_the_first_error_is_told(program, tmp_path):
    program(
        """echo "INFO: begins"
        echo "CRITICAL WARNING: [Synth 8-1] what is it"
        echo "ERROR: [Synth 8-439] module 'rom' not found" >&2
        echo "ERROR: [Common 17-39] failed due to earlier errors."
        exit 1"""
    )
    with pytest.raises(ToolError) as raised:
        vivado.run(tmp_path / "a.tcl", [], tmp_path / "run")
    assert str(raised.value) == (
        "Vivado ended with status 1: ERROR: [Synth 8-439] module 'rom' not found The whole log is "
        f"{tmp_path / 'run' / 'vivado.log'}."
    )


@pytest.mark.parametrize(("text", "told"), [("echo killed; exit 137", "killed"), ("exit 1", "it printed nothing")])
def test_where_there_is_none_the_last_line_is_told(program, tmp_path, text, told):
    program(text)
    with pytest.raises(ToolError, match=rf"status \d+: {told} The whole log"):
        vivado.run(tmp_path / "a.tcl", [], tmp_path / "run")


def test_a_status_that_means_something_is_returned(program, tmp_path):
    program("exit 3")
    assert vivado.run(tmp_path / "a.tcl", [], tmp_path / "run", statuses=(0, 3)) == 3


def test_an_interrupt_ends_it(program, tmp_path):
    program(
        "trap 'echo ended > ended; exit 0' TERM\n"
        "echo begun; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; done; echo late > late"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vivado.run(tmp_path / "a.tcl", [], tmp_path / "run", on_line=interrupt)
    assert (tmp_path / "run" / "ended").is_file() and not (tmp_path / "run" / "late").is_file()


def test_the_stand_in_runs_scripts(tmp_path, monkeypatch):
    stand_in = vivado_stand_in.install(tmp_path, monkeypatch)
    script = tmp_path / "a.tcl"
    script.write_text(
        'puts "[file tail [info script]] in [version -short]: [lindex $argv 0]"\nno_command_of_vivado 1\n'
    )
    assert vivado.version() == "2024.2"
    with pytest.raises(ToolError, match='invalid command name "no_command_of_vivado"'):
        vivado.run(script, ["a {b"], tmp_path / "run")
    assert (tmp_path / "run" / vivado.LOG).read_text().startswith("a.tcl in 2024.2: a {b\n")
    assert stand_in.calls[1] == ["version", "-short"]
