"""One option for each layer, so that all of them together take the fewest LUTs: an integer program.

A binary variable stands for each option of each layer; of a layer's, one is 1. Between two layers stands what their
lanes need: for every stream a variable stands for each pair of lanes written and read. Its sums over one end are those
of the options with these lanes at the other, so it is 0 or 1 wherever the options are. Solved by HiGHS (Huangfu and
Hall, "Parallelizing the dual revised simplex method", Mathematical Programming Computation 10, 2018) through scipy.

Most options can be left out beforehand: where another one of the same kind takes no more of anything, even with the
most that its lanes can cost beyond those of the first, whatever the lanes of the neighbours are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from pipeline.errors import ToolError
from pipeline.resources.model import Estimate

__all__ = ["Capacity", "Choice", "Link", "Program"]

_FF_WEIGHT = 1e-3  # LUTs that a flip-flop is worth: of two choices with as many LUTs the one with fewer is taken
_GAP = 1e-6  # how far from the least, relatively, a solution may be
_INFEASIBLE = 2  # scipy's status


class Choice(NamedTuple):
    """An option of a layer: the lanes of its sides, what it takes, and its kind."""

    input_lanes: int
    output_lanes: int
    estimate: Estimate
    kind: str = ""  # those of one kind are alike to `without` and `together`


class Link(NamedTuple):
    """A stream from the layer `writer` to the layer `reader`, by index."""

    writer: int
    reader: int
    between: Callable[[int, int], Estimate]  # what lanes written and read need between them


@dataclass(frozen=True)
class Capacity:
    """What a solution may take at most."""

    lut: float
    ff: float
    bram_18k: float

    def holds(self, taken: Estimate) -> bool:
        return taken.lut <= self.lut and taken.ff <= self.ff and taken.bram_18k <= self.bram_18k


class Program:
    """`choices[i]` are the options of layer i. Of each of `together`, kinds (layer, kind) of options in two layers, as
    many are taken of the first as of the second."""

    def __init__(
        self,
        choices: Sequence[Sequence[Choice]],
        links: Sequence[Link],
        together: Sequence[tuple[tuple[int, str], tuple[int, str]]] = (),
    ) -> None:
        self._kept = _worth_keeping(choices, links)
        choices = [[own[option] for option in kept] for own, kept in zip(choices, self._kept, strict=True)]
        self._choices = choices
        self._first = np.cumsum([0, *map(len, choices)])
        self._options = int(self._first[-1])
        self._estimates = [choice.estimate for own in choices for choice in own]
        self._rows: list[tuple[dict[int, float], float]] = []
        for layer, own in enumerate(choices):
            self._rows.append(({self._variable(layer, option): 1.0 for option in range(len(own))}, 1.0))
        for link in links:
            self._connect(link)
        for one, other in together:
            row = dict.fromkeys(self._of_kind(*one), 1.0) | dict.fromkeys(self._of_kind(*other), -1.0)
            self._rows.append((row, 0.0))
        self._taken = np.array([(e.lut, e.ff, e.bram_18k) for e in self._estimates])
        self._equalities = self._matrix()

    def solve(
        self,
        capacity: Capacity | None = None,
        without: Collection[tuple[int, str]] = (),
        fixed: Mapping[int, int] | None = None,
    ) -> Solution | None:
        """The option of each layer, and what all take together; None if nothing fits.

        `without` are kinds of options (layer, kind) that may not be taken; `fixed` are the options, by layer, that are
        taken in any case, out of a solution without them.
        """
        upper = np.ones(len(self._estimates))
        for layer, option in (fixed or {}).items():
            upper[self._first[layer] : self._first[layer + 1]] = 0
            upper[self._variable(layer, self._kept[layer].index(option))] = 1
        upper[[variable for kind in without for variable in self._of_kind(*kind)]] = 0
        constraints = [LinearConstraint(self._equalities, *(2 * [[value for _, value in self._rows]]))]
        if capacity is not None:
            most = [capacity.lut, capacity.ff, capacity.bram_18k]
            constraints.append(LinearConstraint(self._taken.T, ub=most))
        integral = np.zeros(len(upper))
        integral[: self._options] = 1
        result = milp(
            self._taken @ [1, _FF_WEIGHT, 0],
            integrality=integral,
            bounds=Bounds(0, upper),
            constraints=constraints,
            options={"mip_rel_gap": _GAP},
        )
        if result.status == _INFEASIBLE:
            return None
        if not result.success:
            raise ToolError(f"The choice of foldings has no solution: HiGHS says {result.message}")
        taken = [kept[result.x[a:b].argmax()] for kept, (a, b) in zip(self._kept, pairwise(self._first), strict=True)]
        return Solution(tuple(taken), Estimate(*(result.x @ self._taken).tolist()))

    def _variable(self, layer: int, option: int) -> int:
        return int(self._first[layer]) + option

    def _of_kind(self, layer: int, kind: str) -> list[int]:
        own = self._choices[layer]
        return [self._variable(layer, option) for option, choice in enumerate(own) if choice.kind == kind]

    def _connect(self, link: Link) -> None:
        written = _by_lanes(self._choices[link.writer], lambda choice: choice.output_lanes)
        read = _by_lanes(self._choices[link.reader], lambda choice: choice.input_lanes)
        ends: dict[tuple[str, int], dict[int, float]] = {}
        for end, layer, lanes in (("written", link.writer, written), ("read", link.reader, read)):
            for count, own in lanes.items():
                ends[end, count] = {self._variable(layer, option): -1.0 for option in own}
        for out in written:
            for into in read:
                variable = len(self._estimates)
                self._estimates.append(link.between(out, into))
                ends["written", out][variable] = ends["read", into][variable] = 1.0
        self._rows += [(row, 0.0) for row in ends.values()]

    def _matrix(self) -> csr_array:
        entries = [(i, variable, factor) for i, (row, _) in enumerate(self._rows) for variable, factor in row.items()]
        rows, columns, factors = (np.array(part) for part in zip(*entries, strict=True))
        return csr_array((factors, (rows, columns)), shape=(len(self._rows), len(self._estimates)))


@dataclass(frozen=True)
class Solution:
    """The option of each layer, and what all of them and what stands between them take."""

    options: tuple[int, ...]
    total: Estimate


def _by_lanes(choices: Sequence[Choice], lanes: Callable[[Choice], int]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    for option, choice in enumerate(choices):
        found.setdefault(lanes(choice), []).append(option)
    return found


# -- options that need not be looked at -----------------------------------------------------------------------------


def _worth_keeping(choices: Sequence[Sequence[Choice]], links: Sequence[Link]) -> list[list[int]]:
    """The options of each layer without those that another one of the layer can take the place of."""
    kept = [list(range(len(own))) for own in choices]
    while True:
        now = [[own[option] for option in left] for own, left in zip(choices, kept, strict=True)]
        extra = [np.zeros((len(own), len(own), 3)) for own in now]
        for link in links:
            out = [choice.output_lanes for choice in now[link.writer]]
            into = [choice.input_lanes for choice in now[link.reader]]
            between, writer, reader = _table(link, out, into)
            extra[link.writer] += _most_more(between)[writer[:, None], writer]
            extra[link.reader] += _most_more(between.swapaxes(0, 1))[reader[:, None], reader]
        left = [[kept[i][option] for option in _undominated(own, extra[i])] for i, own in enumerate(now)]
        if left == kept:
            return kept
        kept = left


def _table(link: Link, out: Sequence[int], into: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is between the ends for each lanes [written, read] that there are, and each option's index in it."""
    (written, writer), (read, reader) = (np.unique(lanes, return_inverse=True) for lanes in (out, into))
    found = (link.between(int(a), int(b)) for a in written for b in read)
    between = np.array([(e.lut, e.ff, e.bram_18k) for e in found]).reshape(len(written), len(read), 3)
    return between, writer, reader


def _most_more(between: np.ndarray) -> np.ndarray:
    """[a, b, resource]: the most that `between`[a] takes more than `between`[b], whatever is at the other end."""
    return np.stack([(own - between).max(axis=1) for own in between])


def _undominated(choices: Sequence[Choice], extra: np.ndarray) -> list[int]:
    """The options without those for which another of their kind takes no more; `extra`[a, b] is what a's lanes cost
    beyond those of b. Of options that take the same the first stays."""
    taken = np.array([(e.lut, e.ff, e.bram_18k) for *_, e, _ in choices])
    kinds = np.array([choice.kind for choice in choices])
    no_more = (kinds[:, None] == kinds) & (taken[:, None] + extra <= taken).all(axis=2)
    earlier = np.tri(len(choices), k=-1, dtype=bool).T
    replaces = no_more & (~no_more.T | earlier)
    return np.flatnonzero(~replaces.any(axis=0)).tolist()
