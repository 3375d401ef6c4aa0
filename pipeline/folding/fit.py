"""What a board holds, and what to tell a user whose network is too much for it. All of it is estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, log10

from pipeline.dataflow.graph import LayerGraph
from pipeline.devices.boards import Board, all_boards
from pipeline.devices.resources import Resources
from pipeline.folding.estimate import ResourceModel

__all__ = ["Bound", "Fit", "capacity_of", "excess", "holders"]


@dataclass(frozen=True)
class Fit:
    """Whether a network fits its board, estimated, and what would where it does not."""

    board: str
    exceeded: dict[str, tuple[int, int]]  # by resource of which there is too little: what is wanted, what there is
    cycles: int | None = None  # between frames, the fewest with which it fits in the same styles; None: not at any rate
    settings: tuple[str, ...] = ()  # of the configuration with which it fits at this rate
    boards: tuple[str, ...] = ()  # that hold it as it is

    def sentence(self, synth_clk_period_ns: float) -> str:
        """What is too much, and what to do; empty if nothing is."""
        if not self.exceeded:
            return ""
        advice = []
        if self.cycles is not None:
            advice.append(f"target_fps {_rounded_down(1e9 / (synth_clk_period_ns * self.cycles)):,.10g} or less")
        advice += [f"{setting} at this rate" for setting in self.settings]
        if self.boards:
            advice.append(f"a larger board as it is: {', '.join(self.boards)}")
        wanted = ", ".join(f"{taken:,} {name} of {has:,}" for name, (taken, has) in self.exceeded.items())
        what = f"What is estimated to fit: {'; '.join(advice)}" if advice else "Nothing was found that would fit"
        return f"DOES NOT FIT the {self.board}: {wanted} estimated. {what}"


@dataclass(frozen=True)
class Bound:
    """What keeps a network from more frames a second than it has."""

    layer: str  # that takes most of what there is too little of, or that is as parallel as it may be
    cycles: int  # between frames: of that layer, or at the next higher rate
    exceeded: dict[
        str, tuple[int, int]
    ]  # by resource of which there is too little for it: what it takes, what there is

    @property
    def sentence(self) -> str:
        if not self.exceeded:
            return (
                f"bound by {self.layer}, which takes {self.cycles:,} cycles with all the parallelism that it may have"
            )
        wanted = " and ".join(f"{taken:,} {name} of {has:,}" for name, (taken, has) in self.exceeded.items())
        return (
            f"bound by {' and '.join(self.exceeded)}: {self.cycles:,} cycles would take {wanted} estimated, deep FIFOs apart, most of "
            f"it in {self.layer}"
        )


def capacity_of(board: Board, lut_share: float = 1.0) -> Resources:
    """All of `board`, or a share of its LUTs and the rest."""
    return replace(board.capacity, lut=board.capacity.lut * lut_share)


def excess(taken: Resources, capacity: Resources) -> dict[str, tuple[int, int]]:
    """The resources of which `taken` is more than `capacity`, with both, rounded."""
    return {key: (round(wanted), round(has)) for key, (wanted, has) in taken.exceeded(capacity).items()}


def holders(graph: LayerGraph) -> tuple[str, ...]:
    """The boards that hold the folded `graph`, each by estimates for its own family."""
    totals: dict[str, Resources] = {}
    names = []
    for board in all_boards():
        if board.family not in totals:
            model = ResourceModel.load(board.family)
            totals[board.family] = sum(map(model.layer, graph), Resources())
        if totals[board.family].fits(board.capacity):
            names.append(board.name)
    return tuple(names)


def _rounded_down(rate: float) -> float:
    """`rate` with three digits, so that it is not more than it was.

    >>> _rounded_down(1234.5), _rounded_down(0.98765)
    (1230.0, 0.987)
    """
    places = 2 - floor(log10(rate))
    return floor(rate * 10.0**places) / 10.0**places
