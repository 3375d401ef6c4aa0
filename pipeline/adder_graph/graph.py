"""A graph of adders that multiplies vectors by a constant integer matrix. Nothing but integers.

Nodes 0 … MW − 1 are the elements of the vector. Every further node is (a << p) + (b << q) or (a << p) − (b << q) of two
earlier ones. A result is a node, shifted and perhaps negated, or zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError

__all__ = ["ZERO", "AdderGraph", "without_unused"]

ZERO = -1  # the node of a result that is always zero


@dataclass(frozen=True, eq=False)
class AdderGraph:
    """`inputs` elements, adders and results, as int64 arrays.

    `adders` is (A, 5): a, p, b, q, sign, the node MW + i being (a << p) + sign · (b << q). `results` is (MH, 3): node or
    ZERO, shift, sign. Raises VerificationError for a graph whose operands come after it.
    """

    inputs: int
    adders: np.ndarray
    results: np.ndarray

    def __post_init__(self) -> None:
        earlier = self.inputs + np.arange(len(self.adders))
        operands = self.adders[:, [0, 2]]
        if (operands < 0).any() or (operands >= earlier[:, None]).any() or self.results[:, 0].max() >= self.nodes:
            raise VerificationError("an adder graph has an operand that is not before it.")

    @property
    def nodes(self) -> int:
        return self.inputs + len(self.adders)

    @cached_property
    def forms(self) -> np.ndarray:
        """Each node as a linear form of the elements: int64 of (nodes, inputs)."""
        forms = np.zeros((self.nodes, self.inputs), np.int64)
        np.fill_diagonal(forms, 1)
        for node, (a, p, b, q, sign) in enumerate(self.adders.tolist(), self.inputs):
            forms[node] = (forms[a] << p) + sign * (forms[b] << q)
        return forms

    def matrix(self) -> np.ndarray:
        """The matrix that the graph multiplies vectors by: int64 of (MH, MW)."""
        node, shift, sign = self.results.T
        rows = sign[:, None] * (self.forms[node] << shift[:, None])
        return np.where(node[:, None] == ZERO, 0, rows)

    def ranges(self, element: IntType) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest value of each node, exact, where every element is any value of `element`."""
        at_lo, at_hi = self.forms * element.lo, self.forms * element.hi
        return np.minimum(at_lo, at_hi).sum(axis=1), np.maximum(at_lo, at_hi).sum(axis=1)

    def levels(self) -> np.ndarray:
        """Adders on the longest way from an element to each node."""
        levels = [0] * self.inputs
        for a, _, b, _, _ in self.adders.tolist():
            levels.append(max(levels[a], levels[b]) + 1)
        return np.array(levels, np.int64)

    def used(self) -> np.ndarray:
        """Whether a result depends on each node."""
        used = np.zeros(self.nodes, bool)
        used[self.results[self.results[:, 0] != ZERO, 0]] = True
        for node in range(self.nodes - 1, self.inputs - 1, -1):
            if used[node]:
                used[self.adders[node - self.inputs, [0, 2]]] = True
        return used


def without_unused(graph: AdderGraph) -> AdderGraph:
    """`graph` without adders that no result depends on."""
    keep = graph.used()
    keep[: graph.inputs] = True
    number = np.cumsum(keep) - 1
    adders = graph.adders[keep[graph.inputs :]].copy()
    adders[:, 0], adders[:, 2] = number[adders[:, 0]], number[adders[:, 2]]
    results = graph.results.copy()
    some = results[:, 0] != ZERO
    results[some, 0] = number[results[some, 0]]
    return AdderGraph(graph.inputs, adders, results)
