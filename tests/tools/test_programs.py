from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from pipeline.errors import ToolError
from pipeline.tools import tool, vitis_hls
from pipeline.tools.programs import PROGRAMS

VITIS = """

****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2022.2 (64-bit)
  **** SW Build {build} on Oct 13 2022
    ** Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.

INFO: [HLS 200-10] For user 'me' on host 'here' on {time}
"""


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a shell script first on PATH, as a program of that name."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    def install(name: str, script: str) -> None:
        path = tmp_path / f"{name}.{time.monotonic_ns()}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).hardlink_to(path)

    return install


def says(text: str) -> str:
    return f"cat <<'END'\n{text}END"


def test_a_version_is_the_first_line_that_is_not_empty_and_the_build_but_not_the_time(put):
    keys = []
    for build, at in ((3670227, "Monday"), (3670227, "Tuesday"), (3719031, "Tuesday")):
        put("vitis_hls", says(VITIS.format(build=build, time=at)))
        keys.append(PROGRAMS["vitis_hls"].key())
    assert keys[0] == keys[1] != keys[2]
    assert vitis_hls.version() == "2022.2"
    put("vitis_hls", says(VITIS.format(build=3719031, time="Tuesday").replace("2022.2", "2023.1")))
    assert PROGRAMS["vitis_hls"].key() != keys[2] and vitis_hls.version() == "2023.1"


def test_each_is_asked_as_it_wants_to_be(put):
    for name in PROGRAMS:
        put(name, 'echo "$*"')
    asked = {name: program.printed() for name, program in PROGRAMS.items()}
    assert asked == {"g++": "--version", "vivado": "-version", "vitis_hls": "-version", "vitis-run": "--version"}


def test_what_is_not_on_path_is_absent(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert PROGRAMS["g++"].key() == "absent"


def test_variables_that_change_what_it_makes_count(put, monkeypatch):
    put("g++", "echo 12.2")
    monkeypatch.delenv("CPATH", raising=False)
    keys = {PROGRAMS["g++"].key()}
    for value in ("", "/opt/include"):
        monkeypatch.setenv("CPATH", value)
        keys.add(PROGRAMS["g++"].key())
    assert len(keys) == 3


def test_one_that_asks_back_is_not_waited_for(put):
    put("vivado", "read answer; echo vivado v2024.2")
    assert PROGRAMS["vivado"].printed() == "vivado v2024.2"


def test_one_that_does_not_end_is_an_error(put, monkeypatch, tmp_path):
    monkeypatch.setattr(tool, "_VERSION_SECONDS", 1)
    put("vivado", f"echo $$ > {tmp_path}/number; sleep 600; echo vivado v2024.2")
    with pytest.raises(ToolError, match="vivado -version did not end within 1 seconds. Mend it, or take it off PATH"):
        PROGRAMS["vivado"].key()
    assert not psutil.pid_exists(int((tmp_path / "number").read_text()))


@pytest.mark.parametrize(("script", "printed"), [("echo why >&2; exit 3", "why"), ("echo", "")])
def test_one_that_fails_or_prints_nothing_is_an_error(put, script, printed):
    put("vivado", script)
    with pytest.raises(ToolError, match=f"vivado -version ended with status . and names no version.*'{printed}'"):
        PROGRAMS["vivado"].key()
