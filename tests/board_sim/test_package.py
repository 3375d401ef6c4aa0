"""The package that a board holds: its firmware is what pynq makes of the bit file, and no other is taken."""

from __future__ import annotations

import json
import shutil

import pytest

from a2q_driver.manifest import write_manifest
from pipeline.board_sim.errors import ProgrammingError
from pipeline.board_sim.package import firmware, read_package
from pipeline.errors import InputError
from tests.board_sim.deploy import CONFIG_HASH, bit_file

pytestmark = pytest.mark.xdist_group("board_sim")  # they share a package and its model


def test_firmware_is_the_data_with_the_bytes_of_its_words_reversed():
    assert firmware(bit_file("design", "part", bytes(range(8)))) == bytes([3, 2, 1, 0, 7, 6, 5, 4])


@pytest.mark.parametrize(
    ("bit", "message"),
    [
        (b"", "ends in its header"),
        (b"\0\1", "no field where byte 5 is"),
        (bit_file("design", "part", bytes(8))[:-10], "ends in its header"),
        (bit_file("design", "part", bytes(8))[:-1], "7 bytes of data and says 8"),
        (bit_file("design", "part", bytes(6)), "expected a multiple of 4"),
        (bit_file("design", "part", bytes(8)).replace(b"c\0\x0b", b"x\0\x0b"), "no field where byte"),
    ],
)
def test_what_is_no_bit_file_is_refused(bit, message):
    with pytest.raises(ValueError, match=message):
        firmware(bit)


def test_a_package_takes_its_own_firmware(deployment):
    package = read_package(deployment.folder)
    assert (package.board, package.family, package.config_hash) == ("KV260", "xcup", CONFIG_HASH)
    assert (package.input_bytes, package.output_bytes) == (2, 1)
    package.check_firmware(firmware((deployment.folder / "bitfile" / "finn-accel.bit").read_bytes()))


@pytest.mark.parametrize("length", [0, 1, 79, 80, 81])
def test_other_firmware_is_refused_with_what_it_is(deployment, length):
    package = read_package(deployment.folder)
    with pytest.raises(ProgrammingError, match=f"holds a_layer, a simulation's.*{CONFIG_HASH[:16]}.*what came is"):
        package.check_firmware((package.firmware[:-1] + b"??")[:length])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("family", "ice40", "has the family 'ice40'"),
        ("address_map", {"axi_dma_0": [0xA0000000, 0x10000]}, "an address map of axi_dma_0; expected"),
        ("streams", {}, "is not the manifest of a package: KeyError"),
        ("address_map", {"axi_dma_0": 1}, "is not the manifest of a package: TypeError"),
        ("bitstream", {"kind": "simulation", "file": "bitfile/none.bit"}, "is not the manifest.*FileNotFoundError"),
        ("bitstream", {"kind": "simulation", "file": "bitfile/finn-accel.hwh"}, "is not the manifest.*no field"),
        ("runtime_weights", {"file": "bitfile/finn-accel.bit", "words": 1}, "manifest.json says 1 words of 4 bytes"),
        ("runtime_weights", {"file": "rtl/weights.bin", "words": 1}, "rtl/weights.bin is not listed"),
        ("format", 2, "format 2"),
        ("board", None, "has board = None"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(deployment, tmp_path, key, value, message):
    folder = shutil.copytree(deployment.folder, tmp_path / "deploy")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(InputError, match=message):
        read_package(folder)


def test_a_file_that_is_not_listed_is_refused(deployment, tmp_path):
    folder = shutil.copytree(deployment.folder, tmp_path / "deploy")
    (folder / "rtl" / "more.mem").touch()
    with pytest.raises(InputError, match=r"more\.mem is not listed"):
        read_package(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"], manifest["format"]
    write_manifest(folder, manifest)
    assert read_package(folder).config_hash == CONFIG_HASH
