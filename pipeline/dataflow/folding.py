"""How many lanes each layer gets: as few as the budget of clock cycles a frame allows, and alike among neighbours.

An MVAU takes the cheapest folding that meets the budget, which is the least PE · SIMD, its multipliers. Among foldings
of that price, and for all lanes of the other layers, those are taken that leave the fewest and smallest width
converters.

Layers other than MVAUs take at most half the cycles of the slowest MVAU, where they can, and else as few as they can:
they wait in bursts, for the first rows of a frame above all, and must catch up. They cost little; the MVAU must never
wait for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from pipeline.dataflow.folding_config import FoldingConfig
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.lane_matching import cheapest_selection, converter_cost
from pipeline.errors import ConfigError
from pipeline.kernels.base import Kernel
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import deal, longest_walk, row_lengths, sparse_cycles
from pipeline.kernels.thresholding import Thresholding, search_stages

__all__ = ["Folding", "choose_foldings", "divisors", "foldings"]

_LANE_FIELDS = {
    "ConvolutionInputGenerator": "simd",
    "FMPadding": "simd",
    "Thresholding": "pe",
    "Pool": "pe",
    "AddStreams": "pe",
    "DuplicateStreams": "pe",
}


@dataclass(frozen=True)
class Folding:
    """One way to fold a layer: the fields it sets, and what follows from them."""

    fields: dict[str, int]  # pe, simd; digits of a layer that is unrolled; pe, simd, lanes of one that is sparse
    input_lanes: int
    output_lanes: int
    cycles: int

    @property
    def price(self) -> int:
        """What grows with the cost: the multipliers, PE · SIMD or the walkers, or how few digits there are."""
        if "digits" in self.fields:
            return -self.fields["digits"]
        return self.fields.get("pe", 1) * (1 if "lanes" in self.fields else self.fields.get("simd", 1))


def divisors(number: int) -> tuple[int, ...]:
    """All divisors, in rising order.

    >>> divisors(12)
    (1, 2, 3, 4, 6, 12)
    """
    return tuple(d for d in range(1, number + 1) if number % d == 0)


def foldings(layer: Kernel, style: str = "folded") -> tuple[Folding, ...]:
    """Every folding of `layer`. `style` is what an MVAU becomes, see `pipeline/dataflow/styles.py`.

    If it is to be unrolled, these are the numbers of digits that differ in what a digit is; if sparse, for each number
    of output lanes those numbers of walkers with which a walk is as short as no fewer could make it.
    """
    if isinstance(layer, MVAU):
        pixels = layer.pixels[0] * layer.pixels[1]
        if style == "unrolled":
            bits = layer.input_type.bits
            return tuple(
                Folding({"digits": digits}, layer.mw, layer.mh, pixels * digits)
                for digits in sorted({-(-bits // width) for width in range(1, bits + 1)})
            )
        if style == "sparse":
            return tuple(_sparse_foldings(layer))
        return tuple(
            Folding({"pe": pe, "simd": simd}, simd, pe, pixels * (layer.mh // pe) * (layer.mw // simd))
            for pe, simd in product(divisors(layer.mh), divisors(layer.mw))
        )
    field = _LANE_FIELDS.get(layer.op_type)
    if field is None:
        return (Folding({}, layer.input_lanes()[0], layer.output_lanes()[0], layer.cycles()),)
    found = []
    for lanes in divisors(_channels(layer)):
        folded = replace(layer, **{field: lanes})
        found.append(Folding({field: lanes}, folded.input_lanes()[0], folded.output_lanes()[0], folded.cycles()))
    return tuple(found)


def _sparse_foldings(layer: MVAU) -> Iterator[Folding]:
    pixels = layer.pixels[0] * layer.pixels[1]
    lengths = row_lengths(layer.weights)
    for lanes in divisors(layer.mh):
        shortest = None
        for share in range(1, layer.mh // lanes + 1):
            steps = longest_walk(lengths, deal(lengths, lanes * share, lanes))
            if shortest is not None and steps >= shortest:
                continue
            shortest = steps
            for simd in divisors(layer.mw):
                cycles = sparse_cycles(pixels, steps, layer.mw // simd, layer.mh // lanes)
                yield Folding({"pe": lanes * share, "simd": simd, "lanes": lanes}, simd, lanes, cycles)


def choose_foldings(
    graph: LayerGraph, budget: int | None, config: FoldingConfig | None = None, styles: Mapping[str, str] | None = None
) -> tuple[Folding, ...]:
    """The folding of each layer of `graph`, in its order. `styles` is what MVAUs become, by name: folded by default.

    `budget` is the most clock cycles a frame may take. Without it every MVAU that `config` does not fold has PE = SIMD
    = 1, as in FINN. What `config` asks for is done, within the budget or not. Raises ConfigError if `config` asks for a
    folding that does not divide, or if the budget is out of reach.
    """
    options = [_configured(layer, config, (styles or {}).get(layer.name, "folded")) for layer in graph]
    free = [config is None or not _wanted_lanes(layer, config) for layer in graph]
    if budget is not None:
        _check_reach(graph, options, free, budget)
    domains: list[tuple[Folding, ...]] = []
    for layer, found in zip(graph, options, strict=True):
        if isinstance(layer, MVAU):
            found = _cheapest(found, budget)
        domains.append(found)
    pace = max(
        (
            min(folding.cycles for folding in domain)
            for layer, domain in zip(graph, domains, strict=True)
            if isinstance(layer, MVAU)
        ),
        default=budget,
    )
    for i, layer in enumerate(graph):
        if not isinstance(layer, MVAU) and pace is not None:
            limit = max(pace // 2, min(folding.cycles for folding in domains[i]))
            domains[i] = tuple(folding for folding in domains[i] if folding.cycles <= limit)
    chosen = cheapest_selection(
        [
            np.array([_cost(layer, folding) for folding in domain], np.int64)
            for layer, domain in zip(graph, domains, strict=True)
        ],
        _pair_costs(graph, domains),
    )
    return tuple(domain[choice] for domain, choice in zip(domains, chosen, strict=True))


def _channels(layer: Kernel) -> int:
    """What the lanes of a layer other than an MVAU must divide: the channels of its output, or of its input if
    fewer."""
    return min(layer.output_shapes()[0][2], layer.input_shapes()[0][2])


def _wanted_lanes(layer: Kernel, config: FoldingConfig) -> dict[str, int]:
    return {name.lower(): value for name, value in config.wanted(layer).items() if name in ("PE", "SIMD")}


def _configured(layer: Kernel, config: FoldingConfig | None, style: str) -> tuple[Folding, ...]:
    """The foldings of `layer` that `config` allows; it has no say about an MVAU that is not folded."""
    found = foldings(layer, style)
    if config is None or style != "folded":
        return found
    for field, value in _wanted_lanes(layer, config).items():
        allowed = sorted({folding.fields[field] for folding in found})
        if value not in allowed:
            size = allowed[-1]
            what = {"pe": "rows (MH)", "simd": "columns (MW)"}[field] if isinstance(layer, MVAU) else "channels"
            of = f" ({layer.source})" if layer.source else ""
            raise ConfigError(
                f"The folding file {config.path} has {config.key_of(layer)}: {field.upper()} = {value}, which does not "
                f"divide the {size} {what} of layer {layer.name}{of}. Choose one of {', '.join(map(str, allowed))}."
            )
        found = tuple(folding for folding in found if folding.fields[field] == value)
    return found


def _check_reach(graph: LayerGraph, options: Sequence[tuple[Folding, ...]], free: Sequence[bool], budget: int) -> None:
    """Raise ConfigError if a layer that the configuration leaves free cannot meet the budget with all its
    parallelism."""
    fastest = [
        (min(folding.cycles for folding in found), layer)
        for layer, found, is_free in zip(graph, options, free, strict=True)
        if is_free
    ]
    cycles, layer = max(fastest, key=lambda pair: pair[0], default=(0, None))
    if layer is not None and cycles > budget:
        of = f" ({layer.source})" if layer.source else ""
        raise ConfigError(
            f"A frame every {budget} cycles cannot be reached: layer {layer.name}{of} takes {cycles} cycles even when it "
            f"is fully parallel. Lower target_fps to {budget / cycles:.4g} of what it is, or less, or shorten "
            "synth_clk_period_ns by that factor."
        )


def _cheapest(found: tuple[Folding, ...], budget: int | None) -> tuple[Folding, ...]:
    """The foldings with the fewest multipliers among those that meet the budget, or else among the fastest."""
    fastest = min(folding.cycles for folding in found)
    within = [folding for folding in found if budget is None or folding.cycles <= max(budget, fastest)]
    least = min(folding.price for folding in within)
    return tuple(folding for folding in within if folding.price == least)


def _cost(layer: Kernel, folding: Folding) -> int:
    """Register bits that grow with a layer's lanes, to weigh against converters. Each PE has an accumulator."""
    inputs = folding.input_lanes * sum(type_.bits for type_ in layer.input_types())
    if isinstance(layer, MVAU):
        return inputs + folding.output_lanes * max(layer.accumulator_bits or layer.exact_accumulator_bits())
    if isinstance(layer, Thresholding):
        return inputs * (1 + search_stages(layer.thresholds.shape[1]))
    return inputs + folding.output_lanes * sum(type_.bits for type_ in layer.output_types())


def _pair_costs(graph: LayerGraph, domains: Sequence[tuple[Folding, ...]]) -> Mapping[tuple[int, int], np.ndarray]:
    position = {layer.name: i for i, layer in enumerate(graph)}
    costs: dict[tuple[int, int], np.ndarray] = {}
    for stream in graph.streams.values():
        if not stream.producer or not stream.consumer:
            continue
        pair = position[stream.producer], position[stream.consumer]
        table = np.array(
            [
                [converter_cost(w.output_lanes, r.input_lanes, stream.type.bits) for r in domains[pair[1]]]
                for w in domains[pair[0]]
            ],
            np.int64,
        )
        costs[pair] = costs[pair] + table if pair in costs else table
    return costs
