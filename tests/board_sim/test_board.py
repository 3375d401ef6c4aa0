"""The board without its network services: programming, the bus, and when time goes by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipeline.board_sim.board import Board
from pipeline.board_sim.errors import BusError, OutOfMemoryError, ProgrammingError, RequestError
from pipeline.board_sim.package import read_package
from pipeline.errors import InputError
from tests.board_sim.deploy import layer

pytestmark = pytest.mark.xdist_group("board_sim")  # they share a package and its model

DMA, ACCELERATOR = 0xA0000000, 0xA0010000
BATCH, FRAMES_IN, CYCLES_LO = ACCELERATOR + 0x20, ACCELERATOR + 0x24, ACCELERATOR + 0x30
MANAGER = "/sys/class/fpga_manager/fpga0/"
IDLE = 2


@pytest.fixture
def board(deployment) -> Iterator[Board]:
    board = Board(read_package(deployment.folder), deployment.library)
    yield board
    board.close()


@pytest.fixture
def program(deployment) -> Callable[[Board], None]:
    """Loads the package's bit file onto a board."""
    data = read_package(deployment.folder).firmware

    def load(board: Board) -> None:
        write_file(board, "/lib/firmware/a.bin", data)
        write_file(board, MANAGER + "firmware", b"a.bin")

    return load


def write_file(board: Board, path: str, data: bytes) -> None:
    with board.files.upload("peer", set) as upload:
        upload.add(path, data)


def buffer(board: Board, data: np.ndarray) -> int:
    """The address of a new buffer that holds `data`."""
    made = board.allocate(data.size, True, "peer", set)
    board.write_buffer(made.id, "peer", 0, data.tobytes())
    return made.address


def transfer(board: Board, channel: int, address: int, length: int) -> None:
    board.write_register(DMA + channel, 1)
    board.write_register(DMA + channel + 0x18, address)
    board.write_register(DMA + channel + 0x28, length)


def wait(board: Board, channel: int) -> None:
    end = time.monotonic() + 30
    while not board.read_register(DMA + channel + 4) & IDLE:
        assert time.monotonic() < end


def test_frames_go_through(board, program, deployment):
    program(board)
    frames = np.random.default_rng(3).integers(0, 16, (5, *layer().inputs()[0].shape))
    source = deployment.pack(frames)
    made = board.allocate(5 * deployment.output_frame_bytes, True, "peer", set)
    board.write_register(BATCH, 5)
    transfer(board, 0x30, made.address, made.data.size)
    transfer(board, 0x00, buffer(board, source), source.size)
    wait(board, 0x30)
    (expected,) = layer().reference(frames)
    output = np.frombuffer(board.read_buffer(made.id, "peer", 0, made.data.size), np.uint8)
    np.testing.assert_array_equal(deployment.unpack(output), expected)


def test_programming_resets_the_logic_and_nothing_else(board, program):
    program(board)
    made = board.allocate(64, True, "peer", set)
    board.write_register(BATCH, 7)
    transfer(board, 0x30, made.address, 64)
    program(board)
    assert board.read_register(BATCH) == 1
    assert board.read_register(DMA + 0x34) == 1  # halted
    assert board.buffer(made.id, "peer") is made


def test_a_wrong_bitstream_leaves_no_logic(board, program):
    program(board)
    write_file(board, "/lib/firmware/b.bin", b"wrong")
    with pytest.raises(ProgrammingError, match="This board holds a_layer"):
        write_file(board, MANAGER + "firmware", b"b.bin")
    for address in (DMA, ACCELERATOR):
        with pytest.raises(BusError, match="not programmed"):
            board.read_register(address)
    assert board.read_register(0xFF5E00C0)  # the processing system goes on
    program(board)
    assert board.read_register(ACCELERATOR) == 0x41325131


def test_time_stands_still_between_transfers(board, program):
    """Part of a frame keeps the accelerator busy, and its cycle counter would run."""
    program(board)
    transfer(board, 0x00, buffer(board, np.zeros(4, np.uint8)), 4)
    wait(board, 0x00)
    before = board.read_register(CYCLES_LO)
    time.sleep(0.2)
    assert 0 < board.read_register(CYCLES_LO) - before < 100  # those of the reads
    made = board.allocate(64, True, "peer", set)
    transfer(board, 0x30, made.address, 64)
    time.sleep(0.2)
    assert board.read_register(CYCLES_LO) - before > 10_000


def test_registers_are_reached_while_time_goes_by(board, program):
    """Several callers at once, none of which waits for the transfer to end."""
    program(board)
    made = board.allocate(64, True, "peer", set)
    transfer(board, 0x30, made.address, 64)
    slowest = [0.0] * 4

    def call(number: int) -> None:
        for _ in range(50):
            begin = time.monotonic()
            assert board.read_register(FRAMES_IN) == 0
            slowest[number] = max(slowest[number], time.monotonic() - begin)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert max(slowest) < 2


def test_memory_of_connections_that_are_no_more_is_given_out(board):
    for peer in ("gone", "here"):
        board.allocate(128 << 20, True, peer, set)
    with pytest.raises(OutOfMemoryError):
        board.allocate(1, True, "new", lambda: {"gone", "here", "new"})
    board.allocate(1, True, "new", lambda: {"here", "new"})


def test_a_write_beyond_a_buffer_is_refused(board):
    made = board.allocate(8, True, "peer", set)
    with pytest.raises(RequestError, match="5 bytes from byte 4 on do not fit a buffer of 8 bytes"):
        board.write_buffer(made.id, "peer", 4, bytes(5))


def test_addresses_that_nobody_has(board, program):
    program(board)
    for address in (0, ACCELERATOR + 0x1000, DMA + 0x1000, ACCELERATOR - 2):
        with pytest.raises(BusError, match=f"Nothing answers at 0x{address:08X}"):
            board.read_register(address)
    with pytest.raises(BusError, match="answered with the error 2"):
        board.write_register(ACCELERATOR + 0xFFC, 0)


def test_a_library_with_other_streams_is_refused(deployment):
    package = replace(read_package(deployment.folder), input_bytes=64)
    with pytest.raises(InputError, match=r"streams of \(2, 1\) bytes; the package's is .* with \(64, 1\)"):
        Board(package, deployment.library)


def test_a_library_without_its_memory_files_is_refused(deployment, tmp_path):
    package = replace(read_package(deployment.folder), rtl_folder=tmp_path)
    with pytest.raises(InputError, match=f"could not be started with the memory files of {tmp_path}"):
        Board(package, deployment.library)
