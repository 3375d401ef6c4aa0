"""Choices among foldings of a layer: with the memories of its weights, and within a budget of clock cycles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.dataflow.layer import Folding

__all__ = ["stored_in", "within"]


def stored_in(options: Iterable[Folding], ram_styles: Iterable[str]) -> tuple[Folding, ...]:
    """Each of `options` with the weights in each of `ram_styles`; an unrolled one has none to store."""
    kinds: tuple[dict[str, int | str], ...] = tuple(
        {} if kind == "auto" else {"ram_style": kind} for kind in ram_styles
    )
    return tuple(
        replace(folding, fields=folding.fields | kind)
        for folding in options
        for kind in (kinds if folding.style != "unrolled" else ({},))
    )


def within(options: Iterable[Folding], budget: int | None) -> tuple[Folding, ...]:
    """The options that take `budget` cycles a frame or less, else the fastest; without a budget the slowest."""
    options = tuple(options)
    if budget is None:
        limit = max(folding.cycles for folding in options)
        return tuple(folding for folding in options if folding.cycles == limit)
    limit = max(budget, min(folding.cycles for folding in options))
    return tuple(folding for folding in options if folding.cycles <= limit)
