"""Which boards hold what was built: the section of summary.md, and what the page draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.devices.boards import Board, all_boards, load_board
from pipeline.report.facts import BuildFacts
from pipeline.report.markdown import number, percent, table

__all__ = ["HOW", "BoardFit", "board_fits", "boards_section", "share"]

HOW = (
    "What the network, as counted by synthesis, would take of each board, the one it was built for in bold. Shells, DMA and "
    "what a card for PCI Express needs beside it are not counted, and no board has been placed and routed for."
)


@dataclass(frozen=True)
class BoardFit:
    """What the counted design would take of a board: by resource what is used, and what the board has.

    `target` says that it was built for this one; `counted_for` is the family that it was counted for, where the board's is
    another one, else empty.
    """

    name: str
    family: str
    target: bool
    counted_for: str
    shares: Mapping[str, tuple[float, float]]

    @property
    def too_much(self) -> tuple[str, ...]:
        """The resources of which the board has too little."""
        return tuple(resource for resource, (used, has) in self.shares.items() if used > has)

    @property
    def verdict(self) -> str:
        """Whether the board holds it, in words."""
        text = f"too much {', '.join(self.too_much)}" if self.too_much else "fits"
        return f"{text}; counted for {self.counted_for}, this is {self.family}" if self.counted_for else text


def board_fits(facts: BuildFacts) -> tuple[BoardFit, ...]:
    """Every board of hw/boards, and the build's own."""
    boards = all_boards()
    target = facts.board or load_board(facts.resources.board)
    if all(board.name != target.name for board in boards):
        boards = (target, *boards)
    return tuple(
        BoardFit(
            board.name,
            board.family,
            board.name == facts.resources.board,
            "" if board.family == target.family else target.family,
            _shares(facts, board),
        )
        for board in boards
    )


def boards_section(facts: BuildFacts) -> str:
    """The section of summary.md."""
    fits = board_fits(facts)
    rows = [
        [f"**{fit.name}**" if fit.target else fit.name, fit.verdict, *(share(*pair) for pair in fit.shares.values())]
        for fit in fits
    ]
    text = f"## Boards\n\n{HOW}\n\n" + table(["board", "verdict", *fits[0].shares], rows, left=2)
    advice = facts.folded.fit.sentence(1000 / facts.network.clock_mhz)
    return f"{text}\n\nBefore synthesis, `fold` said: {advice}." if advice else text


def _shares(facts: BuildFacts, board: Board) -> dict[str, tuple[float, float]]:
    """By resource what is used, and what `board` has."""
    used, has = facts.resources.total, board.capacity
    return {
        "LUT": (used.lut, has.lut),
        "FF": (used.ff, has.ff),
        "BRAM": (used.bram_36k, has.bram_36k),
        "URAM": (used.uram, has.uram),
        "DSP": (used.dsp, has.dsp),
    }


def share(used: float, has: float) -> str:
    """What of `has` is `used`, in percent."""
    if has:
        return percent(used / has)
    return f"{number(used)} of none" if used else "–"
