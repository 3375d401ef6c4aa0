"""Adder graphs: they multiply by their matrix, node by node in the bits that the intervals say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.adder_graph.graph import ZERO, AdderGraph, without_unused
from pipeline.adder_graph.module import AdderGraphModule
from pipeline.adder_graph.solver import adder_graph_of
from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError


@st.composite
def matrices(draw) -> np.ndarray:
    """Up to 6 × 6 integers of 1 (bipolar) to 8 bits, from all zero to dense."""
    rows, columns, bits = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 8))
    values = st.sampled_from([-1, 0, 1]) if bits == 1 else st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    weights = draw(st.lists(values, min_size=rows * columns, max_size=rows * columns))
    dropped = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    return np.where(dropped, 0, weights).reshape(rows, columns).astype(np.int64)


elements = st.builds(IntType.of_bits, st.integers(1, 8), signed=st.booleans()) | st.just(IntType(0, 0))


@settings(max_examples=150, deadline=None)
@given(matrices(), elements)
def test_a_graph_multiplies_by_its_matrix(weights: np.ndarray, element: IntType) -> None:
    graph = adder_graph_of(weights, element)
    np.testing.assert_array_equal(graph.matrix(), weights)
    values = list(np.random.default_rng(0).integers(element.lo, element.hi + 1, (weights.shape[1], 8)))
    vectors = np.stack(values)
    for a, p, b, q, sign in graph.adders.tolist():
        values.append((values[a] << p) + sign * (values[b] << q))
    sums = [sign * (values[node] << p) if node != ZERO else 0 * values[0] for node, p, sign in graph.results.tolist()]
    np.testing.assert_array_equal(sums, weights @ vectors)
    assert graph.used()[graph.inputs :].all()


@settings(max_examples=50, deadline=None)
@given(matrices(), elements)
def test_every_node_reaches_both_ends_of_its_interval(weights: np.ndarray, element: IntType) -> None:
    graph = adder_graph_of(weights, element)
    lo, hi = graph.ranges(element)
    for form, low, high in zip(graph.forms, lo, hi, strict=True):
        assert form @ np.where(form > 0, element.lo, element.hi) == low
        assert form @ np.where(form > 0, element.hi, element.lo) == high


@settings(max_examples=50, deadline=None)
@given(matrices(), elements, st.integers(1, 4))
def test_no_stage_has_more_levels_than_asked_for(weights: np.ndarray, element: IntType, levels: int) -> None:
    graph = adder_graph_of(weights, element)
    module = AdderGraphModule(graph, element, levels)
    depth = np.zeros(graph.nodes, np.int64)  # adders since the last register
    for node, (a, _, b, _, _) in enumerate(graph.adders.tolist(), graph.inputs):
        depth[node] = 1 + max(depth[o] if module.stages[o] == module.stages[node] else 0 for o in (a, b))
    assert depth.max() <= levels
    assert module.latency == max(1, -(-int(graph.levels().max()) // levels))


def test_the_same_matrix_gives_the_same_graph() -> None:
    weights = np.random.default_rng(0).integers(-8, 8, (12, 20))
    first, second = (adder_graph_of(weights, IntType(0, 15)) for _ in range(2))
    np.testing.assert_array_equal(first.adders, second.adders)
    np.testing.assert_array_equal(first.results, second.results)


def test_sums_that_rows_share_are_added_once() -> None:
    weights = np.array([[1, 1, 1, 0], [1, 1, 0, 1], [2, 2, 0, 0], [0, 0, 0, 0]])
    graph = adder_graph_of(weights, IntType(0, 15))
    assert len(graph.adders) == 3
    assert graph.results[3, 0] == ZERO


def test_what_no_result_needs_is_left_out() -> None:
    adders = np.array([[0, 0, 1, 0, 1], [0, 0, 1, 1, -1], [2, 0, 3, 0, 1]])
    graph = without_unused(AdderGraph(2, adders, np.array([[3, 2, -1]])))
    assert graph.adders.tolist() == [[0, 0, 1, 1, -1]]
    np.testing.assert_array_equal(graph.matrix(), [[-4, 8]])


def test_operands_come_before_their_sum() -> None:
    with pytest.raises(VerificationError, match="operand that is not before it"):
        AdderGraph(2, np.array([[0, 0, 2, 0, 1]]), np.array([[2, 0, 1]]))
