"""The adder graph of a constant matrix, found by da4ml (Sun et al., arXiv 2507.04535) and proven equal to the matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from da4ml.cmvm import solve

from pipeline.adder_graph.graph import ZERO, AdderGraph, without_unused
from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError

__all__ = ["adder_graph_of"]

_INPUT, _ADD, _SUBTRACT = -1, 0, 1  # da4ml's codes of operations
_DELAY = 2  # adders that a way may be longer than the shortest one possible, in exchange for fewer of them


class _Term(NamedTuple):
    """sign · 2^shift · a node."""

    node: int
    shift: int
    sign: int


def adder_graph_of(weights: np.ndarray, element: IntType) -> AdderGraph:
    """A graph of few and narrow adders that multiplies vectors of `element` by int64 `weights` (MH, MW).

    The same matrix and type give the same graph. Raises VerificationError where what da4ml found is not the matrix.
    """
    rows, columns = np.flatnonzero(weights.any(axis=1)), np.flatnonzero(weights.any(axis=0))
    results = np.tile(np.array([ZERO, 0, 1], np.int64), (len(weights), 1))
    adders = np.empty((0, 5), np.int64)
    if len(rows):
        found = solve(
            np.ascontiguousarray(weights[np.ix_(rows, columns)].T, np.float32),
            hard_dc=_DELAY,
            qintervals=[(float(element.lo), float(max(element.hi, element.lo + 1)), 1.0)] * len(columns),
            adder_size=1,
            carry_size=-1,
        )
        adders, results[rows] = _flattened(found.solutions, columns, weights.shape[1])
    graph = without_unused(AdderGraph(weights.shape[1], adders, results))
    if not np.array_equal(graph.matrix(), weights):
        raise VerificationError(
            f"the adder graph that da4ml found for a matrix of shape {weights.shape} does not compute it."
        )
    return graph


def _flattened(stages: tuple, columns: np.ndarray, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """The adders and the results of da4ml's cascade, the first stage of which takes `columns` of the vector."""
    terms = [_Term(int(column), 0, 1) for column in columns]
    adders: list[tuple[int, int, int, int, int]] = []

    def sum_of(a: _Term, b: _Term) -> _Term:
        if a.sign < b.sign:
            a, b = b, a
        if a.sign == b.sign and a.shift > b.shift:
            a, b = b, a
        least = min(a.shift, b.shift)
        adders.append((a.node, a.shift - least, b.node, b.shift - least, a.sign * b.sign))
        return _Term(inputs + len(adders) - 1, least, a.sign)

    for stage in stages:
        values: list[_Term] = []
        for operation in stage.ops:
            if operation.opcode == _INPUT:
                source = operation.id0
                value = _shifted(terms[source], stage.inp_shifts[source])
            elif operation.opcode in (_ADD, _SUBTRACT):
                second = _shifted(values[operation.id1], operation.data)
                if operation.opcode == _SUBTRACT:
                    second = second._replace(sign=-second.sign)
                value = sum_of(values[operation.id0], second)
            else:
                raise VerificationError(f"da4ml made an operation {operation.opcode} that is no adder.")
            values.append(value)
        terms = []
        for source, shift, negated in zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True):
            term = _Term(ZERO, 0, 1) if source < 0 else _shifted(values[source], shift)
            terms.append(term._replace(sign=-term.sign) if negated else term)
    return np.array(adders, np.int64).reshape(-1, 5), np.array(terms, np.int64).reshape(-1, 3)


def _shifted(term: _Term, shift: int) -> _Term:
    return term._replace(shift=term.shift + int(shift))
