"""A program called `vivado` for tests: it takes Vivado's command line and runs its script, Vivado's commands apart.

Those are in vivado_stand_in.tcl. As a program it needs tkinter, or else tclsh.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["IPS", "NO_TCL", "StandIn", "install"]

NO_TCL = "no Tcl here: neither tkinter, which is a part of Python, nor tclsh"
IPS = (
    *("xilinx.com:ip:processing_system7:5.5", "xilinx.com:ip:zynq_ultra_ps_e:3.5", "xilinx.com:ip:axi_dma:7.1"),
    *("xilinx.com:ip:smartconnect:1.0", "xilinx.com:ip:proc_sys_reset:5.0", "xilinx.com:ip:clk_wiz:6.0"),
)
_BOARDS = ("tul.com.tw:pynq-z2:part0:1.0", "xilinx.com:kv260_som:part0:1.3", "xilinx.com:kv260_som:part0:1.4")
_COMMANDS = Path(__file__).with_suffix(".tcl")
_BATCH = ["-mode", "batch", "-nolog", "-nojournal", "-notrace", "-source"]


@dataclass(frozen=True)
class StandIn:
    """The stand-in that was put first on PATH."""

    record: Path

    @property
    def calls(self) -> list[list[str]]:
        """What was called, in order: the command line first, then each of Vivado's commands with its words."""
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def of(self, name: str) -> list[list[str]]:
        """The words of each call of the command `name`."""
        return [words[1:] for words in self.calls if words[0] == name]


def install(folder: Path, monkeypatch, **behaviour: str) -> StandIn:
    """Put the stand-in first on PATH. `behaviour` is what vivado_stand_in.tcl says, where it is not to succeed.

    Skips the test where there is no Tcl.
    """
    import pytest

    try:
        import tkinter  # noqa: F401
    except ImportError:
        if shutil.which("tclsh") is None:
            pytest.skip(NO_TCL)
    binaries = folder / "bin"
    binaries.mkdir()
    program = binaries / "vivado"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__)}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(folder / "calls.jsonl"))
    usual = {
        "boards": " ".join(_BOARDS),
        "ips": " ".join(IPS),
        "period": "10.000",
        "pl_clock": "100.000000",
        "wns": "0.125",
        "whs": "0.011",
        "failing": "",
        "message": "",
        "routed": "1",
        "without": "",
        "handoff": "",
        "paths": "u_mvau_1 a2q_accelerator_0/inst/u_design/u_fifo_2",
    }
    pairs = (usual | behaviour).items()
    monkeypatch.setenv("BEHAVIOUR", " ".join(f"{key} {{{value}}}" for key, value in pairs))
    return StandIn(folder / "calls.jsonl")


def _main(arguments: list[str]) -> None:
    if arguments == ["-version"]:
        print("vivado v2024.2 (64-bit)\nTool Version Limit: 2024.11\nSW Build 5239630 on Fri Nov 08 22:34:34 MST 2024")
        return
    with open(os.environ["RECORD"], "a") as record:
        record.write(json.dumps(["vivado", *arguments]) + "\n")
    script, separator, *given = arguments[len(_BATCH) :]
    if arguments[: len(_BATCH)] != _BATCH or separator != "-tclargs":
        sys.exit(f"ERROR: the stand-in does not take this command line: {arguments}")
    os.environ["SCRIPT"] = script
    try:
        from tkinter import Tcl
    except ImportError:
        os.execvp("tclsh", ["tclsh", str(_COMMANDS), *given])
    interpreter = Tcl()
    interpreter.createcommand("leave", lambda status: os._exit(int(status)))
    interpreter.eval("proc exit {{status 0}} {flush stdout; leave $status}")  # tkinter takes Tcl's own away
    interpreter.setvar("argv", tuple(given))
    interpreter.eval(_COMMANDS.read_text())
    interpreter.eval("exit")


if __name__ == "__main__":
    _main(sys.argv[1:])
