"""Boards: the FPGA part, what it holds and the clock a build takes by default, from hw/boards/*.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.errors import ConfigError

__all__ = ["BOARDS_FOLDER", "Board", "board_names", "load_board", "read_board"]

BOARDS_FOLDER = Path(__file__).resolve().parents[1] / "hw" / "boards"

_FAMILIES = ("xcup", "xc7")
_RESOURCES = ("LUT", "FF", "BRAM36", "URAM", "DSP")


@dataclass(frozen=True)
class Board:
    """A board's programmable logic.

    `family` is Yosys' name of the architecture; block RAMs are counted in blocks of 36 Kb, UltraRAMs in blocks of 288
    Kb. `aliases` are other names a user may give, such as FINN's. `sources` names the document behind each figure.
    """

    name: str
    part: str
    family: str
    clock_mhz: float
    luts: int
    ffs: int
    bram36: int
    urams: int
    dsps: int
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
    boards = [read_board(path) for path in sorted(BOARDS_FOLDER.glob("*.yaml"))]
    for board in boards:
        if _plain(name) in map(_plain, (board.name, *board.aliases)):
            return board
    known = ", ".join(board.name for board in boards)
    raise ConfigError(f"There is no board called {name!r}. Choose one of: {known}; or add a file to {BOARDS_FOLDER}.")


def board_names() -> tuple[str, ...]:
    """The names of all boards, in alphabetical order of their files."""
    return tuple(read_board(path).name for path in sorted(BOARDS_FOLDER.glob("*.yaml")))


def read_board(path: Path) -> Board:
    """The board that the YAML file `path` describes. Raises ConfigError for a key or a value that cannot be."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"The board file {path} cannot be read: {error}.") from error
    expected = {"name", "aliases", "part", "family", "clock_mhz", "capacity", "sources"}
    if not isinstance(content, dict) or set(content) != expected:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ConfigError(f"The board file {path} has {found}; expected exactly the keys {sorted(expected)}.")
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
    return Board(
        name=str(content["name"]),
        part=str(content["part"]),
        family=content["family"],
        clock_mhz=float(clock),
        luts=capacity["LUT"],
        ffs=capacity["FF"],
        bram36=capacity["BRAM36"],
        urams=capacity["URAM"],
        dsps=capacity["DSP"],
        aliases=tuple(map(str, content["aliases"])),
        sources={str(key): str(text) for key, text in content["sources"].items()},
    )


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
