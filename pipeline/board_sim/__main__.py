"""Serve the simulated board until SIGTERM or SIGINT, or until standard input ends."""

from __future__ import annotations

import argparse
import ctypes
import logging
import signal
import sys
import threading
from pathlib import Path

from a2q_driver.accelerator import PYNQ_PORT
from pipeline.board_sim.board import Board
from pipeline.board_sim.package import read_package
from pipeline.errors import A2QError
from pipeline.faults import FAULT, is_fault, sentence

_M_MMAP_THRESHOLD = -3  # of mallopt(3)
_LARGE_BYTES = 128 << 10


def _main() -> int:
    arguments = _arguments()
    _give_large_pieces_back()
    logging.basicConfig(format="%(message)s")
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()  # an exception alone could be lost in a callback of an import
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        package = read_package(arguments.package)
        board = Board(package, arguments.library)
        from pipeline.board_sim.server import start_server  # pynq takes seconds to import

        server, port = start_server(board, arguments.host, arguments.port)
    except A2QError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001  the net, for whoever runs this
        if not is_fault(error):
            raise SystemExit(f"error: {type(error).__name__}: {error}") from None
        print(f"error: {sentence('the simulated board', error)}", file=sys.stderr)
        return FAULT
    try:
        print(f"simulated {package.board} with {package.model} on {arguments.host}:{port}", flush=True)
        if arguments.until_input_ends:

            def wait_for_end() -> None:
                sys.stdin.read()
                ended.set()

            threading.Thread(target=wait_for_end, daemon=True).start()
        ended.wait()
    finally:
        server.stop(grace=None).wait()
        board.close()
    return 0


def _give_large_pieces_back() -> None:
    """Have the C library return memory of the size of files and messages as soon as it is freed.

    It keeps such pieces for the thread that freed them otherwise, of which gRPC has one a call.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.board_sim", description="The simulated board: PYNQ.remote's services over a model."
    )
    parser.add_argument("--package", type=Path, required=True, help="the folder deploy/ of a build")
    parser.add_argument("--library", type=Path, required=True, help="what pipeline.tools.board_model built of its RTL")
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: %(default)s, this machine)"
    )
    parser.add_argument("--port", type=int, default=PYNQ_PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="end with standard input, too: with the program at its other end, however that ends",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(_main())
