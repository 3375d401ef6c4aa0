"""Programs that are looked for on PATH: where they are, and what they say of their version."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.errors import ToolError
from pipeline.tools import process

__all__ = ["PROGRAMS", "Program"]

_VERSION_SECONDS = 120.0  # a vendor's tool that is started from a network's file system may take a minute
_BUILD = "SW Build"  # what AMD's tools call it: it tells patches of one version apart. Other lines may hold the time.


@dataclass(frozen=True)
class Program:
    """A program. `version_option` is what makes it print its version and end; `variables` are those of the environment,
    PATH apart, that change what it makes of the same files."""

    name: str
    version_option: str
    variables: tuple[str, ...] = ()

    def find(self) -> Path | None:
        """Where it is; None where it is not on PATH."""
        path = shutil.which(self.name)
        return Path(path) if path else None

    def version(self) -> str:
        """The line that it prints first of its version, and that of the build, where it prints one.

        Raises ToolError where it is not on PATH, does not end, fails, or prints nothing.
        """
        path = self.find()
        if path is None:
            raise ToolError(f"{self.name} is not on PATH; install it and try again.")
        return _version(path, path.stat().st_mtime_ns, self.version_option)

    def key(self) -> str:
        """All that tells it from another: its version, and its variables. `absent` where it is not on PATH."""
        if self.find() is None:
            return "absent"
        return "\n".join([self.version(), *(f"{name}={os.environ.get(name)}" for name in self.variables)])


@cache
def _version(path: Path, _changed_ns: int, option: str) -> str:
    command, advice = (
        f"{path} {option}",
        f"Mend it, or take it off PATH: results of {path.name} are kept by its version.",
    )
    try:
        done = process.run([path, option], timeout_s=_VERSION_SECONDS)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command} did not end within {_VERSION_SECONDS:g} seconds. {advice}") from None
    lines = [line.strip() for line in (done.stdout.strip() or done.stderr.strip()).splitlines()]
    if done.returncode or not lines:
        raise ToolError(
            f"{command} ended with status {done.returncode} and names no version; it prints: "
            f"{(done.stdout + done.stderr).strip()[-500:]!r}. {advice}"
        )
    return "\n".join([lines[0], *(line for line in lines[1:] if _BUILD in line)])


# https://gcc.gnu.org/onlinedocs/gcc/Environment-Variables.html; AMD's UG973 for its patches, MYVIVADO and XILINX_PATH.
_GXX = ("CPATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX")
PROGRAMS = {
    program.name: program
    for program in (
        Program("g++", "--version", _GXX),
        Program("vivado", "-version", ("MYVIVADO", "XILINX_PATH")),
        Program("vitis_hls", "-version", ("MYVIVADO", "XILINX_PATH")),
        Program("vitis-run", "--version", ("MYVIVADO", "XILINX_PATH")),
    )
}
"""All programs that stages look for on PATH, by name."""
