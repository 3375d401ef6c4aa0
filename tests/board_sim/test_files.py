"""The board's files: the few that pynq uses, in memory, and programming through them."""

from __future__ import annotations

import pytest

from pipeline.board_sim.errors import (
    FileDeniedError,
    MissingFileError,
    OutOfMemoryError,
    ProgrammingError,
)
from pipeline.board_sim.files import FILE_LIMIT, FOLDERS_LIMIT, Files

MANAGER = "/sys/class/fpga_manager/fpga0/"


class Logic:
    """What is programmed: takes any firmware but "wrong"."""

    def __init__(self) -> None:
        self.loaded: list[bytes] = []

    def program(self, data: bytes) -> None:
        if data == b"wrong":
            raise ProgrammingError("it is wrong")
        self.loaded.append(data)


@pytest.fixture
def logic() -> Logic:
    return Logic()


@pytest.fixture
def files(logic) -> Files:
    return Files("KV260", "xcup", logic.program)


@pytest.mark.parametrize(("family", "machine"), [("xcup", "aarch64"), ("xc7", "armv7l")])
def test_it_says_which_board_it_is(family, machine):
    files = Files("Some-Board", family, Logic().program)
    assert machine in files.read("/proc/version").decode()
    assert files.read("/proc/device-tree/chosen/pynq_board") == b"Some-Board (simulated)\0"
    assert files.exists("/proc/version") and files.exists("/proc/device-tree/chosen/pynq_board")


def test_writing_a_name_to_the_manager_loads_the_firmware(files, logic):
    assert files.read(MANAGER + "state") == b"unknown\n"
    assert not files.exists("/lib/firmware/a.bin")
    files.write("/lib/firmware/a.bin", b"data")
    assert files.exists("/lib/firmware/a.bin") and files.read("/lib/firmware/a.bin") == b"data"
    files.write(MANAGER + "flags", b"0")
    files.write(MANAGER + "firmware", b"a.bin")
    assert logic.loaded == [b"data"]
    assert files.read(MANAGER + "state") == b"operating\n"
    assert files.read(MANAGER + "flags") == b"0\n"


def test_what_cannot_be_loaded_is_said(files, logic):
    with pytest.raises(ProgrammingError, match=r"/lib/firmware/a\.bin is to be loaded, and does not exist"):
        files.write(MANAGER + "firmware", b"a.bin")
    assert files.read(MANAGER + "state") == b"firmware request error\n"
    files.write("/lib/firmware/a.bin", b"wrong")
    with pytest.raises(ProgrammingError, match="it is wrong"):
        files.write(MANAGER + "firmware", b"a.bin\n")
    assert files.read(MANAGER + "state") == b"write error\n"
    files.write(MANAGER + "flags", b"1")
    with pytest.raises(ProgrammingError, match="flags are '1'.*whole bitstreams"):
        files.write(MANAGER + "firmware", b"a.bin")
    assert logic.loaded == []


def test_what_is_written_to_tmp_can_be_read_but_not_loaded(files):
    files.write("/tmp/a.bin", b"data")
    assert files.exists("/tmp/a.bin") and files.read("/tmp/a.bin") == b"data"
    for name in (b"a.bin", b"../../tmp/a.bin"):
        with pytest.raises(ProgrammingError, match="does not exist"):
            files.write(MANAGER + "firmware", name)


def test_a_file_stays_until_it_is_written_again(files, logic):
    """pynq does not send a bitfile of a name that is there, here as on a board."""
    files.write("/lib/firmware/a.bin", b"wrong")
    with pytest.raises(ProgrammingError, match="it is wrong"):
        files.write(MANAGER + "firmware", b"a.bin")
    assert files.exists("/lib/firmware/a.bin")
    files.write("/lib/firmware/a.bin", b"right")
    files.write(MANAGER + "firmware", b"a.bin")
    assert logic.loaded == [b"right"] and files.read(MANAGER + "state") == b"operating\n"


def test_a_file_that_nobody_wrote_is_missing(files):
    with pytest.raises(MissingFileError, match=r"/lib/firmware/a\.bin does not exist"):
        files.read("/lib/firmware/a.bin")


OTHERS = [
    "",
    "/etc/passwd",
    "/lib/firmware",
    "/lib/firmware/",
    "/lib/firmware/.bin",
    "/lib/firmware/a.txt",
    "/lib/firmware/sub/a.bin",
    "/lib/firmware/../firmware/a.bin",
    "/lib/firmware/a\n.bin",
    "/lib/firmware/" + "a" * 130 + ".bin",
    "/lib//firmware/a.bin",
    "/tmp/",
    "/tmp/..",
    "/tmp/sub/a",
    "lib/firmware/a.bin",
    "/proc/device-tree/firmware/versal-firmware/compatible",
    MANAGER + "name",
]


@pytest.mark.parametrize("path", OTHERS)
def test_other_files_are_not_there(files, path):
    assert not files.exists(path)
    with pytest.raises(FileDeniedError):
        files.read(path)
    with pytest.raises(FileDeniedError):
        files.write(path, b"data")


@pytest.mark.parametrize("path", ["/proc/version", MANAGER + "state", "/proc/device-tree/chosen/pynq_board"])
def test_what_is_only_read_cannot_be_written(files, path):
    with pytest.raises(FileDeniedError, match="takes /lib/firmware/<name>.bin"):
        files.write(path, b"data")


def test_the_name_to_load_cannot_be_read(files):
    assert files.exists(MANAGER + "firmware")
    with pytest.raises(FileDeniedError):
        files.read(MANAGER + "firmware")


def test_sizes_are_limited(files):
    with pytest.raises(OutOfMemoryError, match=f"it holds {FILE_LIMIT}"):
        files.check_writable("/lib/firmware/a.bin", FILE_LIMIT + 1)
    with pytest.raises(OutOfMemoryError, match="too many"):
        files.write(MANAGER + "flags", b"0" * 129)
    whole = bytes(FILE_LIMIT)
    for i in range(FOLDERS_LIMIT // FILE_LIMIT):
        files.write(f"/lib/firmware/{i}.bin", whole)
    with pytest.raises(OutOfMemoryError, match=f"hold {FOLDERS_LIMIT} of {FOLDERS_LIMIT}"):
        files.write("/lib/firmware/one_more.bin", b"1")
    files.write("/lib/firmware/0.bin", b"written anew")
