"""The register stage of each adder of a graph, chosen for the fewest flip-flops.

A register follows every adder, or every few: at most `adders_per_stage` of them are on a way from register to register.
A value that a later stage reads passes a register for every stage between. The fewest flip-flops, at the fewest stages,
are a linear program whose constraints are all differences of two variables; its corners are integers (Leiserson and Saxe,
"Retiming synchronous circuitry", Algorithmica 6, 1991). The constraint on ways is theirs, too: a node is a stage behind
every node from which a way of one adder too many leads to it.
"""

from __future__ import annotations

import numpy as np

from pipeline.adder_graph.graph import ZERO, AdderGraph

__all__ = ["stage_count", "stages_of_fewest_registers"]


def stage_count(graph: AdderGraph, adders_per_stage: int = 1) -> int:
    """The register stages that a graph needs, with so many adders on its longest way between two; at least 1."""
    used = graph.results[graph.results[:, 0] != ZERO, 0]
    return max(1, -(-int(graph.levels()[used].max(initial=0)) // adders_per_stage))


def stages_of_fewest_registers(graph: AdderGraph, bits: np.ndarray, adders_per_stage: int = 1) -> np.ndarray:
    """The stage of each node of `graph`, from 0 to `stage_count` - 1: int64 of (nodes,); 0 for inputs.

    `bits` are those of each node's value. Nodes that no result depends on are not placed: they get stage 0.
    """
    from scipy.optimize import linprog  # here, as importing it takes long and every kernel is imported with a stage
    from scipy.sparse import csr_array

    stages, inputs, nodes = stage_count(graph, adders_per_stage), graph.inputs, graph.nodes
    used = graph.used()
    # variables: the stage of each node, then the last stage that reads its value; results are read in stage `stages`
    later: list[tuple[int, int, int]] = []  # the first is at least the second plus the third
    for node, (a, _, b, _, _) in enumerate(graph.adders.tolist(), inputs):
        if used[node]:
            for operand in (a, b):
                later.append((nodes + operand, node, 0))
                if operand >= inputs:
                    later.append((node, operand, int(adders_per_stage == 1)))
    later += [(node, before, 1) for node, before in _too_far(graph, adders_per_stage) if used[node]]
    lo, hi = np.zeros(2 * nodes), np.full(2 * nodes, float(stages))
    hi[:inputs] = 0
    hi[inputs:nodes] = stages - 1
    hi[:nodes][~used] = 0
    lo[nodes + graph.results[graph.results[:, 0] != ZERO, 0]] = stages
    if not later:
        return np.zeros(nodes, np.int64)
    first, second, gap = np.array(later).T
    rows = np.arange(len(later))
    entries = (np.repeat([-1.0, 1.0], len(later)), (np.tile(rows, 2), np.concatenate([first, second])))
    cost = np.where(used, bits, 0).astype(float)
    solved = linprog(
        np.concatenate([-cost, cost]),
        A_ub=csr_array(entries, shape=(len(later), 2 * nodes)),
        b_ub=-gap.astype(float),
        bounds=np.stack([lo, hi], axis=1),
        method="highs-ds",
    )
    assert solved.status == 0, solved.message
    placed = np.rint(solved.x).astype(np.int64)
    assert (placed[first] >= placed[second] + gap).all()
    scheduled: np.ndarray = placed[:nodes]
    return scheduled


def _too_far(graph: AdderGraph, adders_per_stage: int) -> list[tuple[int, int]]:
    """The adders, each with one before it, between which a way has `adders_per_stage` + 1 adders, both ends counted."""
    if adders_per_stage == 1:
        return []  # an adder and its operands
    inputs = graph.inputs
    before: list[list[set[int]]] = []  # of each adder the first adders of the ways to it, by their adders less one
    pairs: list[tuple[int, int]] = []
    for node, (a, _, b, _, _) in enumerate(graph.adders.tolist(), inputs):
        ways: list[set[int]] = [{node}]
        for length in range(adders_per_stage):
            of_operands = [before[operand - inputs] for operand in {a, b} if operand >= inputs]
            ways.append(set().union(*(ends[length] for ends in of_operands)))
        pairs += [(node, first) for first in ways.pop()]
        before.append(ways)
    return pairs
