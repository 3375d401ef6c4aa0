from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.devices.resources import Resources
from pipeline.folding.selection import Choice, Link, Program

ESTIMATED = ("lut", "ff", "bram_18k", "uram", "dsp")


def drawn(seed: int, sizes: list[int], pairs: list[tuple[int, int]]):
    """Layers of random options, and what random streams between them cost."""
    rng = np.random.default_rng(seed)

    def estimate() -> Resources:
        return Resources(**dict(zip(ESTIMATED, map(float, rng.integers(0, 20, 5)), strict=True)))

    choices = [[Choice(*map(int, rng.integers(1, 4, 2)), estimate()) for _ in range(size)] for size in sizes]
    tables = {pair: {lanes: estimate() for lanes in product(range(1, 4), repeat=2)} for pair in pairs}
    links = [Link(*pair, lambda out, into, table=table: table[out, into]) for pair, table in tables.items()]

    def total(selection) -> Resources:
        chosen = [options[option] for options, option in zip(choices, selection, strict=True)]
        between = (table[chosen[i].output_lanes, chosen[j].input_lanes] for (i, j), table in tables.items())
        return sum(between, sum((choice.estimate for choice in chosen), Resources()))

    return choices, links, total


def price(taken: Resources) -> float:
    return taken.lut + taken.ff / 1000 + 20 * taken.uram + 10 * taken.dsp


def fits(taken: Resources, capacity: Resources) -> bool:
    return all(getattr(taken, name) <= getattr(capacity, name) for name in ESTIMATED)


@given(st.data())
@settings(max_examples=60)
def test_the_solution_is_the_cheapest_of_all_that_fit(data):
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    pairs = [(i, j) for i in range(len(sizes)) for j in range(i + 1, len(sizes))]
    streams = data.draw(st.lists(st.sampled_from(pairs), unique=True) if pairs else st.just([]))
    choices, links, total = drawn(data.draw(st.integers(0, 2**32 - 1)), sizes, streams)
    capacity = Resources(**{name: data.draw(st.integers(0, 80)) for name in ESTIMATED})
    allowed = [total(s) for s in product(*map(range, sizes)) if fits(total(s), capacity)]

    solution = Program(choices, links).solve(capacity)
    if not allowed:
        assert solution is None
        return
    assert price(total(solution.options)) == pytest.approx(min(map(price, allowed)))
    assert solution.total.lut == pytest.approx(total(solution.options).lut)


def of_two_kinds(choices):
    return [[c._replace(kind="ab"[option > 0]) for option, c in enumerate(options)] for options in choices]


@given(st.integers(0, 2**32 - 1))
def test_what_is_barred_is_not_taken(seed):
    choices, links, total = drawn(seed, [3, 3], [(0, 1)])
    program = Program(of_two_kinds(choices), links)
    solution = program.solve(without=[(0, "b")])
    assert solution.options[0] == 0
    assert price(total(solution.options)) == pytest.approx(min(price(total((0, option))) for option in range(3)))
    assert program.solve(without=[(0, "a"), (0, "b")]) is None


@given(st.integers(0, 2**32 - 1))
def test_kinds_that_go_together(seed):
    choices, links, total = drawn(seed, [3, 3], [(0, 1)])
    solution = Program(of_two_kinds(choices), links, [((0, ["a"]), (1, ["b"]))]).solve()
    allowed = [s for s in product(range(3), repeat=2) if (s[0] == 0) == (s[1] > 0)]
    assert price(total(solution.options)) == pytest.approx(min(price(total(s)) for s in allowed))


@given(st.integers(0, 2**32 - 1))
def test_lanes_that_cannot_meet_do_not(seed):
    choices, links, total = drawn(seed, [3, 3, 2], [(0, 1), (1, 2)])
    first, second = links
    same = Link(0, 1, lambda out, into: first.between(out, into) if out == into else None)
    solution = Program(choices, [same, second]).solve()
    every = product(range(3), range(3), range(2))
    allowed = [s for s in every if choices[0][s[0]].output_lanes == choices[1][s[1]].input_lanes]
    if not allowed:
        assert solution is None
        return
    assert price(total(solution.options)) == pytest.approx(min(price(total(s)) for s in allowed))


@given(st.integers(0, 2**32 - 1))
def test_what_is_fixed_stays_and_the_rest_is_the_cheapest_for_it(seed):
    choices, links, total = drawn(seed, [3, 3, 3], [(0, 1), (1, 2)])
    program = Program(of_two_kinds(choices), links)
    first = program.solve()
    solution = program.solve(without=[(0, "b")], fixed={1: first.options[1]})
    assert (solution.options[0], solution.options[1]) == (0, first.options[1])
    allowed = [s for s in product(range(3), repeat=3) if s[0] == 0 and s[1] == first.options[1]]
    assert price(total(solution.options)) == pytest.approx(min(price(total(s)) for s in allowed))
