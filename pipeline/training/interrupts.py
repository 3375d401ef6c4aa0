"""Interrupts that end a training at once, in the middle of a step too."""

from __future__ import annotations

import _thread
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

__all__ = ["interruptible"]

_CODE = 130  # what the command line ends with after an interrupt
_AGAIN = 1.0  # seconds


@contextmanager
def interruptible(saved: str, grace: float = 5.0) -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt in this block, as SIGINT does; the process is out of it within `grace` seconds.

    Python raises the exception when the main thread comes back from compiled code; a step of training may stay there
    for long, or for ever. It is lost where it comes in a finalizer, which Python runs at any moment, so it is raised again
    every second. Where the block is not left in time, the process says what is `saved` and ends with exit code 130.
    It cleans nothing up: each file in the block must be written so that this is safe at any moment. Signals that the
    process handles or ignores otherwise stay as they are. Threads other than the main one get no signals: there the
    block is only run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    numbers = {n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is signal.default_int_handler}
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    # the only part of Python that answers a signal while the main thread is in compiled code
    others = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    left = threading.Event()
    watcher = threading.Thread(target=_watch, args=(reader, numbers, left, saved, grace), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(others)
        signal.signal(signal.SIGTERM, before)
        writer.close()
        watcher.join()
        reader.close()


def _watch(reader: socket.socket, numbers: set[int], left: threading.Event, saved: str, grace: float) -> None:
    """End the process where one of the signals `numbers` comes and the block is not `left` within `grace` seconds."""
    while arrived := reader.recv(1):  # the number of a signal; nothing when the other end is closed
        if arrived[0] in numbers:
            end = time.monotonic() + grace
            while (rest := end - time.monotonic()) > 0:
                if left.wait(min(_AGAIN, rest)):
                    return
                _thread.interrupt_main(signal.Signals(arrived[0]))
            Console().show_cursor()  # a progress bar hides it
            Console(stderr=True, emoji=False).print(f"interrupted; {saved}, the same command goes on from there")
            os._exit(_CODE)
