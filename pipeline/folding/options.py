"""The ways in which a layer can be folded: its lanes, what computes its matrix, and the clock cycles that follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from pipeline.dataflow.layer import Layer
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import row_lengths, sparse_cycles, walk_of

__all__ = ["LANE_FIELDS", "STYLES", "Folding", "divisors", "foldings", "stored_in", "within"]

STYLES = ("folded", "unrolled", "sparse")

LANE_FIELDS = {
    "ConvolutionInputGenerator": "simd",
    "FMPadding": "simd",
    "Thresholding": "pe",
    "Pool": "pe",
    "AddStreams": "pe",
    "DuplicateStreams": "pe",
}


@dataclass(frozen=True)
class Folding:
    """One way to fold a layer: the fields it sets, and what follows from them.

    `style` is what computes the matrix of an MVAU, see `styles.py`; for what makes its windows it is "whole" where a
    ParallelWindow takes its place.
    """

    # pe, simd; digits of a layer that is unrolled; pe, simd, lanes of one that is sparse; ram_style unless it is auto
    fields: dict[str, int | str]
    input_lanes: int
    output_lanes: int
    cycles: int
    style: str = ""


def divisors(number: int) -> tuple[int, ...]:
    """All divisors, in rising order.

    >>> divisors(12)
    (1, 2, 3, 4, 6, 12)
    """
    return tuple(d for d in range(1, number + 1) if number % d == 0)


def foldings(
    layer: Layer, style: str = "folded", budget: int | None = None, walkers: int | None = None
) -> tuple[Folding, ...]:
    """The foldings of `layer`; `style` is what an MVAU becomes.

    If it is to be unrolled, these are the numbers of digits that differ in what a digit is; if sparse, for each number
    of lanes in and out the fewest walkers that take no more than `budget` cycles a frame, or all that there can be; or
    as many `walkers` as are given.
    """
    if isinstance(layer, MVAU):
        pixels = layer.pixels[0] * layer.pixels[1]
        if style == "unrolled":
            bits = layer.input_type.bits
            return tuple(
                Folding({"digits": digits}, layer.mw, layer.mh, pixels * digits, style)
                for digits in sorted({-(-bits // width) for width in range(1, bits + 1)})
            )
        if style == "sparse":
            return tuple(_sparse_foldings(layer, budget, walkers))
        return tuple(
            Folding({"pe": pe, "simd": simd}, simd, pe, pixels * (layer.mh // pe) * (layer.mw // simd), style)
            for pe, simd in product(divisors(layer.mh), divisors(layer.mw))
        )
    field = LANE_FIELDS.get(layer.op_type)
    if field is None:
        return (Folding({}, layer.inputs()[0].lanes, layer.outputs()[0].lanes, layer.cycles()),)
    found = []
    for lanes in divisors(min(layer.outputs()[0].shape[2], layer.inputs()[0].shape[2])):
        folded = replace(layer, **{field: lanes})
        found.append(Folding({field: lanes}, folded.inputs()[0].lanes, folded.outputs()[0].lanes, folded.cycles()))
    return tuple(found)


def stored_in(found: Iterable[Folding], ram_styles: Iterable[str]) -> tuple[Folding, ...]:
    """Each of `found` with the weights in each of `ram_styles`; what is unrolled has none to store."""
    kinds = tuple({} if kind == "auto" else {"ram_style": kind} for kind in ram_styles)
    return tuple(
        replace(folding, fields=folding.fields | kind)
        for folding in found
        for kind in (kinds if folding.style != "unrolled" else ({},))
    )


def within(found: Iterable[Folding], budget: int | None) -> tuple[Folding, ...]:
    """Those that take `budget` cycles a frame or less, else the fastest; without a budget the slowest."""
    found = tuple(found)
    if budget is None:
        limit = max(folding.cycles for folding in found)
        return tuple(folding for folding in found if folding.cycles == limit)
    limit = max(budget, min(folding.cycles for folding in found))
    return tuple(folding for folding in found if folding.cycles <= limit)


def _sparse_foldings(layer: MVAU, budget: int | None, walkers: int | None) -> Iterator[Folding]:
    pixels = layer.pixels[0] * layer.pixels[1]
    entries = int(row_lengths(layer.weights).sum())
    for lanes in divisors(layer.mh):
        shares = range(1, layer.mh // lanes + 1)
        if walkers is not None:
            shares = [walkers // lanes] if walkers % lanes == 0 and walkers <= layer.mh else []
        for simd in divisors(layer.mw):
            words, beats = layer.mw // simd, layer.mh // lanes
            for share in shares:
                if budget is not None and share < shares[-1]:
                    least = sparse_cycles(pixels, -(-entries // (lanes * share)), words, beats)  # walks of equal length
                    if least > budget:
                        continue
                steps = walk_of(layer, lanes * share, lanes)[1]
                cycles = sparse_cycles(pixels, steps, words, beats)
                if budget is None or cycles <= budget or share == shares[-1]:
                    yield Folding({"pe": lanes * share, "simd": simd, "lanes": lanes}, simd, lanes, cycles, "sparse")
                    break
