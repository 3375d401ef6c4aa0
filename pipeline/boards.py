"""Boards: the FPGA part, what it holds, its processors, and the clock a build takes by default, from hw/boards/."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

__all__ = [
    "BOARDS_FOLDER",
    "PYNQ_PORT",
    "SIMULATED",
    "Board",
    "ProcessingSystem",
    "all_boards",
    "board_names",
    "load_board",
    "read_board",
]

BOARDS_FOLDER = Path(__file__).resolve().parents[1] / "hw" / "boards"
SIMULATED = "sim"  # stands for a board's name where a package is run: the simulated one
PYNQ_PORT = 7967  # where PYNQ.remote's server listens

_FAMILIES = ("xcup", "xc7")
_RESOURCES = ("LUT", "FF", "BRAM36", "URAM", "DSP")
_KEYS = {
    *("name", "aliases", "part", "board_part", "family", "clock_mhz", "capacity", "processing_system", "sources"),
}
_FAMILY_OF = {"zynq7": "xc7", "zynq_ultra": "xcup"}
_SYSTEM_KEYS = {"kind", "reference_clock_mhz", "pll_multiplier", "memory_base", "memory_size"}
_SOURCES = {"part", "board_part", *_RESOURCES, "clock_mhz", "processing_system"}
_SYSTEM_SOURCES = {"reference_clock_mhz", "pll_multiplier", "memory"}


@dataclass(frozen=True)
class ProcessingSystem:
    """The processors beside the programmable logic, as far as a design in it needs them.

    `kind` is zynq7 or zynq_ultra. The PLL that the clock of the programmable logic is divided from runs at
    `pll_multiplier` times the reference. `memory_base` and `memory_size`, in bytes, are the DRAM that a DMA with 32
    address bits reaches.
    """

    kind: str
    reference_clock_mhz: float
    pll_multiplier: int
    memory_base: int
    memory_size: int

    @property
    def pll_mhz(self) -> float:
        """The frequency that the clock of the programmable logic is divided from, in megahertz."""
        return self.reference_clock_mhz * self.pll_multiplier


@dataclass(frozen=True)
class Board:
    """A board's programmable logic and its processing system, None where it has none, as a card for PCI Express.

    `family` is Yosys' name of the architecture; block RAMs are counted in blocks of 36 Kb, UltraRAMs in blocks of 288
    Kb. `board_part` is Vivado's name of the board, as a pattern: its version may be `*`. `aliases` are other names a
    user may give, such as FINN's. `sources` names the document behind each figure.
    """

    name: str
    part: str
    board_part: str
    family: str
    clock_mhz: float
    luts: int
    ffs: int
    bram36: int
    urams: int
    dsps: int
    processing_system: ProcessingSystem | None
    aliases: tuple[str, ...]
    sources: dict[str, str]

    @property
    def clock_period_ns(self) -> float:
        """The period of the default clock, in nanoseconds."""
        return 1000 / self.clock_mhz


def load_board(name: str) -> Board:
    """The board called `name`, in any spelling of case, hyphens and underscores.

    Raises ConfigError for a board that is not in hw/boards, with the names of those that are.
    """
    boards = all_boards()
    for board in boards:
        if _plain(name) in map(_plain, (board.name, *board.aliases)):
            return board
    known = ", ".join(board.name for board in boards)
    raise ConfigError(f"There is no board called {name!r}. Choose one of: {known}; or add a file to {BOARDS_FOLDER}.")


def all_boards() -> tuple[Board, ...]:
    """The boards of hw/boards, in alphabetical order of their files."""
    return tuple(read_board(path) for path in sorted(BOARDS_FOLDER.glob("*.yaml")))


def board_names() -> tuple[str, ...]:
    """The names of all boards, in alphabetical order of their files."""
    return tuple(board.name for board in all_boards())


def read_board(path: Path) -> Board:
    """The board that the YAML file `path` describes. Raises ConfigError for a key or a value that cannot be."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"The board file {path} cannot be read: {error}.") from error
    _check_keys(path, "", content, _KEYS)
    capacity = content["capacity"]
    if not isinstance(capacity, dict) or set(capacity) != set(_RESOURCES):
        raise ConfigError(f"The board file {path} has the capacities {capacity}; expected {', '.join(_RESOURCES)}.")
    wrong = [key for key in _RESOURCES if type(capacity[key]) is not int or capacity[key] < 0]
    if wrong:
        raise ConfigError(
            f"The board file {path} has {wrong[0]} = {capacity[wrong[0]]!r}; expected a count of 0 or more."
        )
    if content["family"] not in _FAMILIES:
        raise ConfigError(
            f"The board file {path} has the family {content['family']!r}; expected {' or '.join(_FAMILIES)}."
        )
    clock = content["clock_mhz"]
    if type(clock) not in (int, float) or not clock > 0:
        raise ConfigError(f"The board file {path} has clock_mhz = {clock!r}; expected a number of megahertz above 0.")
    if not re.fullmatch(r"[\w.-]+:[\w-]+:part0:(\*|[\w.]+)", str(content["board_part"])):
        raise ConfigError(
            f"The board file {path} has board_part = {content['board_part']!r}; expected Vivado's name of the board, "
            "vendor:name:part0:version, with * for any version."
        )
    system = _read_system(path, content["processing_system"], content["family"])
    _check_keys(path, "sources: ", content["sources"], _SOURCES | _SYSTEM_SOURCES if system else _SOURCES)
    return Board(
        name=str(content["name"]),
        part=str(content["part"]),
        board_part=str(content["board_part"]),
        family=content["family"],
        clock_mhz=float(clock),
        luts=capacity["LUT"],
        ffs=capacity["FF"],
        bram36=capacity["BRAM36"],
        urams=capacity["URAM"],
        dsps=capacity["DSP"],
        processing_system=system,
        aliases=tuple(map(str, content["aliases"])),
        sources={str(key): str(text) for key, text in content["sources"].items()},
    )


def _read_system(path: Path, content: Any, family: str) -> ProcessingSystem | None:
    if content == "none":
        return None
    _check_keys(path, "processing_system: ", content, _SYSTEM_KEYS, " or none")
    kinds = [kind for kind, its_family in _FAMILY_OF.items() if its_family == family]
    if content["kind"] not in kinds:
        raise ConfigError(
            f"The board file {path} has the processing system {content['kind']!r} in the family {family}; expected "
            f"{', '.join(kinds)} or none."
        )
    for key, types, least in (
        ("reference_clock_mhz", (int, float), "a number above 0"),
        ("pll_multiplier", (int,), "a whole number above 0"),
        ("memory_base", (int,), "an address"),
        ("memory_size", (int,), "a number of bytes above 0"),
    ):
        value = content[key]
        if type(value) not in types or value < 0 or (value == 0 and key != "memory_base"):
            raise ConfigError(f"The board file {path} has {key} = {value!r}; expected {least}.")
    return ProcessingSystem(
        kind=content["kind"],
        reference_clock_mhz=float(content["reference_clock_mhz"]),
        pll_multiplier=content["pll_multiplier"],
        memory_base=content["memory_base"],
        memory_size=content["memory_size"],
    )


def _check_keys(path: Path, where: str, content: Any, expected: set[str], otherwise: str = "") -> None:
    if not isinstance(content, Mapping) or set(content) != expected:
        found = sorted(map(str, content)) if isinstance(content, Mapping) else repr(content)
        raise ConfigError(
            f"The board file {path} has {where}{found}; expected exactly the keys {sorted(expected)}{otherwise}."
        )


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
