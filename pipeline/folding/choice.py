"""How every layer is folded, and what computes the matrices: with as few LUTs and DSPs as the budget of clock cycles allows.

What each folding takes is estimated (`estimate.py`); what stands between layers of unlike lanes counts, too. The MVAUs
set the rate. Other layers take at most half the cycles of the slowest MVAU, where they can: they wait in bursts, for the
first rows of a frame above all, and must catch up. They cost little; the MVAU must never wait for them. Several pixels
side by side are looked at only where a pixel a cycle is too slow, or one in the time of a sparse MVAU's longest row, or where
they spare many DSPs: see `pixels.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from math import isqrt

from pipeline.dataflow.graph import Connection, LayerGraph
from pipeline.dataflow.layer import Folding, Layer
from pipeline.dataflow.types import IntType
from pipeline.devices.resources import Resources
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.folding.estimate import ResourceModel
from pipeline.folding.folding_config import FoldingConfig
from pipeline.folding.options import stored_in, within
from pipeline.folding.pixels import asked_pixels, pairs_in_dsps, pixels_of_rows, pixels_within, with_pixels
from pipeline.folding.selection import GAP, Choice, Link, Program
from pipeline.folding.stitching import Beat, conversions
from pipeline.folding.styles import (
    MADE_WHOLE,
    column_makers,
    column_window,
    needs_whole_windows,
    takes_columns,
    whole_window,
    window_makers,
)
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.dsp_mvau import TAP_PIXELS, DspMVAU
from pipeline.kernels.matrix_vector import STYLES, MatrixVector
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.vvau import VVAU

__all__ = ["FoldingProblem", "Foldings", "fastest", "slowest"]

_NOTHING = Resources()
_WITH_WHOLE_WINDOWS, _WITH_COLUMNS = ", with whole windows", ", with columns of windows"
_SOLVERS = 2  # at once: each has its own copy of the program
_UNSURE = 0.03  # of a layer's LUTs: by less than that, estimates do not tell a requantizer from a search
_GAP_OF_MEMORIES = 0.02  # from the fewest LUTs where memories are to be chosen; estimates are not that good


@dataclass(frozen=True)
class Foldings:
    """The folding of each layer, in the order of the graph, and what they and all between them take, estimated."""

    layers: tuple[Folding, ...]
    total: Resources


class FoldingProblem:
    """The foldings of the layers of `graph` that meet `budget`, in the `styles` that its MVAUs may have, by name, and
    with their weights in one of the `memories`, by name; without them in what synthesis finds cheapest ("auto").
    `alternatives` are, by name, layers that may take the place of one of the graph, by their kind: see `activations.py`.
    What no DSP of `family` holds is not computed in one, if there is another style.

    `budget` is the most clock cycles a frame may take. Without it every MVAU that `config` does not fold has PE = SIMD
    = 1, as in FINN. What `config` asks for is done, within the budget or not; it has no say about what is not folded.
    Raises ConfigError if `config` asks for a folding that does not divide, or if the budget is out of reach, and
    UnsupportedError for a layer that must be unrolled, or in DSPs, and cannot.
    """

    def __init__(
        self,
        graph: LayerGraph,
        budget: int | None,
        config: FoldingConfig | None = None,
        styles: Mapping[str, Collection[str]] | None = None,
        *,
        memories: Mapping[str, Collection[str]] | None = None,
        alternatives: Mapping[str, Mapping[str, Layer]] | None = None,
        family: str = "xcup",
    ) -> None:
        self.graph = graph
        self._alternatives = alternatives or {}
        self.budget = budget
        self.model = ResourceModel.load(family)
        self._index = {layer.name: i for i, layer in enumerate(graph)}
        self._windows: dict[str, ParallelWindow] = {}  # what a generator may become, by its name
        self._columns: dict[str, ParallelWindow] = {}  # and before what takes columns of windows
        self._column_makers: dict[str, Layer] = {}  # or, with the padding, of several layers
        self._gone: dict[str, set[int]] = {}  # paddings that may be part of one, and the pixels a beat of columns
        self._family = family
        styles = {layer.name: layer.styles[:1] for layer in graph if layer.styles} | dict(styles or {})
        every = self._every_folding(config, styles)
        free = [config is None or not _settled(layer, styles.get(layer.name, ("",)), config) for layer in graph]
        self.reach = _reach(graph, every, free)
        if budget is not None:
            _check_reach(*self.reach, budget)
        self.domains = tuple(
            self._activated(layer, stored_in(self._held(layer, options), (memories or {}).get(layer.name, ("auto",))))
            for layer, options in zip(graph, self._in_budget(every), strict=True)
        )
        several = any(len(kinds) > 1 for kinds in (memories or {}).values())
        self._gap = _GAP_OF_MEMORIES if several else GAP
        self._program = Program(
            [
                [
                    Choice(
                        (f.input_lanes, f.input_pixels),
                        (f.output_lanes, f.output_pixels),
                        self.estimate(layer, f),
                        _kind(layer, f),
                        str(f.fields.get("ram_style", "")),
                    )
                    for f in domain
                ]
                for layer, domain in zip(graph, self.domains, strict=True)
            ],
            self._links(),
            self._together(),
        )

    def fits(self, capacity: Resources) -> bool:
        """Whether there are foldings that take no more than `capacity`."""
        return self._program.solve(capacity, cheapest=False) is not None

    def solve(self, capacity: Resources | None = None, least: str = "") -> Foldings | None:
        """The cheapest foldings, or those with the `least` of one resource, a field of `Resources`; None if all take more
        than `capacity`."""
        solution = self._program.solve(capacity, least=least, gap=self._gap)
        if solution is None:
            return None
        chosen = tuple(domain[option] for domain, option in zip(self.domains, solution.options, strict=True))
        return Foldings(chosen, solution.total)

    def estimate(self, layer: Layer, folding: Folding) -> Resources:
        """What `layer` takes in this folding."""
        layer = self.activated(layer, folding)
        if folding.style == "whole":
            return self.model.layer(self._window(layer, folding)) if layer.name in self._windows else _NOTHING
        if folding.style == "whole columns":
            return self.model.layer(self._columns[layer.name])
        if folding.style == "columns":
            return self.model.layer(self._column_makers[layer.name].folded(folding.fields))
        return _layer(self.model, layer, folding.style, tuple(folding.fields.items()))

    def _window(self, generator: Layer, folding: Folding) -> ParallelWindow:
        """What takes the place of a generator in this folding."""
        return replace(self._windows[generator.name], m=int(folding.fields.get("m", 1)))

    def activated(self, layer: Layer, folding: Folding) -> Layer:
        """What takes the place of `layer` in this folding, or itself."""
        return self._alternatives[layer.name][folding.alternative] if folding.alternative else layer

    # -- what is possible -------------------------------------------------------------------------------------------

    def _every_folding(
        self, config: FoldingConfig | None, styles: Mapping[str, Collection[str]]
    ) -> list[tuple[Folding, ...]]:
        """The foldings of each layer, whole windows included, within the budget or not."""
        result: dict[str, tuple[Folding, ...]] = {}
        least = pixels_within(self.graph, self.budget)
        asked = asked_pixels(self.graph, config) if config else dict.fromkeys(least, 0)
        by_style = {
            SparseMVAU.style: pixels_of_rows(self.graph, _open(styles, SparseMVAU.style, asked), self.budget),
            DspMVAU.style: pairs_in_dsps(self.graph, _open(styles, DspMVAU.style, asked), self.budget),
        }

        def counts(layer: str, style: str = "") -> list[int]:
            """What `layer` may have in `style`, or what any style of its neighbours may want of it."""
            if m := asked[layer]:
                return [m]
            more = {pixels.get(layer, 1) for name, pixels in by_style.items() if style in ("", name)}
            return sorted({1, least[layer]} | more)

        for layer in self.graph:
            side_by_side = [with_pixels(layer, m) for m in counts(layer.name) if not layer.styles]
            possible = tuple(folding for several in side_by_side if several for folding in several.foldings())
            options = _configured(layer, possible, config) if possible else ()
            for style in styles.get(layer.name, ()):
                if style == "unrolled" and not self._has_whole_windows(layer, must="folded" not in styles[layer.name]):
                    continue
                wanted = config.lanes(layer, style) if config else {}
                possible = tuple(
                    folding
                    for m in counts(layer.name, style)
                    for folding in layer.foldings_in(style, self.budget, wanted.get("pe"), m)
                    if m == 1 or self._has_whole_windows(layer, must=False)
                )
                if not possible and len(styles[layer.name]) > 1:
                    continue
                if not possible and asked[layer.name] <= 1:
                    layer.styled(style, {})  # which raises UnsupportedError, with the reason
                possible = self._with_whole_windows(layer, style, possible)
                if style == DspMVAU.style:
                    possible += self._with_taps(layer, asked)
                if isinstance(layer, VVAU) and style == "folded" and not self._has_whole_windows(layer, must=False):
                    possible = tuple(folding for folding in possible if not needs_whole_windows(layer, folding))
                options += _configured(layer, possible, config, style)
            result[layer.name] = options
        for name, window in self._windows.items():
            result[name] += tuple(_whole(several) for m in counts(name) if (several := with_pixels(window, m)))
        for name, columns in self._columns.items():
            result[name] += (replace(_whole(columns), style="whole columns"),)
        for name, maker in self._column_makers.items():
            possible = tuple(replace(folding, style="columns") for folding in maker.foldings())
            result[name] += _configured(self.graph.layer(name), possible, config)
        for name, more in self._gone.items():
            channels = self.graph.layer(name).inputs()[0].shape[2]
            result[name] += tuple(
                Folding(
                    {"m": m} if m > 1 else {}, m * channels, m * channels, 0, "whole", input_pixels=m, output_pixels=m
                )
                for m in sorted({*counts(name), *more})
            )
        for layer in sorted(self.graph, key=lambda layer: config is None or config.pixels(layer) is None):
            if config and asked[layer.name] and not result[layer.name]:
                of = f" ({layer.source})" if layer.source else ""
                style = f" as {' or '.join(styles[layer.name])}" if layer.styles else ""
                raise ConfigError(
                    f"The folding file {config.path} has {config.key_of(layer)}: M = {asked[layer.name]}, which layer "
                    f"{layer.name}{of} cannot have{style}: M must divide its rows of pixels, and windows of several be "
                    "wanted whole. Choose another M, or leave it out."
                )
        for layer in self.graph:
            if {self.graph.input, self.graph.output} & {*layer.input_names, *layer.output_names}:
                result[layer.name] = tuple(f for f in result[layer.name] if self._suits_host(layer, f))
        for stream in self.graph.streams.values():
            if _same_lanes(self.graph, stream):
                _check_same_lanes(self.graph, stream, result, config)
        return list(result.values())

    def _with_whole_windows(self, layer: Layer, style: str, options: tuple[Folding, ...]) -> tuple[Folding, ...]:
        """`options`, of which those have whole windows that are faster than a pixel of a window a cycle, if that is too
        slow for the budget."""
        makers = window_makers(self.graph, layer)
        if self.budget is None or makers is None or style == "unrolled" or isinstance(layer, VVAU):
            return options
        (rows, columns), (height, width) = makers[0].output_pixels, makers[0].kernel
        cycles = rows * columns * height * width
        if cycles <= self.budget or not self._has_whole_windows(layer, must=False):
            return options
        return tuple(replace(folding, whole_windows=folding.cycles < cycles) for folding in options)

    def _with_taps(self, layer: Layer, asked: Mapping[str, int]) -> tuple[Folding, ...]:
        """The foldings of `layer` in which a DSP holds several columns of its kernel, where the pixels `asked` of it and of what
        makes its windows leave them; what makes the windows is noted."""
        makers = window_makers(self.graph, layer)
        if (
            makers is None
            or not isinstance(layer, MatrixVector)
            or {asked[layer.name], asked[makers[0].name]} - {0, TAP_PIXELS}
        ):
            return ()
        generator, padding = makers
        try:
            window = column_window(generator, padding, TAP_PIXELS)
            columns, rows = column_makers(generator, padding, TAP_PIXELS)
        except (ConfigError, UnsupportedError):
            return ()
        _, left, _, right = padding.pads if padding else (0, 0, 0, 0)
        height, width = generator.kernel
        foldings = DspMVAU.foldings_of_taps(layer, width, height, (left, right), self._family)
        if foldings:
            self._columns[generator.name] = window
            self._column_makers[generator.name] = columns
            if padding and rows:
                self._column_makers[padding.name] = rows
                self._gone.setdefault(padding.name, set()).add(TAP_PIXELS)
        return foldings

    def _suits_host(self, layer: Layer, folding: Folding) -> bool:
        """Whether what the network takes and gives is packed as it lies in a frame: several pixels a beat are whole."""
        ends = (
            [(folding.output_lanes, folding.output_pixels, layer.outputs()[0])]
            if self.graph.output in layer.output_names
            else []
        )
        if self.graph.input in layer.input_names:
            ends.append((folding.input_lanes, folding.input_pixels, layer.inputs()[0]))
        return all(replace(stream, lanes=lanes, pixels=pixels).whole_pixels for lanes, pixels, stream in ends)

    def _in_budget(self, every: Sequence[tuple[Folding, ...]]) -> tuple[tuple[Folding, ...], ...]:
        options = [
            within(options, self.budget) if layer.sets_rate else options
            for layer, options in zip(self.graph, every, strict=True)
        ]
        cycles = [
            folding.cycles
            for layer, layer_options in zip(self.graph, options, strict=True)
            if layer.sets_rate
            for folding in layer_options
        ]
        interval = max(cycles, default=self.budget)
        # a generator that goes in step with its reader need not be faster than that
        in_step = None if self.budget is None else 2 * self.budget
        intervals = (in_step if _is_depthwise(layer) else interval for layer in self.graph)
        return tuple(
            layer_options if layer.sets_rate or limit is None else _in_time(layer_options, limit, self.budget)
            for layer, layer_options, limit in zip(self.graph, options, intervals, strict=True)
        )

    def _held(self, layer: Layer, options: tuple[Folding, ...]) -> tuple[Folding, ...]:
        """`options` without those in DSPs that do not hold the layer's numbers. Raises UnsupportedError if there are no
        others."""
        held, refusal = [], None
        for folding in options:
            try:
                if folding.style == "dsp":
                    self.estimate(layer, folding)
                held.append(folding)
            except UnsupportedError as error:
                refusal = error
        if refusal and not held:
            raise refusal
        return tuple(held)

    def _activated(self, layer: Layer, options: tuple[Folding, ...]) -> tuple[Folding, ...]:
        """`options`, and those of alternatives that surely take fewer LUTs, or fewer blocks of memory."""
        more = []
        for folding in options:
            for kind in self._alternatives.get(layer.name, ()):
                alternative = replace(folding, alternative=kind)
                before, other = self.estimate(layer, folding), self.estimate(layer, alternative)
                if other.lut < (1 - _UNSURE) * before.lut or other.bram_18k < before.bram_18k:
                    more.append(alternative)
        return (*options, *more)

    def _has_whole_windows(self, layer: Layer, *, must: bool) -> bool:
        """Whether `layer` can be given whole windows; they are noted. Raises UnsupportedError if they `must` be."""
        makers = window_makers(self.graph, layer)
        if makers is None:
            return True
        generator, padding = makers
        try:
            self._windows[generator.name] = whole_window(generator, padding)
        except UnsupportedError:
            if must:
                raise
            return False
        if padding:
            self._gone.setdefault(padding.name, set())
        return True

    # -- the program ------------------------------------------------------------------------------------------------

    def _links(self) -> list[Link]:
        links = []
        for stream in self.graph.streams.values():
            if stream.producer and stream.consumer:
                whole = self._windows.get(stream.producer)
                links.append(
                    Link(
                        self._index[stream.producer],
                        self._index[stream.consumer],
                        _between(
                            self.model,
                            stream,
                            whole.outputs()[0].lanes if whole else 0,
                            same=_same_lanes(self.graph, stream),
                        ),
                    )
                )
        return links

    def _together(self) -> list[tuple[tuple[int, Collection[str]], tuple[int, Collection[str]]]]:
        """Whole windows stand before what needs them, and nowhere else; with the padding in them, if there is any."""
        pairs: list[tuple[tuple[int, Collection[str]], tuple[int, Collection[str]]]] = []
        for layer in self.graph:
            makers = window_makers(self.graph, layer)
            if makers and {makers[0].name} & {*self._windows, *self._columns}:
                generator, padding = makers
                index = self._index[generator.name]
                takes = ["unrolled", *(f"{style}{_WITH_WHOLE_WINDOWS}" for style in STYLES)]
                pairs.append(((self._index[layer.name], takes), (index, ["whole"])))
                of_columns = [f"{style}{_WITH_COLUMNS}" for style in STYLES]
                pairs.append(((self._index[layer.name], of_columns), (index, ["columns", "whole columns"])))
                if padding is not None:
                    pairs.append(((index, MADE_WHOLE), (self._index[padding.name], ["whole"])))
                    pairs.append(((index, ["columns"]), (self._index[padding.name], ["columns"])))
        return pairs

    # -- what else there is -----------------------------------------------------------------------------------------

    def others(
        self, chosen: Foldings, names: Collection[str], capacity: Resources | None = None
    ) -> dict[str, dict[str, Resources | None]]:
        """For each MVAU of `names` what the network would take with it in another style and all other MVAUs as they
        are; None if that cannot be."""
        matrices = {
            i: self.domains[i].index(folding)
            for i, (layer, folding) in enumerate(zip(self.graph, chosen.layers, strict=True))
            if layer.sets_rate
        }

        def total(name: str, style: str) -> Resources | None:
            i = self._index[name]
            if all(folding.style != style for folding in self.domains[i]):
                return None
            fixed = {layer: option for layer, option in matrices.items() if layer != i}
            others = [other for other in STYLES if other != style]
            without = [
                (i, f"{other}{windows}") for other in others for windows in ("", _WITH_WHOLE_WINDOWS, _WITH_COLUMNS)
            ]
            solution = self._program.solve(capacity, without, fixed)
            return solution.total if solution else None

        pairs = [(name, style) for name in names for style in STYLES if style != chosen.layers[self._index[name]].style]
        with ThreadPoolExecutor(_SOLVERS) as pool:  # HiGHS leaves Python's lock to others while it solves
            totals = list(pool.map(total, *zip(*pairs, strict=True))) if pairs else []
        result: dict[str, dict[str, Resources | None]] = {name: {} for name in names}
        for (name, style), estimate in zip(pairs, totals, strict=True):
            result[name][style] = estimate
        return result


def _kind(layer: Layer, folding: Folding) -> str:
    """The kind of a folding to the program: its style, and whether a layer that is not unrolled needs whole windows, or
    columns of them."""
    if takes_columns(folding):
        return f"{folding.style}{_WITH_COLUMNS}"
    needs = folding.style not in ("unrolled", *MADE_WHOLE) and needs_whole_windows(layer, folding)
    return f"{folding.style}{_WITH_WHOLE_WINDOWS}" if needs else folding.style


def _whole(window: ParallelWindow) -> Folding:
    i, o = window.inputs()[0], window.outputs()[0]
    fields: dict[str, int | str] = {"m": window.m} if window.m > 1 else {}
    return Folding(fields, i.lanes, o.lanes, window.cycles(), "whole", input_pixels=i.pixels, output_pixels=o.pixels)


def _open(styles: Mapping[str, Collection[str]], style: str, asked: Mapping[str, int]) -> list[str]:
    """The layers that may have `style`, and whose pixels a beat are not `asked` for."""
    return [name for name, kinds in styles.items() if style in kinds and not asked[name]]


def _is_depthwise(layer: Layer | None) -> bool:
    """Whether `layer` sends windows a part of the channels after the other: it goes in step with their reader."""
    return isinstance(layer, ConvolutionInputGenerator) and layer.depthwise


def _same_lanes(graph: LayerGraph, stream: Connection) -> bool:
    """Whether both ends of `stream` must have the same lanes, as they decide the order of its elements."""
    return bool(stream.producer and stream.consumer) and _is_depthwise(graph.layer(stream.producer))


def _check_same_lanes(
    graph: LayerGraph, stream: Connection, options: Mapping[str, Sequence[Folding]], config: FoldingConfig | None
) -> None:
    """Raise ConfigError if no folding of the reader of `stream` has the lanes of one of its writer."""
    writer, reader = graph.layer(stream.producer), graph.layer(stream.consumer)
    written = {folding.output_lanes for folding in options[writer.name]}
    if config is not None and not written & {folding.input_lanes for folding in options[reader.name]}:
        raise ConfigError(
            f"The folding file {config.path} has {config.key_of(writer)}: SIMD = {min(written)}, which is not the PE of "
            f"{config.key_of(reader)}. The windows of a depthwise convolution come in the order of its lanes: make both the "
            "same, or leave one of them out."
        )


def slowest(graph: LayerGraph) -> int:
    """The clock cycles a frame takes with one lane everywhere: what no folding exceeds."""
    return max(max(folding.cycles for folding in layer.foldings()) for layer in graph)


def fastest(fits: Callable[[int], bool], too_fast: int, best: int, precision: float = 0.0) -> int | None:
    """The fewest clock cycles a frame that `fits`, above `too_fast` and up to `best`; None if `best` does not fit.

    With a `precision` it may be more by that part. A rate that is out of reach with any folding does not fit. Rates are
    halved by their ratio: networks take from a cycle to millions.
    """
    if not fits(best):
        return None
    while best - too_fast > max(1, precision * best):
        budget = max(isqrt(max(too_fast, 1) * best), too_fast + 1)
        too_fast, best = (too_fast, budget) if _is_within_reach(fits, budget) else (budget, best)
    return best


def _is_within_reach(fits: Callable[[int], bool], budget: int) -> bool:
    try:
        return fits(budget)
    except ConfigError:
        return False


def _in_time(options: Sequence[Folding], interval: int, budget: int | None) -> tuple[Folding, ...]:
    """Of a layer that is no MVAU: whole windows that meet the budget, and lanes that take half of `pace` where some do."""
    lanes = [folding for folding in options if folding.style not in MADE_WHOLE]
    whole = [folding for folding in options if folding.style in MADE_WHOLE]
    whole = list(within(whole, budget)) if whole else []
    if not lanes:
        return tuple(whole)
    limit = max(interval // 2, min(folding.cycles for folding in lanes))
    if whole and budget is not None and limit > budget:
        return tuple(whole)
    return (*(folding for folding in lanes if folding.cycles <= limit), *whole)


def _settled(layer: Layer, styles: Collection[str], config: FoldingConfig) -> bool:
    """Whether `config` says how parallel `layer` is."""
    return any(config.lanes(layer, style) for style in styles)


def _configured(
    layer: Layer, options: tuple[Folding, ...], config: FoldingConfig | None, style: str = ""
) -> tuple[Folding, ...]:
    """The foldings of `layer`, an MVAU in `style`, that `config` allows. Raises ConfigError if there are
    none."""
    if config is None:
        return options
    wanted = config.lanes(layer, style)
    if wanted and style == DspMVAU.style:  # what PE and SIMD mean goes with it
        wanted = {"taps": 1, **wanted}
    for field, value in wanted.items():
        left = tuple(folding for folding in options if folding.fields.get(field, 1) == value)
        if not left:
            allowed = sorted({int(folding.fields.get(field, 1)) for folding in options})
            name = {"pe": "PE", "simd": "SIMD"}.get(field, field)
            of = f" ({layer.source})" if layer.source else ""
            if style in ("sparse", "unrolled"):
                which = f"which the {style} layer {layer.name}{of} cannot have"
            elif field in ("segments", "taps"):
                which = f"which layer {layer.name}{of} cannot have with the rest of its folding"
            elif isinstance(layer, VVAU) and field == "simd":
                which = f"which layer {layer.name}{of} cannot have with this PE: it takes a pixel of some channels, or a window"
            else:
                what = {"pe": "rows (MH)", "simd": "columns (MW)"}[field] if style else "channels"
                which = f"which does not divide the {allowed[-1]} {what} of layer {layer.name}{of}"
            choose = f" Choose one of {', '.join(map(str, allowed))}." if allowed else ""
            raise ConfigError(
                f"The folding file {config.path} has {config.key_of(layer)}: {name} = {value}, {which}.{choose}"
            )
        options = left
    return options


def _reach(graph: LayerGraph, options: Sequence[tuple[Folding, ...]], free: Sequence[bool]) -> tuple[int, Layer | None]:
    """The clock cycles of the layer that takes the most with all its parallelism, of those that are `free`, and that layer."""
    fastest = [
        (min(folding.cycles for folding in layer_options), layer)
        for layer, layer_options, is_free in zip(graph, options, free, strict=True)
        if is_free
    ]
    return max(fastest, key=lambda pair: pair[0], default=(0, None))


def _check_reach(cycles: int, layer: Layer | None, budget: int) -> None:
    """Raise ConfigError if `layer`, which takes so many `cycles` with all its parallelism, cannot meet the budget."""
    if layer is not None and cycles > budget:
        of = f" ({layer.source})" if layer.source else ""
        raise ConfigError(
            f"A frame every {budget} cycles cannot be reached: layer {layer.name}{of} takes {cycles} cycles even when it "
            f"is fully parallel. Lower target_fps to {budget / cycles:.4g} of what it is, or less, or shorten "
            "synth_clk_period_ns by that factor."
        )


def _between(
    model: ResourceModel, stream: Connection, whole: int, *, same: bool
) -> Callable[[Beat, Beat], Resources | None]:
    """What stands on a stream, by the beats at its ends: see `stitching.py`. Nothing where `whole` windows of so many lanes
    pass; None if the lanes must be the `same` and are not, or if windows side by side are not read so."""

    @cache
    def estimate(written: Beat, read: Beat) -> Resources | None:
        if same and written != read:
            return None
        if whole and written[0] == written[1] * whole and (written == read or written[1] != read[1]):
            return _NOTHING if written == read else None
        beats = conversions(written, read, stream.shape[2])
        total = _fifo(model, stream.type, beats[0][0])
        for (narrow, _), (wide, _) in pairwise(beats):
            total += _converter(model, stream.type, *sorted((narrow, wide))) + _fifo(model, stream.type, wide)
        return total

    return estimate


@lru_cache(maxsize=1 << 16)
def _layer(model: ResourceModel, layer: Layer, style: str, fields: tuple[tuple[str, int | str], ...]) -> Resources:
    return model.folded(layer, style, dict(fields))


@lru_cache(maxsize=4096)
def _fifo(model: ResourceModel, type_: IntType, lanes: int) -> Resources:
    return model.layer(StreamingFIFO("fifo", ("x",), ("y",), shape=(1, 1, lanes), type=type_, lanes=lanes, depth=2))


@lru_cache(maxsize=4096)
def _converter(model: ResourceModel, type_: IntType, narrow: int, wide: int) -> Resources:
    return model.layer(
        StreamingDataWidthConverter(
            "converter", ("x",), ("y",), shape=(1, 1, wide), type=type_, in_lanes=narrow, out_lanes=wide
        )
    )
