"""Temporary folders, which are removed with what was made in them, at the latest by the next build.

Who makes one holds a lock beside it, which the system releases when that process ends, however it ends. So a folder whose
lock can be had is a leftover. Neither the number of a process nor a time says as much: numbers are given again, and other
containers that share the folder count for themselves.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["scratch_folder", "sweep"]

_PREFIX = "a2q-"
_LOCK = ".made-by"


@contextlib.contextmanager
def scratch_folder(
    purpose: str, parent: Path | None = None, *, keep_after: type[BaseException] | tuple[type[BaseException], ...] = ()
) -> Iterator[Path]:
    """An empty folder in `parent`, or among the system's temporary files, for as long as the block.

    Where one of the exceptions `keep_after` leaves the block, the folder stays for the user to look at.
    """
    folder, lock = _made(purpose, parent)
    work, keep = folder / "work", False
    work.mkdir()
    try:
        yield work
    except keep_after:
        keep = True
        raise
    finally:
        if keep:
            (folder / _LOCK).unlink()  # without it, nobody takes the folder for a leftover
        else:
            _remove(folder)
        lock.release()


def sweep(parent: Path | None = None) -> None:
    """Remove those temporary folders in `parent` whose maker is gone. What cannot be removed stays."""
    for lock_file in Path(parent or tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        folder = lock_file.parent
        with contextlib.suppress(OSError, Timeout):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = FileLock(lock_file)
            with lock.acquire(blocking=False):
                _remove(folder)


def _made(purpose: str, parent: Path | None) -> tuple[Path, FileLock]:
    sweep(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-", dir=parent)).absolute()
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(blocking=False)
        except (Timeout, FileNotFoundError):  # another build has swept it before it was locked
            continue
        return folder, lock


def _remove(folder: Path) -> None:
    shutil.rmtree(folder / "work", ignore_errors=True)  # first: without the lock, what remains would stay for ever
    shutil.rmtree(folder, ignore_errors=True)
