"""One option for each layer, so that all of them together take the fewest LUTs: an integer program.

A binary variable stands for each option of each layer; of a layer's, one is 1. Between two layers stands what their
lanes need: for every stream a variable stands for each pair of lanes written and read. Its sums over one end are those
of the options with these lanes at the other, so it is 0 or 1 wherever the options are. Solved by HiGHS (Huangfu and
Hall, "Parallelizing the dual revised simplex method", Mathematical Programming Computation 10, 2018) through scipy.
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
    """An option of a layer: the lanes of its sides, and what it takes."""

    input_lanes: int
    output_lanes: int
    estimate: Estimate


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


class Program:
    """`choices[i]` are the options of layer i. Of each of `together`, sets of options (layer, option) in two layers, as
    many are taken of the first as of the second."""

    def __init__(
        self,
        choices: Sequence[Sequence[Choice]],
        links: Sequence[Link],
        together: Sequence[tuple[Collection[tuple[int, int]], Collection[tuple[int, int]]]] = (),
    ) -> None:
        self._first = np.cumsum([0, *map(len, choices)])
        self._options = int(self._first[-1])
        self._estimates = [choice.estimate for own in choices for choice in own]
        self._rows: list[tuple[dict[int, float], float]] = []
        for layer, own in enumerate(choices):
            self._rows.append(({self._variable(layer, option): 1.0 for option in range(len(own))}, 1.0))
        for link in links:
            self._connect(choices, link)
        for one, other in together:
            row = {self._variable(*option): 1.0 for option in one} | {self._variable(*option): -1.0 for option in other}
            self._rows.append((row, 0.0))
        self._taken = np.array([(e.lut, e.ff, e.bram_18k) for e in self._estimates])
        self._equalities = self._matrix()

    def solve(self, capacity: Capacity | None = None, without: Collection[tuple[int, int]] = ()) -> Solution | None:
        """The option of each layer, and what all take together; None if nothing fits.

        `without` are options (layer, option) that may not be taken.
        """
        upper = np.ones(len(self._estimates))
        upper[[self._variable(*option) for option in without]] = 0
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
        total = Estimate(*(result.x @ self._taken).tolist())
        ends = self._first
        return Solution(tuple(int(result.x[a:b].argmax()) for a, b in pairwise(ends)), total)

    def _variable(self, layer: int, option: int) -> int:
        return int(self._first[layer]) + option

    def _connect(self, choices: Sequence[Sequence[Choice]], link: Link) -> None:
        written = _by_lanes(choices[link.writer], lambda choice: choice.output_lanes)
        read = _by_lanes(choices[link.reader], lambda choice: choice.input_lanes)
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
