"""Exceptions that nobody foresaw: faults of this program, told in one sentence with the traceback in a file.

This is the net of the command lines. What a user's file can bring about is to be an `A2QError` where it is read.
"""

from __future__ import annotations

import errno
import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOBase
from pathlib import Path
from typing import TextIO

from pipeline.errors import A2QError, InternalError, ResourceError
from pipeline.user_cache import cache_folder

__all__ = ["FAULT", "in_stage", "is_fault", "out_of_memory", "sentence"]

FAULT = 70  # the exit status: EX_SOFTWARE of sysexits.h

# What the machine says, and no call of ours is wrong.
_MACHINE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EPIPE),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
)
_SHOWN = 300  # characters of an exception's text


def is_fault(error: BaseException) -> bool:
    """Whether `error` is a fault of this program, and neither foreseen nor a failure of the machine or of a file."""
    if isinstance(error, OSError):
        return error.filename is None and error.errno not in _MACHINE
    return isinstance(error, Exception) and not isinstance(error, A2QError | MemoryError)


@contextmanager
def in_stage(stage: str, log: Path | None = None, stream: TextIOBase | TextIO | None = None) -> Iterator[None]:
    """Raise InternalError from a fault of the block, which is `stage`; its traceback goes to `stream`, kept as `log`.

    Raises ResourceError where the block has run out of memory.
    """
    try:
        yield
    except MemoryError as error:
        raise ResourceError(f"The stage {stage} needs more memory than there is{_details(error)}. {_MORE}") from error
    except Exception as error:
        if isinstance(error, InternalError) or not is_fault(error):
            raise
        if stream is not None:
            stream.write("".join(traceback.format_exception(error)))
        raise InternalError(_short(error), stage, None if stream is None else log) from error


def sentence(what: str, error: BaseException) -> str:
    """The message about a fault in `what`, such as a command with its arguments; its traceback is kept."""
    stage, log, text = "", None, _short(error)
    if isinstance(error, InternalError):
        stage, log, text = f" in the stage {error.stage}", error.log, str(error)
    log = log or _keep(error)
    where = f"with {log}, which has the traceback" if log else "with the traceback that follows"
    message = (
        f"{what} broke off{stage} with {text}: this is a fault of a2q, not of what it was given. "
        f"Please report it {where}."
    )
    return message if log else f"{message}\n{''.join(traceback.format_exception(error))}"


def out_of_memory(what: str, error: MemoryError) -> str:
    """The message about an `error` in `what` outside of a stage."""
    return f"{what} needs more memory than there is{_details(error)}. {_MORE}"


_MORE = "End other programs, raise the limit if one is set (ulimit -v), or take a machine with more."


def _keep(error: BaseException) -> Path | None:
    """The file that holds the traceback of `error`, in the user's cache folder or else a temporary one, if any can be."""
    text = "".join(traceback.format_exception(error))
    try:
        path = (
            cache_folder() / "faults" / f"{type(error).__name__}.txt"
        )  # the last of its kind: their number stays small
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, errors="replace")
        return path
    except (ImportError, OSError, RuntimeError):  # such as without a home
        pass
    try:
        handle, name = tempfile.mkstemp(prefix="a2q-fault-", suffix=".txt")
        with os.fdopen(handle, "w", errors="replace") as stream:
            stream.write(text)
        return Path(name)
    except OSError:
        return None


def _short(error: BaseException) -> str:
    """The type and the text of `error`, in one line."""
    return " ".join(f"{type(error).__name__}{_details(error)}".split())


def _details(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f" ({text if len(text) <= _SHOWN else text[:_SHOWN] + '…'})" if text else ""
