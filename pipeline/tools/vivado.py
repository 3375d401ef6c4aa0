"""Vivado in batch mode, where it is on PATH. What a script does is its own matter."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from pipeline.errors import ToolError

__all__ = ["LOG", "find", "run", "version"]

LOG = "vivado.log"


def find() -> Path | None:
    """The program `vivado` on PATH, None where there is none."""
    found = shutil.which("vivado")
    return Path(found) if found else None


def version() -> str:
    """The version of the Vivado on PATH, such as 2024.2. Raises ToolError where there is none, or it does not say."""
    done = subprocess.run([_program(), "-version"], capture_output=True, text=True, errors="replace", check=False)
    found = re.search(r"vivado v(\S+)", done.stdout, re.IGNORECASE)
    if not found:
        raise ToolError(
            f"{_program()} -version ended with status {done.returncode} and names no version; it prints: "
            f"{(done.stdout + done.stderr).strip()[:500]!r}"
        )
    return found[1]


def run(
    script: Path,
    arguments: Sequence[str],
    folder: Path,
    *,
    statuses: Collection[int] = (0,),
    on_line: Callable[[str], None] | None = None,
) -> int:
    """Run the Tcl file `script` with `arguments` in `folder`; the exit status is returned, one of `statuses`.

    What Vivado prints goes to `folder`/LOG, and line by line to `on_line`. Raises ToolError where Vivado is not on
    PATH, or ends with another status, then with the first error that it printed.
    """
    command = [_program(), "-mode", "batch", "-nolog", "-nojournal", "-notrace", "-source", str(script.absolute())]
    log = folder / LOG
    folder.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as kept,
        subprocess.Popen(
            [*command, "-tclargs", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stdout:
                kept.write(line)
                kept.flush()
                if on_line:
                    on_line(line.rstrip("\n"))
        except BaseException:
            process.terminate()
            raise
    if process.returncode not in statuses:
        lines = log.read_text().splitlines()
        first = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "it printed nothing")
        raise ToolError(f"Vivado ended with status {process.returncode}: {first.strip()} The whole log is {log}.")
    return process.returncode


def _program() -> str:
    program = find()
    if program is None:
        raise ToolError("Vivado is not there: no program called vivado is on PATH. Source its settings64.sh first.")
    return str(program)
