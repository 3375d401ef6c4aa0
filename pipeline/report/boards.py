"""The section of summary.md that says which boards hold what was built."""

from __future__ import annotations

from pipeline.devices.boards import Board, all_boards, load_board
from pipeline.report.facts import BuildFacts
from pipeline.report.markdown import number, percent, table

__all__ = ["boards_section"]


def boards_section(facts: BuildFacts) -> str:
    """The share that the counted design takes of every board of hw/boards, and of its own."""
    boards = all_boards()
    target = facts.board or load_board(facts.resources.board)
    if all(board.name != target.name for board in boards):
        boards = (target, *boards)
    family = target.family
    rows = []
    for board in boards:
        name = f"**{board.name}**" if board.name == facts.resources.board else board.name
        shares = _shares(facts, board)
        counted = "" if board.family == family else f"counted for {family}, this is {board.family}"
        too_much = [resource for resource, (used, has) in shares.items() if used > has]
        verdict = f"too much {', '.join(too_much)}" if too_much else "fits"
        cells = [_share(used, has) for used, has in shares.values()]
        rows.append([name, "; ".join(filter(None, (verdict, counted))), *cells])
    text = (
        "## Boards\n\n"
        "What the network, as counted above, would take of each board, the one it was built for in bold. Shells, DMA and "
        "what a card for PCI Express needs beside it are not counted, and no board has been placed and routed for.\n\n"
        + table(["board", "verdict", *_shares(facts, target)], rows, left=2)
    )
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


def _share(used: float, has: float) -> str:
    if has:
        return percent(used / has)
    return f"{number(used)} of none" if used else "–"
