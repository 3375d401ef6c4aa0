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
@given(matrices(), elements)
def test_a_register_follows_every_adder(weights: np.ndarray, element: IntType) -> None:
    graph = adder_graph_of(weights, element)
    module = AdderGraphModule(graph, element)
    for node, (a, _, b, _, _) in enumerate(graph.adders.tolist(), graph.inputs):
        assert module.stages[node] < module.latency
        assert all(operand < graph.inputs or module.stages[operand] < module.stages[node] for operand in (a, b))
    assert module.latency == max(1, int(graph.levels().max()))


@settings(max_examples=50, deadline=None)
@given(matrices(), elements, st.integers(2, 4))
def test_no_way_between_two_registers_has_more_adders_than_a_stage_may(
    weights: np.ndarray, element: IntType, adders_per_stage: int
) -> None:
    graph = adder_graph_of(weights, element)
    module = AdderGraphModule(graph, element, adders_per_stage)
    adders = [0] * graph.inputs  # on the longest way within its stage to each node
    for node, (a, _, b, _, _) in enumerate(graph.adders.tolist(), graph.inputs):
        assert all(module.stages[operand] <= module.stages[node] < module.latency for operand in (a, b))
        adders.append(1 + max(adders[x] * int(module.stages[x] == module.stages[node]) for x in (a, b)))
    assert max(adders) <= adders_per_stage
    assert module.latency == max(1, -(-int(graph.levels().max()) // adders_per_stage))
    assert module.register_bits <= AdderGraphModule(graph, element).register_bits


def test_an_adder_is_placed_where_it_takes_the_fewest_registers() -> None:
    """A sum of two bytes that is read in the last stage only: made first, it waits in 9 bits instead of two in 8; where
    both bytes are read in the last stage too, and so wait anyhow, it is made as late as possible."""
    chain = [[2, 0, 3, 0, 1], [6, 0, 4, 0, 1], [7, 0, 5, 0, 1]]  # nodes 6 to 8, one behind the other
    adders = [*chain, [0, 0, 1, 0, 1], [8, 0, 9, 0, 1]]
    first = AdderGraphModule(AdderGraph(6, np.array(adders), np.array([[10, 0, 1]])), IntType(0, 255))
    assert first.stages[6:].tolist() == [0, 1, 2, 0, 3]
    assert first.register_bits == (8 + 2 * 8) + (9 + 10 + 10) + 3 * 9 + 11
    adders += [[0, 0, 8, 0, 1], [1, 0, 8, 0, 1]]
    results = np.array([[10, 0, 1], [11, 0, 1], [12, 0, 1]])
    late = AdderGraphModule(AdderGraph(6, np.array(adders), results), IntType(0, 255))
    assert late.stages[6:].tolist() == [0, 1, 2, 2, 3, 3, 3]
    assert late.register_bits == 3 * (8 + 8) + (8 + 2 * 8) + (9 + 10 + 10) + 9 + 3 * 11


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
