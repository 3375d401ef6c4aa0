"""External programs, which are started here and nowhere else, and end with what started them.

All programs of this process are one process group, whose leader is a small process of its own, `process_guard.py`. It
waits for the end of this process, whatever ends it, SIGKILL too, and then kills the group: the programs, and those that
they have started in turn, such as the compiler proper of g++. A program joins the group before its first instruction.

What a terminal's Ctrl-C sends therefore reaches this process only, which ends its programs itself.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pipeline.errors import ResourceError, ToolError
from pipeline.tools import process_guard

__all__ = ["call", "end_all", "file_size_limit", "run", "started"]

_running: set[subprocess.Popen[Any]] = set()
_lock = threading.Lock()
_guard: subprocess.Popen[Any] | None = None
_guarded: tuple[int, int] | None = None  # the process and the session that the guard is of
# What C's strerror and strsignal, and so most programs, say of a file that grew beyond the limit.
_TOO_LARGE = re.compile("File (?:too large|size limit exceeded)", re.IGNORECASE)


@contextlib.contextmanager
def started(
    command: Sequence[object],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: bool = False,
    grace_s: float = 0.0,
) -> Iterator[subprocess.Popen[Any]]:
    """`command`, running; the options are those of `subprocess.Popen`, but that it reads nothing unless it is given it.

    It is waited for at the end of the block, and killed where an exception leaves the block, `side_by_side` gives up, or
    this process ends. After an exception it has `grace_s` seconds from SIGTERM on, if it has any. Raises ToolError where
    it cannot be started.
    """
    words = [str(word) for word in command]
    try:
        process = subprocess.Popen(
            words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=env,
            text=text,
            errors="replace" if text else None,
            process_group=_group(),
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and error.filename == words[0] and os.sep not in words[0]
        reason = "it is not on PATH; install it and try again" if missing else f"{error.strerror}: {error.filename}"
        raise ToolError(f"{words[0]} cannot be started: {reason}") from error
    with process:
        _running.add(process)
        try:
            yield process
        except BaseException:
            _end(process, grace_s)
            raise
        finally:
            _running.discard(process)


def run(
    command: Sequence[object],
    *,
    stdin: str | None = None,
    output: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    grace_s: float = 0.0,
) -> subprocess.CompletedProcess[str]:
    """Run `command`, give it the text `stdin`, and return its exit status and all that it wrote.

    With `output` it writes both to that file, and what is returned holds nothing of it; `on_line`, which takes an `output`
    and no `stdin` or `timeout_s`, is given each line of it at once. After an exception it has `grace_s` seconds from
    SIGTERM on, if it has any. Raises ToolError where it cannot be started, subprocess.TimeoutExpired where it takes more
    than `timeout_s` seconds, and ResourceError where it wrote a file beyond the limit on sizes of files (`ulimit -f`).
    """
    assert on_line is None or (output and stdin is None and timeout_s is None)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(output.open("wb")) if output else None
        process = stack.enter_context(
            started(
                command,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=file if file and not on_line else subprocess.PIPE,
                stderr=subprocess.STDOUT if output else subprocess.PIPE,
                cwd=cwd,
                env=env,
                text=True,
                grace_s=grace_s,
            )
        )
        if on_line and file:
            _copy_lines(process, file, on_line)
        said = process.communicate(stdin, timeout=timeout_s)
    done = subprocess.CompletedProcess(process.args, process.returncode, *(text or "" for text in said))
    if done.returncode:
        _verify_size_limit(done, output)
    return done


def _copy_lines(process: subprocess.Popen[str], file: IO[bytes], on_line: Callable[[str], None]) -> None:
    """Write what `process` prints to `file`, and give each line of it to `on_line`."""
    assert process.stdout is not None  # a pipe
    for line in process.stdout:
        file.write(line.encode())
        file.flush()
        on_line(line.rstrip("\n"))


def call(
    command: Sequence[object],
    what: str,
    *,
    temporary: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run `command`, which is to do `what`, with its temporary files in the folder `temporary`, where those of a killed
    one stay. Raises ToolError with what it wrote where it fails, and as `run` does.
    """
    done = run(command, cwd=cwd, env={**(os.environ if env is None else env), "TMPDIR": str(temporary)})
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise ToolError(f"{what} failed: {Path(done.args[0]).name} ended with status {done.returncode}:\n{said}")


def end_all() -> None:
    """Kill all programs that run now, and what they have started."""
    for process in list(_running):
        _end(process)


def file_size_limit() -> int | None:
    """The largest size of a file that this process may write, in bytes; None where there is no limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if limit == resource.RLIM_INFINITY else limit


def _verify_size_limit(done: subprocess.CompletedProcess[str], output: Path | None) -> None:
    """Raise ResourceError where the limit on sizes of files is why a program failed, or one that it had started."""
    limit = file_size_limit()
    if limit is None:
        return
    said = output.read_text(errors="replace") if output else done.stdout + done.stderr
    if done.returncode in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ) or _TOO_LARGE.search(said):
        raise ResourceError(
            f"{Path(done.args[0]).name} could not write a file of more than {limit:,} bytes, which is the limit of this "
            "process (`ulimit -f`). Raise the limit and run the same command again to go on."
        )


def _end(process: subprocess.Popen[Any], grace_s: float = 0.0) -> None:
    import psutil

    children: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        if process.poll() is None:
            children = psutil.Process(process.pid).children(recursive=True)
    if grace_s:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    process.kill()
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()


def _group() -> int:
    """The process group of the guard of this process, which is started where there is none."""
    global _guard, _guarded
    with _lock:
        current = os.getpid(), os.getsid(0)  # a fork has no guard yet; a group lies in one session
        if _guard is None or _guarded != current or _guard.poll() is not None:
            _guard = subprocess.Popen(
                [sys.executable, "-I", "-S", process_guard.__file__, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
            _guarded = current
            atexit.register(_dismiss, _guard, os.getpid())
        return _guard.pid


def _dismiss(guard: subprocess.Popen[Any], process: int) -> None:
    if os.getpid() == process:
        assert guard.stdin is not None  # a pipe
        guard.stdin.close()
        guard.wait()
