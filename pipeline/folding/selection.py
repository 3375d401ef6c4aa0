"""One option for each layer, so that all of them together take the fewest LUTs and DSPs: an integer program.

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
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_array

from pipeline.devices.resources import Resources
from pipeline.errors import ToolError

__all__ = ["GAP", "Choice", "Link", "Program"]

# The resources that estimates have, and the LUTs that one of them is worth. Of two choices with as many LUTs the one with fewer
# flip-flops is taken. Block RAM is there to be used. UltraRAM has to be loaded at every start, so it is used only where it
# spares something. A DSP has to spare ten LUTs: that is a tenth of what boards have for each of theirs (94 on a KV260), so that
# DSPs take the place of LUTs, which networks run out of first, and half of what a product of 4 × 4 bits takes in LUTs, so that
# none is spent for next to nothing.
_WORTH = {"lut": 1.0, "ff": 1e-3, "bram_18k": 0.0, "uram": 20.0, "dsp": 10.0}
_amounts = attrgetter(*_WORTH)
GAP = 1e-6  # how far from the least, relatively, a solution may be
_INFEASIBLE = 2  # scipy's status
_TOO_MUCH = Resources(lut=1e12)  # where lanes cannot meet, so that no option with others is left out for one with these


Beat = Any  # what a side moves, which is compared with that of the other side: lanes, or lanes and pixels


class Choice(NamedTuple):
    """An option of a layer: the lanes of its sides, what it takes, and its kind."""

    input_lanes: Beat
    output_lanes: Beat
    estimate: Resources
    kind: str = ""  # those of one kind are alike to `without` and `together`
    memory: str = ""  # what its weights are stored in


class Link(NamedTuple):
    """A stream from the layer `writer` to the layer `reader`, by index."""

    writer: int
    reader: int
    between: Callable[[Beat, Beat], Resources | None]  # what lanes written and read need between them; None: cannot be


class Program:
    """`choices[i]` are the options of layer i. Of each of `together`, kinds (layer, kinds) of options in two layers, as
    many are taken of the first as of the second."""

    def __init__(
        self,
        choices: Sequence[Sequence[Choice]],
        links: Sequence[Link],
        together: Sequence[tuple[tuple[int, Collection[str]], tuple[int, Collection[str]]]] = (),
    ) -> None:
        self._indices = _worth_keeping(choices, links)
        choices = [
            [layer_choices[option] for option in indices]
            for layer_choices, indices in zip(choices, self._indices, strict=True)
        ]
        self._choices = choices
        self._first = np.cumsum([0, *map(len, choices)])
        self._options = int(self._first[-1])
        self._estimates = [choice.estimate for layer_choices in choices for choice in layer_choices]
        self._rows: list[tuple[dict[int, float], float]] = []
        for layer, layer_choices in enumerate(choices):
            self._rows.append(({self._variable(layer, option): 1.0 for option in range(len(layer_choices))}, 1.0))
        for link in links:
            self._connect(link)
        for one, other in together:
            row = dict.fromkeys(self._of_kind(*one), 1.0) | dict.fromkeys(self._of_kind(*other), -1.0)
            self._rows.append((row, 0.0))
        self._taken = np.array([_amounts(estimate) for estimate in self._estimates])
        self._equalities = self._matrix()

    def solve(
        self,
        capacity: Resources | None = None,
        without: Collection[tuple[int, str]] = (),
        fixed: Mapping[int, int] | None = None,
        *,
        cheapest: bool = True,
        least: str = "",
        gap: float = GAP,
    ) -> Solution | None:
        """The option of each layer, and what all take together; None if nothing fits. Any that fit if they need not be
        the `cheapest`; those that take the `least` of one resource where it is named, a field of `Resources`. By `gap`,
        relatively, they may be from it.

        `without` are kinds of options (layer, kind) that may not be taken; `fixed` are the options, by layer, that are
        taken in any case, out of a solution without them.
        """
        upper = np.ones(self._options)
        for layer, option in (fixed or {}).items():
            upper[self._first[layer] : self._first[layer + 1]] = 0
            upper[self._variable(layer, self._indices[layer].index(option))] = 1
        upper[[variable for layer, kind in without for variable in self._of_kind(layer, [kind])]] = 0
        free = self._possible(upper)
        taken = self._taken[free]
        constraints = [LinearConstraint(self._equalities[:, free], *(2 * [[value for _, value in self._rows]]))]
        if capacity is not None:
            constraints.append(LinearConstraint(taken.T, ub=_amounts(capacity)))
        worth = {least: 1.0} if least else _WORTH if cheapest else {}
        result = milp(
            taken @ [worth.get(name, 0.0) for name in _WORTH],
            integrality=free < self._options,
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": gap},
        )
        if result.status == _INFEASIBLE:
            return None
        if not result.success:
            raise ToolError(f"The choice of foldings has no solution: HiGHS says {result.message}")
        values = np.zeros(len(self._estimates))
        values[free] = result.x
        options = [
            indices[values[a:b].argmax()] for indices, (a, b) in zip(self._indices, pairwise(self._first), strict=True)
        ]
        return Solution(tuple(options), Resources(**dict(zip(_WORTH, (values @ self._taken).tolist(), strict=True))))

    def _possible(self, upper: np.ndarray) -> np.ndarray:
        """The variables that are not 0 anyway where those of the options are at most `upper`."""
        ends = self._equalities.astype(bool).astype(float)
        no_option = (ends[:, : self._options] @ upper == 0).astype(float)
        lost = no_option @ ends[:, self._options :] > 0
        return np.flatnonzero(np.concatenate([upper > 0, ~lost]))

    def _variable(self, layer: int, option: int) -> int:
        return int(self._first[layer]) + option

    def _of_kind(self, layer: int, kinds: Collection[str]) -> list[int]:
        choices = self._choices[layer]
        return [self._variable(layer, option) for option, choice in enumerate(choices) if choice.kind in kinds]

    def _connect(self, link: Link) -> None:
        written = _by_lanes(self._choices[link.writer], lambda choice: choice.output_lanes)
        read = _by_lanes(self._choices[link.reader], lambda choice: choice.input_lanes)
        ends: dict[tuple[str, Beat], dict[int, float]] = {}
        for end, layer, lanes in (("written", link.writer, written), ("read", link.reader, read)):
            for count, members in lanes.items():
                ends[end, count] = {self._variable(layer, option): -1.0 for option in members}
        for out in written:
            for into in read:
                between = link.between(out, into)
                if between is None:
                    continue
                variable = len(self._estimates)
                self._estimates.append(between)
                ends["written", out][variable] = ends["read", into][variable] = 1.0
        self._rows += [(row, 0.0) for row in ends.values()]

    def _matrix(self) -> csc_array:
        entries = [(i, variable, factor) for i, (row, _) in enumerate(self._rows) for variable, factor in row.items()]
        rows, columns, factors = (np.array(part) for part in zip(*entries, strict=True))
        return csc_array((factors, (rows, columns)), shape=(len(self._rows), len(self._estimates)))


@dataclass(frozen=True)
class Solution:
    """The option of each layer, and what all of them and what stands between them take."""

    options: tuple[int, ...]
    total: Resources


def _by_lanes(choices: Sequence[Choice], lanes: Callable[[Choice], Beat]) -> Mapping[Beat, list[int]]:
    groups: dict[Beat, list[int]] = {}
    for option, choice in enumerate(choices):
        groups.setdefault(lanes(choice), []).append(option)
    return groups


# -- options that need not be looked at -----------------------------------------------------------------------------

_KIND_AND_MEMORY, _KIND = attrgetter("kind", "memory"), attrgetter("kind")


def _worth_keeping(choices: Sequence[Sequence[Choice]], links: Sequence[Link]) -> list[list[int]]:
    """The options of each layer without those that another one of the layer can take the place of."""
    result = [list(range(len(layer_choices))) for layer_choices in choices]
    ends = [{link.writer, link.reader} for link in links]
    for alike in (_KIND_AND_MEMORY, _KIND):  # in smaller groups first: each is compared with each of its group
        fewer = set(range(len(choices)))  # layers that have lost options: they and their neighbours may lose more
        while fewer:
            looked_at = fewer.union(*(pair for pair in ends if pair & fewer))
            now = [
                [layer_choices[option] for option in left] for layer_choices, left in zip(choices, result, strict=True)
            ]
            extra: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in now]
            for link, pair in zip(links, ends, strict=True):
                if pair & looked_at:
                    out = [choice.output_lanes for choice in now[link.writer]]
                    into = [choice.input_lanes for choice in now[link.reader]]
                    between, writer, reader = _table(link, out, into)
                    extra[link.writer].append((_most_more(between), writer))
                    extra[link.reader].append((_most_more(between.swapaxes(0, 1)), reader))
            left = {i: _undominated(now[i], extra[i], alike) for i in looked_at}
            fewer = {i for i, options in left.items() if len(options) < len(result[i])}
            for i in fewer:
                result[i] = [result[i][option] for option in left[i]]
    return result


def _table(link: Link, out: Sequence[Beat], into: Sequence[Beat]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is between the ends for each lanes [written, read] that there are, and each option's index in it."""
    written, read = sorted(set(out)), sorted(set(into))
    writer, reader = (
        np.array([lanes.index(beat) for beat in beats]) for lanes, beats in ((written, out), (read, into))
    )
    estimates = (link.between(a, b) for a in written for b in read)
    between = np.array([_amounts(_TOO_MUCH if estimate is None else estimate) for estimate in estimates]).reshape(
        len(written), len(read), len(_WORTH)
    )
    return between, writer, reader


