"""The package that the board holds: its manifest, and the firmware that it is programmed with."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2q_driver.errors import PackageError
from a2q_driver.manifest import ACCELERATOR, DMA, MANIFEST, SIMULATION, verify
from a2q_driver.weights import load_weights
from pipeline.board_sim.errors import ProgrammingError
from pipeline.board_sim.registers import Window
from pipeline.errors import InputError

__all__ = ["Package", "firmware", "read_package"]

_HASH_BYTES = 32


@dataclass(frozen=True)
class Package:
    """The parts of a package for the board. `firmware` is its bit file as pynq converts it for the FPGA manager."""

    model: str
    board: str
    family: str  # "xcup" or "xc7"
    pll_multiplier: int  # of the PLL that clocks the logic, as in the board's file
    config_hash: str
    firmware: bytes
    address_map: dict[str, Window]
    input_bytes: int  # of a word of the DMA's streams
    output_bytes: int
    rtl_folder: Path

    def check_firmware(self, data: bytes | bytearray) -> None:
        """Raise ProgrammingError unless `data` is this package's firmware, with what the board holds and what came."""
        if data == self.firmware:
            return
        held = f"This board holds {self.model}, {_describe(self.firmware)}"
        raise ProgrammingError(
            f"{held}; what came is {_describe(data)}. Download the bitfile of the board's package. pynq sends none if the "
            "board has a file of its name: write that file first."
        )


def read_package(folder: Path) -> Package:
    """The package in `folder`. Raises InputError unless every file is there as it was made, and no other."""
    try:
        manifest = verify(folder)
        load_weights(folder)
    except PackageError as error:
        raise InputError(str(error)) from error
    try:
        bit = (folder / manifest["bitstream"]["file"]).read_bytes()
        streams = manifest["streams"]
        package = Package(
            model=manifest["model"],
            board=manifest["board"],
            family=manifest["family"],
            pll_multiplier=int(manifest["pll_multiplier"]),
            config_hash=manifest["config_hash"],
            firmware=firmware(bit),
            address_map={name: Window(name, *window) for name, window in manifest["address_map"].items()},
            input_bytes=streams["input"]["stream_bytes"],
            output_bytes=streams["output"]["stream_bytes"],
            rtl_folder=folder / "rtl",
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / MANIFEST} is not the manifest of a package: {error!r}.") from error
    missing = {ACCELERATOR, DMA} - set(package.address_map)
    if missing or package.family not in ("xcup", "xc7"):
        raise InputError(
            f"{folder / MANIFEST} has the family {package.family!r} and an address map of "
            f"{', '.join(package.address_map)}; expected xcup or xc7, {ACCELERATOR} and {DMA}."
        )
    return package


def firmware(bit: bytes) -> bytes:
    """The bytes that pynq writes to the FPGA manager for the file `bit`: its data, each 32-bit word reversed.

    A bit file begins with a field of two bytes of length, a 1 in two bytes, and fields of a letter and two bytes of
    length; the field e has four bytes of length and is the data. Raises ValueError for what is no bit file.
    """
    try:
        offset = 2 + struct.unpack_from(">H", bit)[0] + 2
        while bit[offset : offset + 1] != b"e":
            if bit[offset : offset + 1] not in (b"a", b"b", b"c", b"d"):
                raise ValueError(f"the bit file has no field where byte {offset} is")
            offset += 3 + struct.unpack_from(">H", bit, offset + 1)[0]
        (length,) = struct.unpack_from(">I", bit, offset + 1)
    except struct.error as error:
        raise ValueError("the bit file ends in its header") from error
    data = bit[offset + 5 :]
    if length != len(data) or length % 4:
        raise ValueError(f"the bit file has {len(data)} bytes of data and says {length}; expected a multiple of 4")
    return np.frombuffer(data, ">u4").astype("<u4").tobytes()


def _describe(data: bytes | bytearray) -> str:
    head = bytes(data[: len(SIMULATION) + 2 * _HASH_BYTES])
    swapped = np.frombuffer(head[: len(head) // 4 * 4], ">u4").astype("<u4").tobytes()
    if swapped.startswith(SIMULATION):
        hashes = swapped[len(SIMULATION) :]
        config, handoff = hashes[:_HASH_BYTES].hex(), hashes[_HASH_BYTES : 2 * _HASH_BYTES].hex()
        return f"a simulation's bitfile with configuration {config[:16]}… and hardware handoff {handoff[:16]}…"
    return f"{len(data)} bytes of a bitstream with the SHA-256 {hashlib.sha256(data).hexdigest()[:16]}…"
