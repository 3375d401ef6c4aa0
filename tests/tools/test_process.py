from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from pipeline.errors import ResourceError, ToolError
from pipeline.tools import process


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_a_program_writes_and_how_it_ends():
    done = process.run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin="yes")
    assert (done.returncode, done.stdout, done.stderr) == (3, "yes", "no\n")


def test_what_a_program_writes_to_a_file(tmp_path):
    done = process.run(["sh", "-c", "echo one; echo two >&2"], output=tmp_path / "log", cwd=tmp_path)
    assert (done.stdout, (tmp_path / "log").read_text()) == ("", "one\ntwo\n")


def test_a_program_that_is_given_nothing_reads_nothing():
    assert process.run(["cat"]).stdout == ""


def test_a_program_that_is_not_there():
    with pytest.raises(ToolError, match="no-such-program cannot be started: it is not on PATH; install it"):
        process.run(["no-such-program"])
    with pytest.raises(ToolError, match="/no/such cannot be started: No such file or directory: /no/such"):
        process.run(["/no/such"])


def test_a_program_that_fails_at_its_task_is_an_error_with_what_it_wrote(tmp_path):
    with pytest.raises(ToolError, match="linking failed: sh ended with status 2:\nwhy"):
        process.call(["sh", "-c", "echo why >&2; exit 2"], "linking", temporary=tmp_path)


def test_its_temporary_files_lie_where_they_are_removed(tmp_path):
    process.call(["sh", "-c", 'test "$TMPDIR" = "$1"', "sh", tmp_path], "looking", temporary=tmp_path)


def test_a_time_limit_ends_it_with_all_that_it_started(tmp_path):
    with pytest.raises(subprocess.TimeoutExpired):
        process.run(["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/number; wait"], timeout_s=1)
    until(lambda: not psutil.pid_exists(int((tmp_path / "number").read_text())))


def test_an_exception_in_the_block_ends_it():
    with pytest.raises(KeyError), process.started(["sleep", "600"]) as running:
        raise KeyError
    assert running.returncode == -signal.SIGKILL


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda sent: sent.name)
def test_programs_and_what_they_started_end_with_this_process(tmp_path, sent):
    """Also those of a thread that is not the first, and where a fork of this process lives on."""
    (tmp_path / "numbers").mkdir()
    script = f"""
import os, signal, sys, threading, time
from pathlib import Path
from pipeline.tools import process

SLEEPS = 'sleep 600 & touch "numbers/$!"; touch "numbers/$$"; wait'

def work():
    process.run(["sh", "-c", SLEEPS], cwd=Path({str(tmp_path)!r}))

signal.signal(signal.SIGHUP, signal.SIG_DFL)
for _ in range(2):
    threading.Thread(target=work).start()
while len(os.listdir({str(tmp_path / "numbers")!r})) < 4:
    time.sleep(0.01)
fork = os.fork()
if not fork:
    time.sleep(600)
print(fork, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        fork = int(parent.stdout.readline())
        children = psutil.Process(parent.pid).children(recursive=True)
        programs = [child for child in children if child.pid != fork]
        assert {int(path.name) for path in (tmp_path / "numbers").iterdir()} < {child.pid for child in programs}
        parent.send_signal(sent)
        parent.wait(30)
        until(lambda: not any(is_alive(program) for program in programs))
        os.kill(fork, signal.SIGKILL)


def is_alive(program: psutil.Process) -> bool:
    try:
        return program.is_running() and program.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_the_compiler_proper_ends_with_the_process_that_started_g_plus_plus(tmp_path):
    source = tmp_path / "slow.cpp"  # the compiler waits for the text of a pipe
    os.mkfifo(source)
    script = f"from pipeline.tools import process; process.run(['g++', '-c', {str(source)!r}, '-o', '/dev/null'])"

    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        process_of_parent = psutil.Process(parent.pid)

        def compilers() -> list[psutil.Process]:
            return [child for child in process_of_parent.children(recursive=True) if child.name() == "cc1plus"]

        until(lambda: bool(compilers()))
        programs = process_of_parent.children(recursive=True)
        parent.kill()
        parent.wait(30)
        until(lambda: not any(is_alive(program) for program in programs))


def test_programs_start_again_where_the_guard_was_killed():
    process.run(["true"])
    guards = [child for child in psutil.Process().children() if "process_guard" in " ".join(child.cmdline())]
    assert len(guards) == 1, "one for all programs"
    guards[0].kill()
    guards[0].wait(30)
    assert process.run(["true"]).returncode == 0


@pytest.mark.slow
def test_two_threads_start_one_guard():
    threads = [threading.Thread(target=process.run, args=(["true"],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("process_guard" in " ".join(child.cmdline()) for child in psutil.Process().children()) == 1


@pytest.fixture
def file_size_limit():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_beyond_the_limit_is_told_as_such(tmp_path, file_size_limit):
    message = "could not write a file of more than 100,000 bytes, which is the limit of this process"
    with pytest.raises(ResourceError, match=f"head {message}"):
        process.run(["head", "-c", "200000", "/dev/zero"], output=tmp_path / "zeros")
    with pytest.raises(ResourceError, match=f"sh {message}"):  # a program that this one started met it
        process.run(["sh", "-c", f"head -c 200000 /dev/zero > {tmp_path}/zeros; exit $?"])
    assert process.run(["false"]).returncode == 1, "another failure is not the limit's"


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_an_object_beyond_the_limit_is_told_as_such(tmp_path, file_size_limit):
    source = tmp_path / "large.cpp"
    source.write_text("char bytes[1000000] = {1};\nint main() { return bytes[7]; }\n")
    with pytest.raises(ResourceError, match=r"g\+\+ could not write a file of more than 100,000 bytes"):
        process.call(["g++", "-c", source, "-o", tmp_path / "large.o"], "compiling", temporary=tmp_path)
