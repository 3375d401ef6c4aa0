"""Boards: the FPGA part, what it holds, its processors, and the clock a build takes by default.

They are described by the files of hw/boards, and by a user's own; docs/boards.md has the format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from pipeline import config_file
from pipeline.config_file import Section
from pipeline.devices.resources import Resources
from pipeline.errors import ConfigError
from pipeline.files import BOARDS
from pipeline.text_file import shown
from pipeline.yaml_file import read_yaml

__all__ = [
    "BOARD_FILE",
    "DEFAULT_BOARD",
    "PYNQ_PORT",
    "SIMULATED",
    "Board",
    "ProcessingSystem",
    "all_boards",
    "board_files",
    "board_names",
    "is_board_file",
    "load_board",
    "read_board",
]

DEFAULT_BOARD = "KV260"  # of a build that names none
BOARD_FILE = "board.yaml"  # as a build keeps the file of its board
SIMULATED = "sim"  # stands for a board's name where a package is run: the simulated one
PYNQ_PORT = 7967  # where PYNQ.remote's server listens

_FAMILY_OF = {"zynq7": "xc7", "zynq_ultra": "xcup"}
_PLL_MHZ = (750, 1600)  # in every speed grade: UG585, and UG1085 after it is halved
_MOST_MULTIPLIER = {"zynq7": 66, "zynq_ultra": 62}  # PLL_FDIV in UG585; FBDIV, 125, in UG1085 after it is halved
_MANAGER_MHZ = {
    "zynq7": (4.69, 464),  # MMCM_FOUTMIN; FMAX_BUFG in the slowest grade (DS187, DC and AC characteristics)
    "zynq_ultra": (6.25, 667),  # MMCM_FOUTMIN; MMCM_FOUTMAX and BUFG in the slowest grade (DS925, DC and AC)
}
_PAGE = 4096  # bytes, the least range that Vivado maps
_SOURCES = ("part", "board_part", "LUT", "FF", "BRAM36", "URAM", "DSP", "clock_mhz", "processing_system")
_SYSTEM_SOURCES = ("reference_clock_mhz", "pll_multiplier", "memory")

# Names of boards and parts stand in scripts, in names of files and in tables
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
_NAME = "letters, digits, hyphens and underscores, 64 at most, of which the first is a letter or a digit"
_PART = {
    "xc7": (re.compile(r"xc7[a-z]+\d+[a-z]+\d+-[1-3][A-Z]*", re.ASCII), "xc7z020clg400-1"),
    "xcup": (re.compile(r"xc(?!7)[a-z0-9]+-[a-z0-9]+-[1-3][A-Z]*-[a-z](-es\d)?", re.ASCII), "xczu7ev-ffvc1156-2-e"),
}
_Count = Annotated[int, Field(ge=0, lt=10**8)]
_COUNT = "a count of 0 or more, below 100 million"
_Source = Annotated[str, Field(pattern=r"^[^\t\n\r]{1,500}$")]


class ProcessingSystem(Section, strict=True):
    """The processors beside the programmable logic, as far as a design in it needs them.

    The PLL that the clock of the programmable logic is divided from runs at `pll_multiplier` times the reference.
    `memory_base` and `memory_size`, in bytes, are the DRAM that a DMA with 32 address bits reaches.
    """

    kind: Literal["zynq7", "zynq_ultra"] = Field(description="zynq7 or zynq_ultra")
    reference_clock_mhz: float = Field(ge=1, le=1000, description="a number of megahertz from 1 to 1000")
    pll_multiplier: int = Field(ge=1, le=1000, description="a whole number from 1 to 1000")
    memory_base: int = Field(ge=0, lt=2**32, multiple_of=_PAGE, description="an address below 2^32, a multiple of 4096")
    memory_size: int = Field(
        ge=_PAGE, le=2**32, multiple_of=_PAGE, description="a number of bytes up to 2^32, a multiple of 4096"
    )

    @property
    def pll_mhz(self) -> float:
        """The frequency that the clock of the programmable logic is divided from, in megahertz."""
        return self.reference_clock_mhz * self.pll_multiplier

    @property
    def manager_mhz(self) -> tuple[float, float]:
        """The slowest and the fastest clock that a clock manager beside it gives, in megahertz."""
        return _MANAGER_MHZ[self.kind]

    @property
    def clock_periods_ns(self) -> tuple[float, float]:
        """The periods of the fastest and the slowest of these, in whole picoseconds, in nanoseconds."""
        slowest, fastest = self.manager_mhz
        return math.ceil(1e6 / fastest) / 1000, math.floor(1e6 / slowest) / 1000

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not _PLL_MHZ[0] <= self.pll_mhz <= _PLL_MHZ[1]:
            raise ConfigError(
                f"processing_system has a PLL of {self.pll_mhz:g} MHz, reference_clock_mhz times pll_multiplier; "
                f"expected {_PLL_MHZ[0]} to {_PLL_MHZ[1]}."
            )
        if self.pll_multiplier > _MOST_MULTIPLIER[self.kind]:
            raise ConfigError(
                f"processing_system.pll_multiplier is {self.pll_multiplier}; expected up to {_MOST_MULTIPLIER[self.kind]}, "
                f"which is what the PLLs of a {self.kind} have."
            )
        if self.memory_base + self.memory_size > 2**32:
            raise ConfigError(
                f"processing_system.memory_size is {self.memory_size:#x} from {self.memory_base:#x} on; expected an end "
                "within 2^32, which is what the DMA reaches."
            )
        return self


class _Capacity(Section, strict=True):
    LUT: int = Field(ge=1, lt=10**8, description="a count of 1 or more, below 100 million")
    FF: int = Field(ge=1, lt=10**8, description="a count of 1 or more, below 100 million")
    BRAM36: _Count = Field(description=_COUNT)
    URAM: _Count = Field(description=_COUNT)
    DSP: _Count = Field(description=_COUNT)


class _BoardFile(Section, strict=True):
    """What a board's file says."""

    name: _Name = Field(description=_NAME)
    aliases: list[_Name] = Field(max_length=16, description=f"a list of up to 16 other names: {_NAME}")
    part: str = Field(description="Vivado's name of the part")
    board_part: str = Field(
        pattern=r"^[A-Za-z0-9_.-]+:[A-Za-z0-9_-]+:part0:(\*|[A-Za-z0-9_.]+)$",
        max_length=128,
        description="Vivado's name of the board, vendor:name:part0:version, with * for any version",
    )
    family: Literal["xcup", "xc7"] = Field(description="xcup or xc7")
    clock_mhz: float = Field(ge=1, lt=2000, description="a number of megahertz from 1 to below 2000")
    capacity: _Capacity = Field(description="a mapping of LUT, FF, BRAM36, URAM and DSP")
    processing_system: ProcessingSystem | None = Field(
        description=f"none, or a mapping of {', '.join(ProcessingSystem.model_fields)}"
    )
    sources: dict[str, _Source] = Field(description="a mapping of figures to the documents they are from, in one line")

    @field_validator("processing_system", mode="before")
    @classmethod
    def _none_in_words(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("nothing is written")
        return None if value == "none" else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [_plain(name) for name in (self.name, *self.aliases)]
        if SIMULATED in names or len(set(names)) < len(names):
            raise ConfigError(
                f"name and aliases are {', '.join((self.name, *self.aliases))}; expected each once, whatever its case, "
                f"hyphens and underscores, and none to be {SIMULATED}, which is the simulated board."
            )
        pattern, example = _PART[self.family]
        if not pattern.fullmatch(self.part):
            raise ConfigError(f"part is {shown(self.part)}; expected a part of the family {self.family}, as {example}.")
        system = self.processing_system
        if system and _FAMILY_OF[system.kind] != self.family:
            raise ConfigError(
                f"processing_system.kind is {system.kind}, in the family {self.family}; expected "
                f"{' or '.join(kind for kind, family in _FAMILY_OF.items() if family == self.family)}, or none."
            )
        if system:
            least, most = system.clock_periods_ns
            if not least <= 1000 / self.clock_mhz <= most:
                slowest, fastest = system.manager_mhz
                raise ConfigError(
                    f"clock_mhz is {self.clock_mhz:g}; expected {slowest:g} to {fastest:g}, which the clock manager of a "
                    f"{system.kind} gives."
                )
        if system and system.kind == "zynq7" and not self.part.startswith("xc7z"):
            raise ConfigError(
                f"part is {self.part}, which has no processors as {system.kind}; expected xc7z and so on."
            )
        expected = _SOURCES + (_SYSTEM_SOURCES if system else ())
        if set(self.sources) != set(expected):
            wrong = sorted(set(self.sources) ^ set(expected))
            raise ConfigError(
                f"sources has {shown(wrong[0])} {'missing' if wrong[0] in expected else 'too many'}; expected exactly "
                f"{', '.join(expected)}."
            )
        return self


@dataclass(frozen=True)
class Board:
    """A board's programmable logic and its processing system, None where it has none, as a card for PCI Express.

    `family` is Yosys' name of the architecture. `capacity` is what the part has of PART_KEYS. `board_part` is Vivado's
    name of the board, as a pattern: its version may be `*`. `aliases` are other names a user may give, such as FINN's.
    `sources` names the document behind each figure. `file` is what all this is from.
    """

    name: str
    part: str
    board_part: str
    family: str
    clock_mhz: float
    capacity: Resources
    processing_system: ProcessingSystem | None
    aliases: tuple[str, ...]
    sources: dict[str, str]
    file: Path

    @property
    def clock_period_ns(self) -> float:
        """The period of the default clock, in nanoseconds."""
        return 1000 / self.clock_mhz


def is_board_file(name: str) -> bool:
    """Whether `name` is meant as the path of a board's file, and not as the name of a board."""
    return name.endswith((".yaml", ".yml"))


def board_files(name: str) -> list[Path]:
    """The user's file that describes the board `name`; none for a board of hw/boards."""
    return [Path(name)] if is_board_file(name) else []


def load_board(name: str | Path) -> Board:
    """The board of hw/boards called `name`, in any spelling of case, hyphens and underscores, or the one in the file `name`.

    Raises ConfigError for a board that is not in hw/boards, with the names of those that are; for a file that cannot be
    used, and for one whose board has a name of theirs.
    """
    boards, name = all_boards(), str(name)
    if is_board_file(name):
        return _new_board(Path(name), boards)
    for board in boards:
        if _plain(name) in map(_plain, (board.name, *board.aliases)):
            return board
    known = ", ".join(board.name for board in boards)
    raise ConfigError(
        f"There is no board called {shown(name)}. Choose one of: {known}; or give the path of a file (.yaml) that "
        "describes yours, see docs/boards.md."
    )


def _new_board(path: Path, known: Sequence[Board]) -> Board:
    """The board in the file `path`, which has none of the names of the `known` ones unless it is the file of one."""
    new = read_board(path)
    for board in known:
        shared = {_plain(n) for n in (board.name, *board.aliases)} & {_plain(n) for n in (new.name, *new.aliases)}
        if shared and path.resolve() != board.file.resolve():
            raise ConfigError(
                f"The board file {path}: name and aliases are {', '.join((new.name, *new.aliases))}; expected other names "
                f"than those of the {board.name} in {board.file}."
            )
    return new


def all_boards() -> tuple[Board, ...]:
    """The boards of hw/boards, in alphabetical order of their files.

    Raises ConfigError for a file that cannot be used, and for a name that two boards have.
    """
    paths: dict[str, Path] = {}
    boards = []
    for path in sorted(BOARDS.glob("*.yaml")):
        board = read_board(path)
        boards.append(board)
        for name in (board.name, *board.aliases):
            other = paths.setdefault(_plain(name), path)
            if other is not path:
                raise ConfigError(f"The boards in {other} and {path} are both called {name}. Rename one of them.")
    return tuple(boards)


def board_names() -> tuple[str, ...]:
    """The names of all boards, in alphabetical order of their files."""
    return tuple(board.name for board in all_boards())


def read_board(path: Path) -> Board:
    """The board that the YAML file `path` describes. Raises ConfigError for a key or a value that cannot be."""
    values = read_yaml(path, f"The board file {path}")
    if not isinstance(values, dict):
        raise ConfigError(f"The board file {path} holds {shown(values)}; expected keys and values.")
    try:
        file = _BoardFile.model_validate(values)
    except ConfigError as error:
        raise ConfigError(f"The board file {path}: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"The board file {config_file.explain(path, error, _BoardFile, {}, BOARDS)}") from None
    return Board(
        name=file.name,
        part=file.part,
        board_part=file.board_part,
        family=file.family,
        clock_mhz=file.clock_mhz,
        capacity=Resources(
            lut=file.capacity.LUT,
            ff=file.capacity.FF,
            bram_18k=2 * file.capacity.BRAM36,
            uram=file.capacity.URAM,
            dsp=file.capacity.DSP,
        ),
        processing_system=file.processing_system,
        aliases=tuple(file.aliases),
        sources=file.sources,
        file=path,
    )


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
