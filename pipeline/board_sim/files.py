"""The files of a board that pynq reads or writes. They are kept in memory; no other file exists.

Writing the name of a firmware file to the FPGA manager programs the logic, as on Linux. /tmp is there for pynq's own self
test (`python -m pynq.remote.selftest`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.board_sim.errors import FileDeniedError, MissingFileError, OutOfMemoryError, ProgrammingError

__all__ = ["FILE_LIMIT", "FOLDERS_LIMIT", "Files"]

FILE_LIMIT = 64 << 20  # bytes; the largest bitstream of the boards has 27 MiB
FOLDERS_LIMIT = 128 << 20  # bytes of all files that clients wrote

_FIRMWARE_FOLDER = "/lib/firmware/"
_FOLDERS = {_FIRMWARE_FOLDER: ".bin", "/tmp/": ""}  # what clients may write to, and how names there end
_MANAGER = "/sys/class/fpga_manager/fpga0/"
_STATE, _FLAGS, _LOAD = _MANAGER + "state", _MANAGER + "flags", _MANAGER + "firmware"
_NAME_LIMIT = 128

_MACHINES = {"xcup": "aarch64", "xc7": "armv7l"}


class Files:
    """The files of a `board` of `family`; `program` is given the firmware to program the logic with."""

    def __init__(self, board: str, family: str, program: Callable[[bytes], None]) -> None:
        self._fixed = {
            "/proc/version": f"Linux version (simulated {board}, {_MACHINES[family]})\n".encode(),
            "/proc/device-tree/chosen/pynq_board": f"{board} (simulated)\0".encode(),
        }
        self._program = program
        self._lock = threading.Lock()
        self._state = "unknown"
        self._flags = "0"
        self._written: dict[str, bytes] = {}

    def exists(self, path: str) -> bool:
        """Whether the board has the file `path`."""
        return path in self._fixed or path in (_STATE, _FLAGS, _LOAD) or path in self._written

    def read(self, path: str) -> bytes:
        """The content of `path`. Raises FileDeniedError and MissingFileError."""
        if path in self._fixed:
            return self._fixed[path]
        if path == _STATE:
            return f"{self._state}\n".encode()
        if path == _FLAGS:
            return f"{self._flags}\n".encode()
        if not _may_be_kept(path):
            raise FileDeniedError(f"{path!r} is not to be read on the simulated board.")
        if path not in self._written:
            raise MissingFileError(f"{path} does not exist.")
        return self._written[path]

    def check_writable(self, path: str, size: int) -> None:
        """Raise FileDeniedError unless `path` may be written, OutOfMemoryError unless `size` bytes of it may."""
        is_attribute = path in (_FLAGS, _LOAD)
        if not is_attribute and not _may_be_kept(path):
            raise FileDeniedError(
                f"{path!r} is not to be written on the simulated board: it takes {_FIRMWARE_FOLDER}<name>.bin, "
                f"{_FLAGS}, {_LOAD} and /tmp/<name>."
            )
        limit = _NAME_LIMIT if is_attribute else FILE_LIMIT
        if size > limit:
            raise OutOfMemoryError(f"{size} bytes are too many for {path}; it holds {limit}.")

    def write(self, path: str, data: bytes) -> None:
        """Make `data` the content of `path`. Raises FileDeniedError, OutOfMemoryError and ProgrammingError."""
        self.check_writable(path, len(data))
        with self._lock:
            if path == _FLAGS:
                self._flags = data.decode(errors="replace").strip()
            elif path == _LOAD:
                self._load(data.decode(errors="replace").strip())
            else:
                self._keep(path, data)

    def _keep(self, path: str, data: bytes) -> None:
        held = sum(len(other) for key, other in self._written.items() if key != path)
        if held + len(data) > FOLDERS_LIMIT:
            raise OutOfMemoryError(
                f"{len(data)} bytes are too many for {path}: the files that were written hold {held} of {FOLDERS_LIMIT}."
            )
        self._written[path] = data

    def _load(self, name: str) -> None:
        path = _FIRMWARE_FOLDER + name
        if path not in self._written:
            self._state = "firmware request error"
            raise ProgrammingError(f"{path} is to be loaded, and does not exist.")
        if self._flags != "0":
            self._state = "write init error"
            raise ProgrammingError(
                f"The FPGA manager's flags are {self._flags!r}; the simulated board loads whole bitstreams, with 0."
            )
        self._state = "write error"
        self._program(self._written[path])
        self._state = "operating"


def _may_be_kept(path: str) -> bool:
    """Whether `path` is a file in a folder that clients may write to: no sub-folder, nothing above."""
    for folder, ending in _FOLDERS.items():
        name = path.removeprefix(folder)
        if path != name and name.endswith(ending) and 0 < len(name) <= _NAME_LIMIT:
            return name.isprintable() and "/" not in name and not name.startswith(".")
    return False
