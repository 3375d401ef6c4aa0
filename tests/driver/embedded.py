"""A machine that is the board: runs a Python program with pynq as if it ran there.

    embedded.py PORT MACHINE SCRIPT [ARGUMENTS]

pynq's own `EmbeddedDevice` does what it does on a board: it reads the hardware handoff, keeps what it knows of the last
bitfile, writes the firmware and tells the FPGA manager, sets clocks and widths of ports, and gives buffers. What Linux and
XRT answer it there comes from the simulated board that `tests.driver.board_process` serves at PORT: files below /sys and
/lib/firmware, registers, and contiguous memory. MACHINE is what `uname -m` says, aarch64 or armv7l.

Runs with every version of pynq from 2.7 on, and with their Pythons, 3.8 and later.
"""

import builtins
import ctypes
import importlib
import io
import mmap
import os
import pathlib
import runpy
import sys
import threading
from multiprocessing.connection import Client

import numpy  # noqa: F401  before the machine looks like another one

_ON_THE_BOARD = ("/sys/class/fpga_manager/", "/lib/firmware/")


class Board:
    """The board's process; any thread may ask."""

    def __init__(self, port):
        self.port = port
        self._connection = Client(("127.0.0.1", port), authkey=b"board")
        self._turn = threading.Lock()

    def __getattr__(self, name):
        def call(*arguments):
            with self._turn:
                self._connection.send((name, arguments))
                succeeded, answer = self._connection.recv()
            if not succeeded:
                raise OSError(answer)
            return answer

        return call


def redirect_files(board):
    """Let the board answer for its files. What is written to one is there when it is closed, as with sysfs."""
    open_here = io.open

    def open_there(file, mode="r", *rest, **options):
        path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else file
        if not isinstance(path, str) or not path.startswith(_ON_THE_BOARD):
            return open_here(file, mode, *rest, **options)
        if "w" in mode:
            stream = _Written(lambda content: board.write_file(path, content))
        else:
            stream = io.BytesIO(board.read_file(path))
        return stream if "b" in mode else io.TextIOWrapper(stream, write_through=True)

    io.open = builtins.open = open_there
    pathlib.Path.open = open_there


class _Written(io.BytesIO):
    """A file that goes to `write` as a whole when it is closed."""

    def __init__(self, write):
        super().__init__()
        self._write = write

    def close(self):
        if not self.closed:
            content = self.getvalue()
            super().close()
            self._write(content)


def import_pynq(machine):
    """Import pynq, which decides then what it runs on."""
    uname = os.uname
    os.uname = lambda: os.uname_result((*uname()[:4], machine))
    try:
        importlib.import_module("pynq.pl_server.embedded_device")
    finally:
        os.uname = uname


def make_device(board, machine):
    """Register the board as a device that pynq finds."""
    from pynq import buffer
    from pynq.pl_server import device, embedded_device, xrt_device

    memory = ctypes.CDLL(None, use_errno=True)
    memory.mmap.restype = ctypes.c_void_p
    memory.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    memory.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    buffer.libc = xrt_device.libc = memory
    buffer.ctypes = xrt_device.ctypes = ctypes  # from pynq 3.1 on they import it on boards only
    is_freed_by_hand = hasattr(xrt_device, "xrt")  # up to pynq 3.0; the objects of pyxrt free themselves
    if is_freed_by_hand:
        xrt_device.xrt.xclFreeBO = lambda handle, bo: bo.free()
    # `xclbinutil` of XRT would make this file for a design without memories of its own
    embedded_device._create_xclbin = lambda memories: embedded_device.DEFAULT_XCLBIN

    class BufferObject:
        def __init__(self, size):
            self.size = size
            self.id, self.address = board.allocate(size)

        def free(self):
            board.free(self.id)

        if not is_freed_by_hand:
            __del__ = free

    class SimulatedDevice(embedded_device.EmbeddedDevice):
        _probe_priority_ = 1
        name = "edge"

        @classmethod
        def _probe_(cls):
            return [cls()]

        def __init__(self):
            device.Device.__init__(self, f"embedded_xrt0-{board.port}")
            self.capabilities = {"REGISTER_RW": True, "MEMORY_MAPPED": False}
            self.arch, self.handle = machine, None

        def read_registers(self, address, length):
            words = [board.read_register(address + offset) for offset in range(0, length, 4)]
            return b"".join(word.to_bytes(4, "little") for word in words)

        def write_registers(self, address, data):
            for offset in range(0, len(data), 4):
                board.write_register(address + offset, int.from_bytes(data[offset : offset + 4], "little"))

        def allocate_bo(self, size, idx, cacheable):
            return BufferObject(size)

        def map_bo(self, bo):
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            address = memory.mmap(None, bo.size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
            return (ctypes.c_char * bo.size).from_address(address)

        def get_device_address(self, bo):
            return bo.address

        def flush(self, bo, offset, ptr, size):
            board.write_buffer(bo.id, offset, ctypes.string_at(ptr, size))

        def invalidate(self, bo, offset, ptr, size):
            data = board.read_buffer(bo.id, offset, offset + size)
            ctypes.memmove(ptr, data, len(data))

        def _xrt_download(self, data):
            pass


def main():
    port, machine, script = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    board = Board(port)
    import_pynq(machine)
    redirect_files(board)
    make_device(board, machine)
    sys.argv = sys.argv[3:]
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
