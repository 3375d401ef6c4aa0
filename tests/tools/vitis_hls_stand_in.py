"""A program called `vitis_hls`, or `vitis-run`, for tests: it takes their command line and runs the script.

The commands of Vitis HLS are in vitis_hls_stand_in.tcl. As a program it needs tkinter, or else tclsh; and g++, where it
is to read the sources as Vitis HLS does, with __SYNTHESIS__.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from pathlib import Path

from tests.tools.vivado_stand_in import NO_TCL, StandIn

__all__ = ["install", "synthesis_headers"]

_COMMANDS = Path(__file__).with_suffix(".tcl")
_OPTIONS = {"vitis_hls": ["-f"], "vitis-run": ["--mode", "hls", "--tcl"]}
_BANNERS = {
    "vitis_hls": "****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2022.2 (64-bit)\n"
    "  **** SW Build 3670227 on Oct 13 2022",
    "vitis-run": "\n****** vitis-run v2025.1 (64-bit)\n  **** SW Build 6137779 on 2025-05-21-18:10:03",
}
_HEADERS = ("ap_int.h", "hls_stream.h")


def install(
    folder: Path, monkeypatch, program: str = "vitis_hls", *, reads_sources: bool = False, **behaviour: str
) -> StandIn:
    """Put the stand-in first on PATH as `program`.

    `behaviour` is what vitis_hls_stand_in.tcl says, where it is not to succeed. Skips the test where there is no Tcl.
    """
    import pytest

    try:
        import tkinter  # noqa: F401
    except ImportError:
        if shutil.which("tclsh") is None:
            pytest.skip(NO_TCL)
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    path = binaries / program
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{Path.cwd()}" exec "{sys.executable}" -m {__name__} {program} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(folder / "calls.jsonl"))
    usual = {
        "headers": "-isystem ".join(["", *(f"{{{path}}} " for path in synthesis_headers(folder))])
        if reads_sources
        else "",
        "failing": "",
        "message": "",
        "without": "",
        "LUT": "1234",
        "latency": "2309",
    }
    monkeypatch.setenv("BEHAVIOUR", " ".join(f"{key} {{{value}}}" for key, value in (usual | behaviour).items()))
    return StandIn(folder / "calls.jsonl")


def synthesis_headers(folder: Path) -> list[Path]:
    """Where the headers of Vitis HLS are for a source that is compiled with __SYNTHESIS__: in `folder`, and where the
    simulation has them. Those refuse to be synthesized."""
    from pipeline.tools import gxx

    for name in _HEADERS:
        (folder / name).write_text(
            f"#pragma once\n#undef __SYNTHESIS__\n#include_next <{name}>\n#define __SYNTHESIS__\n"
        )
    return [folder, gxx.headers()]


def _main(program: str, *arguments: str) -> None:
    if arguments in (("-version",), ("--version",)):
        print(_BANNERS[program])
        return
    with open(os.environ["RECORD"], "a") as record:
        record.write(json.dumps([program, *arguments]) + "\n")
    *options, script = arguments
    if options != _OPTIONS[program]:
        sys.exit(f"ERROR: the stand-in does not take this command line: {arguments}")
    os.environ["SCRIPT"] = script
    try:
        from tkinter import Tcl
    except ImportError:
        os.execvp("tclsh", ["tclsh", str(_COMMANDS)])
    interpreter = Tcl()
    interpreter.createcommand("leave", lambda status: os._exit(int(status)))
    interpreter.eval("proc exit {{status 0}} {flush stdout; leave $status}")  # tkinter takes Tcl's own away
    interpreter.eval(_COMMANDS.read_text())
    interpreter.eval("puts {the script did not exit: Vitis HLS stays in its interactive mode}; exit 2")


if __name__ == "__main__":
    _main(*sys.argv[1:])
