from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataflow.lane_matching import cheapest_selection, converter_cost


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_the_selection_is_the_cheapest_of_all(data):
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    costs = [rng.integers(0, 20, size) for size in sizes]
    pairs = [(i, j) for i in range(len(sizes)) for j in range(len(sizes)) if i != j]
    chosen = data.draw(st.lists(st.sampled_from(pairs), unique_by=frozenset) if pairs else st.just([]))
    tables = {(i, j): rng.integers(0, 20, (sizes[i], sizes[j])) for i, j in chosen}

    def cost(selection) -> int:
        alone = sum(costs[i][option] for i, option in enumerate(selection))
        return int(alone + sum(table[selection[i], selection[j]] for (i, j), table in tables.items()))

    assert cost(cheapest_selection(costs, tables)) == min(map(cost, product(*map(range, sizes))))


def test_converters():
    assert converter_cost(4, 4, 8) == 0
    assert 0 < converter_cost(2, 4, 8) == converter_cost(4, 2, 8) < converter_cost(4, 6, 8)
