"""The cheapest choice of one option for each layer, where neighbours of unlike width need a converter between them.

The cost of a selection is a sum of terms for single layers and for pairs of neighbours. Its exact minimum is found by
eliminating one layer after another (min-sum bucket elimination; Dechter, "Bucket elimination", Artificial Intelligence
113, 1999), the one with the fewest neighbours first: layer graphs are nearly chains, so the tables stay small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm

import numpy as np

__all__ = ["cheapest_selection", "converter_cost"]

_CONVERTER = 200  # what one converter is worth avoiding, besides its data registers, in bits


def converter_cost(written: int, read: int, bits: int) -> int:
    """The price, in register bits, of what stands between a stream written `written` lanes wide and read `read` lanes
    wide.

    Nothing for equal widths; one converter where one divides the other, else two, over their least common multiple.
    """
    if written == read:
        return 0
    wide = lcm(written, read)
    count = 1 if wide in (written, read) else 2
    return count * (_CONVERTER + 2 * wide * bits)


def cheapest_selection(
    costs: Sequence[np.ndarray], pair_costs: Mapping[tuple[int, int], np.ndarray]
) -> tuple[int, ...]:
    """The option of each layer with the least total cost.

    `costs[i]` is int64 (options of layer i,); `pair_costs[i, j]` is int64 (options of i, options of j).
    """
    factors = [((i,), cost) for i, cost in enumerate(costs)]
    for (i, j), table in pair_costs.items():
        factors.append(((i, j), table) if i < j else ((j, i), table.T))
    remaining = set(range(len(costs)))
    decisions = []
    while remaining:
        layer = min(remaining, key=lambda i: (_table_size(_scope(factors, i), costs), i))
        scope = _scope(factors, layer)
        total = sum(_spread(factor, scope) for factor in factors if layer in factor[0])
        axis = scope.index(layer)
        rest = scope[:axis] + scope[axis + 1 :]
        decisions.append((layer, rest, total.argmin(axis=axis)))
        factors = [factor for factor in factors if layer not in factor[0]] + [(rest, total.min(axis=axis))]
        remaining.remove(layer)
    selection = [0] * len(costs)
    for layer, rest, best in reversed(decisions):
        selection[layer] = int(best[tuple(selection[i] for i in rest)])
    return tuple(selection)


_Factor = tuple[tuple[int, ...], np.ndarray]


def _scope(factors: Sequence[_Factor], layer: int) -> tuple[int, ...]:
    """The layers that appear in a term together with `layer`, and itself, in order."""
    return tuple(sorted({i for scope, _ in factors if layer in scope for i in scope}))


def _table_size(scope: tuple[int, ...], costs: Sequence[np.ndarray]) -> int:
    size = 1
    for i in scope:
        size *= len(costs[i])
    return size


def _spread(factor: _Factor, scope: tuple[int, ...]) -> np.ndarray:
    """The table of `factor` with an axis for each layer of `scope`, of length 1 where it does not depend on it."""
    own, table = factor
    return table.reshape([table.shape[own.index(i)] if i in own else 1 for i in scope])
