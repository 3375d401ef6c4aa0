"""The ways in which a layer can be folded: its lanes, what computes its matrix, and the clock cycles that follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.dataflow.layer import Folding, Layer
from pipeline.kernels.matrix_vector import MatrixVector

__all__ = ["foldings", "stored_in", "within"]


def foldings(
    layer: Layer, style: str = "folded", budget: int | None = None, walkers: int | None = None
) -> tuple[Folding, ...]:
    """The foldings of `layer`; `style` is what an MVAU becomes, with `budget` and `walkers` as in
    `MatrixVector.foldings_of`."""
    if not isinstance(layer, MatrixVector):
        return layer.foldings()
    kind, matrix = layer.in_style(style)
    return kind.foldings_of(matrix, budget, walkers)


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
