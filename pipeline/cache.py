"""Finished results of stages on disk, found by their key.

    <cache>/<stage>/<key>/          a finished result; `entry.json` in it says what it holds
    <cache>/<stage>/<key>.partial/  a result in the making, renamed into place when it is complete
    <cache>/<stage>/<key>.lock      held by the build that makes it

A killed build leaves a partial folder and no lock; the next build removes it. Files of a finished result are
read-only, because the build's folder holds links to them: who edits a published file in place edits the result.

So a result is verified before it is used again, and made anew where it is not what was put there. Every file is to have
its size and its time of change, and every file of up to 16 MiB, every certificate and report whatever its size, and the
record itself its SHA-256. Larger ones (the weights and golden frames of networks on large images) are not read: a build
of the default network holds 11 MB and is verified in 60 ms, one of VGG-16 would take tens of seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline import fingerprint
from pipeline.errors import ResourceError
from pipeline.scratch import sweep

__all__ = ["CACHE", "LOG", "Cache", "Entry", "Slot", "held", "read_entry"]

CACHE = ".a2q-cache"  # beside the folders of builds

LOG = "log.txt"
_RECORD = "entry.json"
_KEY_LENGTH = 16
_HASHED_BYTES = 16 * 2**20
_ALWAYS_HASHED = "report/"
_LOCK_SECONDS = 6 * 3600


@dataclass(frozen=True)
class Entry:
    """A finished result: its folder, the digest of its content (the log apart), its line of summary, and its cost."""

    folder: Path
    content: str
    summary: str
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Slot:
    """The place of one key, held by this build: `entry` is its result; without one `partial` is an empty folder."""

    entry: Entry | None
    partial: Path
    final: Path

    def commit(self, summary: str, seconds: float, peak_mib: float) -> Entry:
        """Declare `partial` complete, and put it into place."""
        content = fingerprint.folder(self.partial, without={_RECORD, LOG})
        entry = Entry(self.final, content, summary, round(seconds, 3), round(peak_mib, 1))
        for path in _files(self.partial):
            path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH | (path.stat().st_mode & stat.S_IXUSR))
        record = {**asdict(entry), "folder": "", "files": _states(self.partial)}
        record["record"] = _digest(record)
        (self.partial / _RECORD).write_text(json.dumps(record, indent=1) + "\n")
        self.partial.rename(self.final)
        return entry


@dataclass(frozen=True)
class Cache:
    """The results of all stages under `folder`."""

    folder: Path

    @contextmanager
    def slot(self, stage: str, key: str, on_wait: Callable[[], None]) -> Iterator[Slot]:
        """Hold the place of `key`. Where another build holds it, `on_wait` is called and this one waits for its result.

        Raises ResourceError after six hours of waiting. On leaving without a commit, whatever the reason, nothing of
        the partial result remains.
        """
        final = self.folder / stage / key[:_KEY_LENGTH]
        partial = final.with_name(f"{final.name}.partial")
        final.parent.mkdir(parents=True, exist_ok=True)
        with held(final.with_name(f"{final.name}.lock"), on_wait):
            entry = read_entry(final)
            if entry is None:
                for leftover in (final, partial):
                    if leftover.exists():
                        shutil.rmtree(leftover)
                partial.mkdir()
            try:
                yield Slot(entry, partial, final)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what killed builds have left: partial results, and temporary folders in what stages share."""
        for folder in self.folder.glob("*/"):
            _sweep_partial(folder)
            for shared in folder.glob("*.shared/"):
                for parent in (shared, *shared.glob("*/")):
                    sweep(parent)

    def shared(self, stage: str, name: str) -> Path:
        """A folder for a stage's own cache of parts of its work, which outlives its results."""
        path = self.folder / stage / f"{name}.shared"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def size_mib(self) -> float:
        """The size of all results on disk, in MiB."""
        return sum(path.stat().st_size for path in _files(self.folder)) / 2**20


@contextmanager
def held(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path`, which the system releases when this process ends, however it ends.

    Where another build holds it, `on_wait` is called and this one waits. Raises ResourceError after six hours of it.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            raise ResourceError(
                f"Another build has held {path} for {_LOCK_SECONDS // 3600} hours. End it, or use another folder."
            ) from None
    try:
        yield
    finally:
        lock.release()


def _sweep_partial(folder: Path) -> None:
    """Remove partial results that no build holds."""
    for partial in folder.glob("*.partial"):
        lock = FileLock(partial.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            shutil.rmtree(partial, ignore_errors=True)
        finally:
            lock.release()


def read_entry(folder: Path) -> Entry | None:
    """The result in `folder`; None where there is none, or where its files are not those that were put there."""
    try:
        record = json.loads((folder / _RECORD).read_text())
        if record.pop("record") != _digest(record) or record.pop("files") != _states(folder):
            return None
        return Entry(**{**record, "folder": folder})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(record: Mapping[str, object]) -> str:
    return fingerprint.combine({"record": json.dumps(record, sort_keys=True)})


def _states(folder: Path) -> dict[str, list[int | str]]:
    """The state of each file, by its path: size, time of change, and the digest of those that are verified whole."""
    states: dict[str, list[int | str]] = {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if name != _RECORD:
            state = path.stat()
            states[name] = [state.st_size, state.st_mtime_ns]
            if state.st_size <= _HASHED_BYTES or name.startswith(_ALWAYS_HASHED):
                states[name].append(fingerprint.file(path))
    return dict(sorted(states.items()))


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file():
                yield path
