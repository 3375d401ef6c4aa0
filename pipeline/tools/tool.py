"""What all external tools have in common: where one is, its version, a run with a log, and results that are kept.

A tool is a program on PATH, `Program`, or comes as a Python package, `Package`. Each has a file of its own beside this
one, with what is particular to it. The programs are listed in `pipeline/tools/programs.py`: stages name them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from functools import cache as remembered
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import ToolError
from pipeline.scratch import scratch_folder
from pipeline.tools import process

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Package", "Program", "Tool", "contents", "write_whole"]

_VERSION_SECONDS = 120.0  # a vendor's tool that is started from a network's file system may take a minute
_BUILD = "SW Build"  # what AMD's tools call it: it tells patches of one version apart. Other lines may hold the time.
_TAIL_LINES = 20

Result = TypeVar("Result", bound="DataclassInstance")


@dataclass(frozen=True)
class Tool(ABC):
    """An external tool. Errors call it `title`, or else by its name, and say `missing` where it is not there.

    `first_error` is how the lines of its log begin that name errors, for a tool whose first error says more than the end of
    its log. When it is stopped, it has `grace_s` seconds to end in good order.
    """

    name: str
    _: KW_ONLY
    title: str = ""
    missing: str = ""
    first_error: str = ""
    grace_s: float = 0.0

    @abstractmethod
    def find(self) -> Path | None:
        """Where it is, None where it is not there."""

    @abstractmethod
    def version(self) -> str:
        """Its version, such as 2024.2. Raises ToolError where it is not there, or does not say."""

    @abstractmethod
    def key(self) -> str:
        """All that tells it from another of the same name, which makes other things of the same files."""

    def require(self) -> Path:
        """Where it is. Raises ToolError where it is not there."""
        path = self.find()
        if path is None:
            raise ToolError(self.missing or self._missing())
        return path

    @abstractmethod
    def _missing(self) -> str:
        """What is said where it is not there and `missing` is empty."""

    def content_key(self, facts: Iterable[str], files: Iterable[tuple[str, bytes]]) -> str:
        """The SHA-256 of what a result depends on: this tool, `facts`, and `files` by name and content, in their order."""
        digest = hashlib.sha256()
        for fact in (self.key(), *facts):
            digest.update(f"{len(fact)}:{fact}".encode())
        for name, content in files:
            digest.update(f"{name}:{len(content)}:".encode())
            digest.update(content)
        return digest.hexdigest()

    def cached(
        self,
        cache: Path,
        key: str,
        load: Callable[[Mapping[str, Any]], Result],
        make: Callable[[Path], Result],
        *,
        keep_after: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> Result:
        """The result of this `key`: what `load` makes of its fields in the folder `cache`, or else what `make` gives.

        `make` gets an empty folder inside `cache` to work in, which stays after one of the exceptions `keep_after`. What it
        gives, a dataclass, is in `cache` as soon as it is complete, whoever else makes the same.
        """
        entry = cache / f"{key}.json"
        if entry.is_file():
            return load(json.loads(entry.read_text()))
        cache.mkdir(parents=True, exist_ok=True)
        with scratch_folder(self.name, cache, keep_after=keep_after) as folder:
            result = make(folder)
            write_whole(entry, json.dumps(asdict(result)).encode(), folder)
        return result

    def run(
        self,
        command: Sequence[object],
        folder: Path,
        *,
        log: Path,
        what: str = "",
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        statuses: Collection[int] = (0,),
        on_line: Callable[[str], None] | None = None,
    ) -> int:
        """Run `command`, which is to do `what`, in `folder`; the exit status is returned, one of `statuses`.

        What it prints goes to the file in `folder` that is named as `log`, and line by line to `on_line`. A `log` in another
        folder is there only after a failure: others may write one at the same time. Raises ToolError with the path of the
        log, and its first error or its end, for another status, and what `process.run` raises.
        """
        written = folder / log.name
        done = process.run(
            command,
            stdin=stdin,
            output=written,
            on_line=on_line,
            cwd=folder,
            env=env,
            timeout_s=timeout_s,
            grace_s=self.grace_s,
        )
        if done.returncode not in statuses:
            if written != log:
                shutil.copyfile(written, log)
            lines = written.read_text(errors="replace").strip().splitlines()
            subject = what or self.title or self.name
            raise ToolError(f"{subject} ended with status {done.returncode}{self._quoted(lines, log)}")
        if written != log:
            log.unlink(missing_ok=True)
        return done.returncode

    def _quoted(self, lines: Sequence[str], log: Path) -> str:
        """What an error quotes of the `lines` of a log, and where the log is."""
        if self.first_error:
            last = lines[-1] if lines else "it printed nothing"
            first = next((line for line in lines if line.startswith(self.first_error)), last)
            return f": {first.strip()} The whole log is {log}."
        tail = "\n".join(lines[-_TAIL_LINES:])
        return f"; the whole log is {log}. It ends:\n{tail or '(empty)'}"


@dataclass(frozen=True)
class Program(Tool):
    """A program that is looked for on PATH.

    `version_option` is what makes it print its version and end, and `number` finds the version in what it prints: the group,
    where that takes part. `variables` are those of the environment, PATH apart, that change what it makes of the same files.
    """

    version_option: str
    number: re.Pattern[str]
    variables: tuple[str, ...] = ()

    def find(self) -> Path | None:
        path = shutil.which(self.name)
        return Path(path) if path else None

    def printed(self) -> str:
        """The line that it prints first of its version, and that of the build, where it prints one.

        Raises ToolError where it is not on PATH, does not end, fails, or prints nothing.
        """
        path = self.require()
        return _printed(path, path.stat().st_mtime_ns, self.version_option)

    def version(self) -> str:
        printed = self.printed()
        number = self.number.search(printed)
        if not number:
            raise ToolError(
                f"{self.find()} names no version of {self.title or self.name}; it prints first: {printed!r}"
            )
        return number[number.lastindex or 0]

    def key(self) -> str:
        """What it prints of its version, and its variables; `absent` where it is not on PATH."""
        if self.find() is None:
            return "absent"
        return "\n".join([self.printed(), *(f"{name}={os.environ.get(name)}" for name in self.variables)])

    def _missing(self) -> str:
        return f"{self.name} is not on PATH; install it and try again."


@remembered
def _printed(path: Path, _changed_ns: int, option: str) -> str:
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


@dataclass(frozen=True)
class Package(Tool):
    """A tool that comes as the Python package of that name."""

    def find(self) -> Path | None:
        """The folder of the package, None where it is not installed."""
        spec = importlib.util.find_spec(self.name.replace("-", "_"))
        return Path(spec.origin).parent if spec and spec.origin else None

    def script(self) -> Path:
        """The program of that name that the package installs. Raises ToolError where it is not there."""
        program = shutil.which(self.name, path=str(Path(sys.executable).parent))
        if program is None:
            raise ToolError(self.missing or self._missing())
        return Path(program)

    def version(self) -> str:
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            raise ToolError(self.missing or self._missing()) from None

    def key(self) -> str:
        """Its version. Raises ToolError where it is not installed."""
        return self.version()

    def _missing(self) -> str:
        return f"the Python package `{self.name}` is not installed; `pip install {self.name}` installs it"


def contents(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """`files` by name and content, as `content_key` takes them."""
    return ((path.name, path.read_bytes()) for path in files)


def write_whole(target: Path, content: bytes, folder: Path) -> None:
    """Write `content` to `target`, which appears when it is complete, through a file in `folder` of the same file system."""
    staged = folder / target.name
    staged.write_bytes(content)
    os.replace(staged, target)