def _most_more(between: np.ndarray) -> np.ndarray:
    """[a, b, resource]: the most that `between`[a] takes more than `between`[b], whatever is at the other end."""
    return np.stack([(row - between).max(axis=1) for row in between])


def _undominated(
    choices: Sequence[Choice],
    extra: Sequence[tuple[np.ndarray, np.ndarray]],
    alike: Callable[[Choice], object],
) -> list[int]:
    """The options without those for which another that is `alike` takes no more. For each stream of the layer `extra`
    has [a, b, resource], what the lanes a cost beyond the lanes b, and the lanes of each option. Of options that take
    the same the first stays."""
    groups: dict[object, list[int]] = {}
    for option, choice in enumerate(choices):
        groups.setdefault(alike(choice), []).append(option)
    left = []
    for group in groups.values():
        taken = np.array([_amounts(choices[option].estimate) for option in group])
        more = np.zeros((len(group), len(group), len(_WORTH)))
        for table, lanes in extra:
            more += table[lanes[group][:, None], lanes[group]]
        no_more = (taken[:, None] + more <= taken).all(axis=2)
        earlier = np.tri(len(group), k=-1, dtype=bool).T
        replaces = no_more & (~no_more.T | earlier)
        left += [group[i] for i in np.flatnonzero(~replaces.any(axis=0))]
    return sorted(left)
