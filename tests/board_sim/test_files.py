"""The board's files: the few that pynq uses, in memory, and programming through them."""

from __future__ import annotations

import weakref

import pytest

from pipeline.board_sim.errors import (
    FileDeniedError,
    MissingFileError,
    OutOfMemoryError,
    ProgrammingError,
    RequestError,
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


def exists(files: Files, path: str, owner: str = "peer") -> bool:
    return files.exists(path, owner)


def read(files: Files, path: str, owner: str = "peer") -> bytes:
    return b"".join(files.read(path, owner))


def write(files: Files, path: str, data: bytes, owner: str = "peer", present: tuple[str, ...] = ("peer",)) -> None:
    with files.upload(owner, lambda: set(present)) as upload:
        upload.add(path, data)


@pytest.fixture
def logic() -> Logic:
    return Logic()


@pytest.fixture
def files(logic) -> Files:
    return Files("KV260", "xcup", logic.program)


@pytest.mark.parametrize(("family", "machine"), [("xcup", "aarch64"), ("xc7", "armv7l")])
def test_it_says_which_board_it_is(family, machine):
    files = Files("Some-Board", family, Logic().program)
    assert machine in read(files, "/proc/version").decode()
    assert read(files, "/proc/device-tree/chosen/pynq_board") == b"Some-Board (simulated)\0"
    assert exists(files, "/proc/version") and exists(files, "/proc/device-tree/chosen/pynq_board")


def test_writing_a_name_to_the_manager_loads_the_firmware(files, logic):
    assert read(files, MANAGER + "state") == b"unknown\n"
    assert not exists(files, "/lib/firmware/a.bin")
    write(files, "/lib/firmware/a.bin", b"data")
    assert exists(files, "/lib/firmware/a.bin") and read(files, "/lib/firmware/a.bin") == b"data"
    write(files, MANAGER + "flags", b"0")
    write(files, MANAGER + "firmware", b"a.bin")
    assert logic.loaded == [b"data"]
    assert read(files, MANAGER + "state") == b"operating\n"
    assert read(files, MANAGER + "flags") == b"0\n"


def test_what_cannot_be_loaded_is_said(files, logic):
    with pytest.raises(ProgrammingError, match=r"/lib/firmware/a\.bin is to be loaded, and does not exist"):
        write(files, MANAGER + "firmware", b"a.bin")
    assert read(files, MANAGER + "state") == b"firmware request error\n"
    write(files, "/lib/firmware/a.bin", b"wrong")
    with pytest.raises(ProgrammingError, match="it is wrong"):
        write(files, MANAGER + "firmware", b"a.bin\n")
    assert read(files, MANAGER + "state") == b"write error\n"
    write(files, MANAGER + "flags", b"1")
    with pytest.raises(ProgrammingError, match="flags are '1'.*whole bitstreams"):
        write(files, MANAGER + "firmware", b"a.bin")
    assert logic.loaded == []


def test_what_is_written_to_tmp_can_be_read_but_not_loaded(files):
    write(files, "/tmp/a.bin", b"data")
    assert exists(files, "/tmp/a.bin") and read(files, "/tmp/a.bin") == b"data"
    for name in (b"a.bin", b"../../tmp/a.bin"):
        with pytest.raises(ProgrammingError, match="does not exist"):
            write(files, MANAGER + "firmware", name)


def test_a_file_stays_until_it_is_written_again(files, logic):
    """pynq does not send a bitfile of a name that is there, here as on a board."""
    write(files, "/lib/firmware/a.bin", b"wrong")
    with pytest.raises(ProgrammingError, match="it is wrong"):
        write(files, MANAGER + "firmware", b"a.bin")
    assert exists(files, "/lib/firmware/a.bin")
    write(files, "/lib/firmware/a.bin", b"right")
    write(files, MANAGER + "firmware", b"a.bin")
    assert logic.loaded == [b"right"] and read(files, MANAGER + "state") == b"operating\n"


def test_a_file_that_nobody_wrote_is_missing(files):
    with pytest.raises(MissingFileError, match=r"/lib/firmware/a\.bin does not exist"):
        read(files, "/lib/firmware/a.bin")


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
    assert not exists(files, path)
    with pytest.raises(FileDeniedError):
        read(files, path)
    with pytest.raises(FileDeniedError):
        write(files, path, b"data")


@pytest.mark.parametrize("path", ["/proc/version", MANAGER + "state", "/proc/device-tree/chosen/pynq_board"])
def test_what_is_only_read_cannot_be_written(files, path):
    with pytest.raises(FileDeniedError, match="takes /lib/firmware/<name>.bin"):
        write(files, path, b"data")


def test_the_name_to_load_cannot_be_read(files):
    assert exists(files, MANAGER + "firmware")
    with pytest.raises(FileDeniedError):
        read(files, MANAGER + "firmware")


def test_sizes_are_limited(files):
    with pytest.raises(OutOfMemoryError, match=f"it holds {FILE_LIMIT}"):
        write(files, "/lib/firmware/a.bin", bytes(FILE_LIMIT + 1))
    with pytest.raises(OutOfMemoryError, match="too many"):
        write(files, MANAGER + "flags", b"0" * 129)
    whole = bytes(FILE_LIMIT)
    for i in range(FOLDERS_LIMIT // FILE_LIMIT):
        write(files, f"/lib/firmware/{i}.bin", whole)
    with pytest.raises(OutOfMemoryError, match=f"other files .* hold {FOLDERS_LIMIT} of {FOLDERS_LIMIT}"):
        write(files, "/lib/firmware/one_more.bin", b"1")
    write(files, "/lib/firmware/0.bin", b"written anew")
    write(files, MANAGER + "flags", b"1")  # programming needs no room
    assert read(files, MANAGER + "flags") == b"1\n"


def test_files_count_while_they_arrive_and_no_more_when_they_do_not(files):
    half = bytes(FOLDERS_LIMIT // 2)
    with pytest.raises(ConnectionError), files.upload("gone", set) as first:
        first.add("/tmp/first", half)
        with files.upload("peer", set) as second:
            second.add("/tmp/second", half[1:])
            second.add("/tmp/second", b"1")
            with pytest.raises(OutOfMemoryError, match=r"1 bytes are too many for /tmp/third: other files"):
                write(files, "/tmp/third", b"1")
        raise ConnectionError
    assert not exists(files, "/tmp/first") and exists(files, "/tmp/second")
    assert first.content == b""  # whatever still refers to it
    write(files, "/tmp/third", half)


def test_a_file_that_does_not_arrive_whole_leaves_the_one_before(files):
    write(files, "/tmp/a", b"before")
    with pytest.raises(ConnectionError), files.upload("peer", set) as upload:
        upload.add("/tmp/a", b"after")
        raise ConnectionError
    assert read(files, "/tmp/a") == b"before"


def test_where_there_is_no_room_files_of_who_is_gone_give_way_the_oldest_first(files):
    quarter = bytes(FOLDERS_LIMIT // 4)
    for name in "abcd":
        write(files, f"/tmp/{name}", quarter, "gone" if name != "a" else "here")
    read(files, "/tmp/b", "gone")  # c was not used for longer
    write(files, "/tmp/e", quarter, "new", ("here", "new"))
    assert [name for name in "abcde" if exists(files, f"/tmp/{name}", "new")] == ["a", "b", "d", "e"]
    with pytest.raises(OutOfMemoryError):  # all of them are in use now
        write(files, "/tmp/f", quarter, "new", ("new",))


def test_empty_files_have_a_limit_too(files):
    count = FOLDERS_LIMIT // (1 << 18)
    for number in range(count):
        write(files, f"/tmp/{number}", b"")
    with pytest.raises(OutOfMemoryError):
        write(files, "/tmp/one_more", b"")


def test_a_file_that_is_written_anew_while_it_is_read_is_not_mixed(files):
    write(files, "/tmp/a", bytes(5 << 20))
    pieces = files.read("/tmp/a", "peer")
    next(pieces)
    before = weakref.ref(files._written["/tmp/a"])
    write(files, "/tmp/a", bytes(5 << 20))
    assert before() is None or not before().content  # who reads slowly does not hold it
    with pytest.raises(MissingFileError, match="written anew while it was read"):
        next(pieces)


def test_one_call_writes_one_file(files):
    with pytest.raises(RequestError, match="without its name"), files.upload("peer", set):
        pass
    with pytest.raises(RequestError, match="writes '/tmp/a' and then '/tmp/b'"), files.upload("peer", set) as upload:
        upload.add("/tmp/a", b"1")
        upload.add("/tmp/b", b"2")


def test_a_long_name_is_quoted_in_short(files):
    with pytest.raises(FileDeniedError) as caught:
        write(files, "/" + "a" * 100_000, b"1")
    assert len(str(caught.value)) < 600
