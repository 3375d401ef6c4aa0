"""The adder graph of a constant matrix, found by da4ml (Sun et al., arXiv 2507.04535) and proven equal to the matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from pipeline.adder_graph.graph import ZERO, AdderGraph, without_unused
from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError

__all__ = ["MORE_LEVELS", "adder_graph_of"]

_INPUT, _ADD, _SUBTRACT = -1, 0, 1  # da4ml's codes of operations
_BLOCK = 4000  # weights that are not zero in a block of columns
MORE_LEVELS = 2  # adders that a way may be longer than the shortest one possible, in exchange for fewer of them


class _Term(NamedTuple):
    """sign · 2^shift · a node."""

    node: int
    shift: int
    sign: int

    def __neg__(self) -> _Term:
        return self._replace(sign=-self.sign)

    def shifted(self, by: int) -> _Term:
        return self._replace(shift=self.shift + int(by))


_NOTHING = _Term(ZERO, 0, 1)


def adder_graph_of(weights: np.ndarray, element: IntType, more_levels: int = MORE_LEVELS) -> AdderGraph:
    """A graph of few and narrow adders that multiplies vectors of `element` by int64 `weights` (MH, MW).

    A way through it may be up to `more_levels` adders longer than the shortest one possible. The same matrix and type
    give the same graph. The time that da4ml takes grows with the square of the weights that are not zero, and more; so
    wide matrices are cut into blocks of columns, of which the sums are then added. Raises VerificationError where what
    was found is not the matrix.
    """
    from da4ml.cmvm import solve  # here, as importing it takes long and every kernel is imported with a stage

    builder = _Builder(weights.shape[1])
    parts: list[list[_Term]] = [[] for _ in weights]  # of each row's sum
    for columns in _blocks(weights):
        block = weights[:, columns]
        rows = np.flatnonzero(block.any(axis=1))
        result = solve(
            np.ascontiguousarray(block[rows].T, np.float32),
            hard_dc=more_levels,
            qintervals=[(float(element.lo), float(max(element.hi, element.lo + 1)), 1.0)] * len(columns),
            adder_size=1,
            carry_size=-1,
        )
        for row, term in zip(rows, builder.cascade(result.solutions, columns), strict=True):
            parts[row].append(term)
    results = np.array([builder.total(terms) for terms in parts], np.int64).reshape(-1, 3)
    graph = without_unused(AdderGraph(weights.shape[1], np.array(builder.adders, np.int64).reshape(-1, 5), results))
    if not np.array_equal(graph.matrix(), weights):
        raise VerificationError(
            f"the adder graph that da4ml found for a matrix of shape {weights.shape} does not compute it."
        )
    return graph


def _blocks(weights: np.ndarray) -> list[np.ndarray]:
    """The columns that are not all zero, cut into runs of about as many weights that are not zero."""
    columns = np.flatnonzero(weights.any(axis=0))
    if not len(columns):
        return []
    before = np.cumsum(np.count_nonzero(weights[:, columns], axis=0))
    count = min(-(-int(before[-1]) // _BLOCK), len(columns))
    ends = np.searchsorted(before, before[-1] * np.arange(1, count) // count)
    return [block for block in np.split(columns, ends) if len(block)]


class _Builder:
    """Adders, one after the other, over `inputs` elements."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.adders: list[tuple[int, int, int, int, int]] = []
        self.levels = [0] * inputs

    def sum_of(self, a: _Term, b: _Term) -> _Term:
        if a.sign < b.sign:
            a, b = b, a
        if a.sign == b.sign and a.shift > b.shift:
            a, b = b, a
        least = min(a.shift, b.shift)
        self.adders.append((a.node, a.shift - least, b.node, b.shift - least, a.sign * b.sign))
        self.levels.append(max(self.levels[a.node], self.levels[b.node]) + 1)
        return _Term(self.inputs + len(self.adders) - 1, least, a.sign)

    def total(self, terms: list[_Term]) -> _Term:
        """The sum of `terms`, those first that are there first."""
        if not terms:
            return _NOTHING
        waiting = list(terms)
        while len(waiting) > 1:
            waiting.sort(key=lambda term: self.levels[term.node], reverse=True)
            waiting.append(self.sum_of(waiting.pop(), waiting.pop()))
        return waiting[0]

    def cascade(self, stages: Iterable[Any], columns: np.ndarray) -> list[_Term]:
        """The results of da4ml's cascade of `stages`, the first of which takes `columns` of the vector."""
        terms = [_Term(int(column), 0, 1) for column in columns]
        for stage in stages:
            values: list[_Term] = []
            for operation in stage.ops:
                if operation.opcode == _INPUT:
                    source = operation.id0
                    value = terms[source].shifted(stage.inp_shifts[source])
                elif operation.opcode in (_ADD, _SUBTRACT):
                    second = values[operation.id1].shifted(operation.data)
                    value = self.sum_of(values[operation.id0], -second if operation.opcode == _SUBTRACT else second)
                else:
                    raise VerificationError(f"da4ml made an operation {operation.opcode} that is no adder.")
                values.append(value)
            terms = []
            for source, shift, negated in zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True):
                term = _NOTHING if source < 0 else values[source].shifted(shift)
                terms.append(-term if negated else term)
        return terms
