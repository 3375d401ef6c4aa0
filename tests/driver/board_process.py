"""The simulated board for programs on the board itself: memory, registers and files, asked for on a local connection.

Runs in the environment of pynq: python -m tests.driver.board_process PACKAGE LIBRARY. It prints its port, and ends when its
standard input does. `tests.driver.embedded` asks: a request is a name below and its arguments, the answer what it gives.
"""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from pipeline.board_sim.board import Board
from pipeline.board_sim.package import read_package
from pipeline.errors import A2QError

OWNER = "local"


def main(package: str, library: str) -> None:
    board = Board(read_package(Path(package)), Path(library))

    def nobody() -> set[str]:
        return set()

    def allocate(size: int) -> tuple[str, int]:
        buffer = board.allocate(size, True, OWNER, nobody)
        return buffer.id, buffer.address

    def write_file(path: str, data: bytes) -> None:
        with board.files.upload(OWNER, nobody) as upload:
            upload.add(path, data)

    calls = {
        "read_register": board.read_register,
        "write_register": board.write_register,
        "allocate": allocate,
        "free": lambda buffer: board.free(buffer, OWNER),
        "read_buffer": lambda buffer, start, end: board.read_buffer(buffer, OWNER, start, end),
        "write_buffer": lambda buffer, start, data: board.write_buffer(buffer, OWNER, start, data),
        "read_file": lambda path: b"".join(board.files.read(path, OWNER)),
        "write_file": write_file,
    }

    def serve(connection: Connection) -> None:
        while True:
            try:
                name, arguments = connection.recv()
            except (EOFError, OSError):
                return
            try:
                answer: tuple[bool, Any] = (True, calls[name](*arguments))
            except A2QError as error:  # the program is told, as the kernel would tell it
                answer = (False, str(error))
            connection.send(answer)

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(listener.accept(),), daemon=True).start()

    with Listener(("127.0.0.1", 0), authkey=b"board") as listener:
        print(listener.address[1], flush=True)
        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
