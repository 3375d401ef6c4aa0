"""The files of a board that pynq reads or writes. They are kept in memory; no other file exists.

Writing the name of a firmware file to the FPGA manager programs the logic, as on Linux. /tmp is there for pynq's own self
test (`python -m pynq.remote.selftest`).

A file stays when its client goes, as on a board: pynq does not send a bitfile whose name is there. All files together
have a limit, and count from their first byte on, while they still arrive; one that does not arrive whole is dropped at
once. Where there is no room, files that no connected client has used last give way, the one that was not used for longest
first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.board_sim.errors import (
    FileDeniedError,
    MissingFileError,
    OutOfMemoryError,
    ProgrammingError,
    RequestError,
    shown,
)

__all__ = ["FILE_LIMIT", "FOLDERS_LIMIT", "Files", "Upload"]

FILE_LIMIT = 64 << 20  # bytes; the largest bitstream of the boards has 27 MiB
FOLDERS_LIMIT = 128 << 20  # bytes of all files that clients wrote or are writing, in whole blocks

_FIRMWARE_FOLDER = "/lib/firmware/"
_FOLDERS = {_FIRMWARE_FOLDER: ".bin", "/tmp/": ""}  # what clients may write to, and how names there end
_MANAGER = "/sys/class/fpga_manager/fpga0/"
_STATE, _FLAGS, _LOAD = _MANAGER + "state", _MANAGER + "flags", _MANAGER + "firmware"
_NAME_LIMIT = 128
_BLOCK_BYTES = 1 << 18  # an empty file takes one, so that there are not too many files either
_PIECE_BYTES = 2 << 20  # what is read at once

_MACHINES = {"xcup": "aarch64", "xc7": "armv7l"}


@dataclass(eq=False)
class _File:
    """A file that a client wrote. `owner` is the connection that used it last."""

    content: bytearray
    owner: str


class Files:
    """The files of a `board` of `family`; `program` is given the firmware to program the logic with."""

    def __init__(self, board: str, family: str, program: Callable[[bytearray], None]) -> None:
        self._fixed = {
            "/proc/version": f"Linux version (simulated {board}, {_MACHINES[family]})\n".encode(),
            "/proc/device-tree/chosen/pynq_board": f"{board} (simulated)\0".encode(),
        }
        self._program = program
        self._lock = threading.Lock()
        self._state = "unknown"
        self._flags = "0"
        self._written: dict[str, _File] = {}  # the one that was used last at the end
        self._uploads: set[Upload] = set()  # those of files to keep, from their first piece on

    def exists(self, path: str, owner: str) -> bool:
        """Whether the board has the file `path`, which `owner` uses from now on."""
        if path in self._fixed or path in (_STATE, _FLAGS, _LOAD):
            return True
        with self._lock:
            return self._use(path, owner) is not None

    def read(self, path: str, owner: str) -> Iterator[bytes]:
        """The content of `path`, in pieces. Raises FileDeniedError, and MissingFileError also when it goes meanwhile."""
        attributes = {_STATE: f"{self._state}\n", _FLAGS: f"{self._flags}\n"}
        if path in self._fixed or path in attributes:
            yield self._fixed[path] if path in self._fixed else attributes[path].encode()
            return
        if not _may_be_kept(path):
            raise FileDeniedError(f"{shown(path)} is not to be read on the simulated board.")
        file, position, size = None, 0, 0
        while file is None or position < size:
            with self._lock:
                now = self._use(path, owner)
                if now is None:
                    raise MissingFileError(f"{path} does not exist.")
                if file not in (None, now):
                    raise MissingFileError(f"{path} was written anew while it was read.")
                file, size = now, len(now.content)
                piece = bytes(memoryview(now.content)[position : position + _PIECE_BYTES])
            position += len(piece)
            yield piece

    @contextmanager
    def upload(self, owner: str, connections: Callable[[], set[str]]) -> Iterator[Upload]:
        """Take a file from `owner`; it is there, or programs the logic, when the block is left without an exception.

        `connections` says which owners there are. Raises RequestError without a file, ProgrammingError, and what
        `Upload.add` raises.
        """
        upload = Upload(self, connections)
        try:
            yield upload
            self._finish(upload, owner)
        finally:
            with self._lock:
                self._uploads.discard(upload)
            upload.content = bytearray()  # the traceback of an exception may hold the upload for long

    def _take(self, upload: Upload, path: str, data: bytes) -> None:
        if upload.path not in (None, path):
            raise RequestError(f"One call writes {shown(upload.path)} and then {shown(path)}; expected one file.")
        size = len(upload.content) + len(data)
        _check_writable(path, size)
        with self._lock:
            upload.path = path
            upload.is_kept = _may_be_kept(path)
            if upload.is_kept:
                self._make_room(upload, size)
                self._uploads.add(upload)
            upload.content += data

    def _make_room(self, upload: Upload, size: int) -> None:
        """Let files go, where they may, until `size` bytes of `upload` have room beside the others.

        The file that it will replace does not count, although it stays until then: there is one such file at most, as
        what it replaces counts for every other upload.
        """
        held = sum(_blocks(len(other.content)) for other in self._uploads if other is not upload)
        held += sum(_blocks(len(file.content)) for path, file in self._written.items() if path != upload.path)
        left = FOLDERS_LIMIT - held - _blocks(size)
        if left >= 0:
            return
        present = upload.connections()
        for path, file in [item for item in self._written.items() if item[0] != upload.path]:
            if file.owner not in present:
                left += _blocks(len(file.content))
                self._drop(path)
            if left >= 0:
                return
        raise OutOfMemoryError(
            f"{size} bytes are too many for {upload.path}: other files that clients wrote or are writing hold "
            f"{FOLDERS_LIMIT - _blocks(size) - left} of {FOLDERS_LIMIT}. Try again when fewer clients are connected."
        )

    def _finish(self, upload: Upload, owner: str) -> None:
        path, content = upload.path, upload.content
        if path is None:
            raise RequestError("A file was to be written without its name.")
        with self._lock:
            if path == _FLAGS:
                self._flags = content.decode(errors="replace").strip()
            elif path == _LOAD:
                self._load(content.decode(errors="replace").strip(), owner)
            else:
                self._drop(path)
                self._written[path] = _File(content, owner)

    def _load(self, name: str, owner: str) -> None:
        path = _FIRMWARE_FOLDER + name
        file = self._use(path, owner)
        if file is None:
            self._state = "firmware request error"
            raise ProgrammingError(f"{path} is to be loaded, and does not exist.")
        if self._flags != "0":
            self._state = "write init error"
            raise ProgrammingError(
                f"The FPGA manager's flags are {self._flags!r}; the simulated board loads whole bitstreams, with 0."
            )
        self._state = "write error"
        self._program(file.content)
        self._state = "operating"

    def _drop(self, path: str) -> None:
        """Forget the file `path`, if there is one, also for those who are reading it."""
        file = self._written.pop(path, None)
        if file is not None:
            file.content = bytearray()

    def _use(self, path: str, owner: str) -> _File | None:
        """The file `path` that a client wrote, which `owner` uses from now on."""
        file = self._written.pop(path, None)
        if file is not None:
            file.owner = owner
            self._written[path] = file
        return file


class Upload:
    """A file that arrives: its `path`, None before the first piece, and the `content` so far.

    `is_kept` says whether it will stay, other than what is written to the FPGA manager.
    """

    def __init__(self, files: Files, connections: Callable[[], set[str]]) -> None:
        self._files = files
        self.connections = connections
        self.path: str | None = None
        self.is_kept = False
        self.content = bytearray()

    def add(self, path: str, data: bytes) -> None:
        """Add `data` to the file `path`.

        Raises FileDeniedError for one that may not be written, RequestError for another one than before, and
        OutOfMemoryError where there is no room.
        """
        self._files._take(self, path, data)


def _check_writable(path: str, size: int) -> None:
    """Raise FileDeniedError unless `path` may be written, OutOfMemoryError unless `size` bytes of it may."""
    is_attribute = path in (_FLAGS, _LOAD)
    if not is_attribute and not _may_be_kept(path):
        raise FileDeniedError(
            f"{shown(path)} is not to be written on the simulated board: it takes {_FIRMWARE_FOLDER}<name>.bin, "
            f"{_FLAGS}, {_LOAD} and /tmp/<name>."
        )
    limit = _NAME_LIMIT if is_attribute else FILE_LIMIT
    if size > limit:
        raise OutOfMemoryError(f"{size} bytes are too many for {path}; it holds {limit}.")


def _blocks(size: int) -> int:
    """The bytes that a file of `size` bytes takes, in whole blocks."""
    return max(-(-size // _BLOCK_BYTES), 1) * _BLOCK_BYTES


def _may_be_kept(path: str) -> bool:
    """Whether `path` is a file in a folder that clients may write to: no sub-folder, nothing above."""
    for folder, ending in _FOLDERS.items():
        name = path.removeprefix(folder)
        if path != name and name.endswith(ending) and 0 < len(name) <= _NAME_LIMIT:
            return name.isprintable() and "/" not in name and not name.startswith(".")
    return False
