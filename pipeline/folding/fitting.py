"""The cheapest folding that a board holds, with its FIFOs, whose depths are known only once it is chosen.

Weights are stored in what synthesis finds cheapest, if the board holds that; if not, other memories are looked at, too.
Where nothing fits it is the cheapest, and what would fit is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from pipeline.adder_graph.solver import MORE_LEVELS
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Folding, Layer
from pipeline.devices.boards import Board
from pipeline.devices.resources import PART_KEYS, REPORT_KEYS, Resources
from pipeline.errors import ConfigError
from pipeline.folding.allowed import Allowed
from pipeline.folding.choice import FoldingProblem, Foldings, fastest, slowest
from pipeline.folding.fifo_depths import FifoDepths, fifo_depths
from pipeline.folding.fit import Bound, Fit, capacity_of, excess, holders
from pipeline.folding.folding_config import FoldingConfig
from pipeline.folding.pipelines import with_pipelines
from pipeline.folding.stitching import stitch, with_depths
from pipeline.folding.styles import MADE_WHOLE, needs_whole_windows, takes_columns, window_makers, with_whole_windows

__all__ = ["Design", "Fitter"]

_ROUNDS = 8  # in which what FIFOs need is made room for
_PROBLEMS = 32  # kept: a rate is looked for again once there is less room
# of the board's where a rate is looked for: estimates are up to 8 % low in docs/luts_by_accumulator.md
_LUT_SHARE = 0.92
_SPARE = 0.01  # of a resource, more than FIFOs were too much of it: other choices have other FIFOs
_PRECISION = 0.02  # of the rate that a user is advised

Memories = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Design:
    """A folded graph with FIFOs, and what was chosen from what, within what `capacity`, if any, for all but the depth
    of FIFOs."""

    graph: LayerGraph
    sized: FifoDepths
    raised: dict[str, int]  # FIFOs that the folding file makes too shallow, and the depth they have instead
    problem: FoldingProblem
    chosen: Foldings
    capacity: Resources | None
    estimates: dict[str, Resources]

    @property
    def total(self) -> Resources:
        return sum(self.estimates.values(), Resources())


class Fitter:
    """Looks for foldings of `graph` on `board`. `budget` is the most clock cycles a frame may take, "max" the fewest
    that fit with some LUTs to spare, None one lane wherever `config` says nothing. `tell` gets a line before what takes
    long. `alternatives` are layers that may take the place of one of the graph, by its name and their kind."""

    def __init__(
        self,
        graph: LayerGraph,
        budget: int | Literal["max"] | None,
        config: FoldingConfig | None,
        allowed: Allowed,
        board: Board,
        tell: Callable[[str], None],
        alternatives: Mapping[str, Mapping[str, Layer]] | None = None,
    ) -> None:
        self.graph, self.budget, self.config, self.allowed, self.board = graph, budget, config, allowed, board
        self._alternatives = alternatives or {}
        self._tell = tell
        self.adders_per_stage: int | None = None
        self.more_levels = MORE_LEVELS
        self.whole = capacity_of(board, _LUT_SHARE if budget == "max" else 1)
        self._made: dict[tuple[object, ...], Layer] = {}  # an adder graph may take a minute to find
        self._problems: dict[tuple[object, ...], FoldingProblem] = {}

    def at(self, budget: int | Literal["max"] | None, adders_per_stage: int, more_levels: int = MORE_LEVELS) -> Fitter:
        """The same at another `budget`, with unrolled layers in pipelines that have up to so many adders between two
        registers, and ways through them that are up to `more_levels` adders longer than they must be."""
        other = copy(self)
        other.budget, other.adders_per_stage, other.more_levels = budget, adders_per_stage, more_levels
        return other

    def design(self) -> Design:
        """The cheapest that fits, or the cheapest. Raises ConfigError for a rate that nothing reaches."""
        wanted, more = self.allowed.memories(), self.allowed.more_memories(self.board)
        cheapest = None
        if not self.allowed.open and (problem := self._problem_within(self.whole, wanted)):
            cheapest = self._built(problem, _solved(problem), None)
            if cheapest.total.fits(self.whole):
                return cheapest
        for memories in [wanted, more] if self.allowed.open else [more]:
            result = self._with_room_for_fifos(memories)
            if result:
                return result
        if cheapest and self.budget != "max":
            return cheapest
        problem = self._problem(slowest(self.graph) if self.budget == "max" else self.budget, wanted)
        return self._built(problem, _solved(problem), None)

    def fit(self, design: Design) -> Fit:
        """Whether `design` fits the board, and if not, what would: with FIFOs that take as much."""
        exceeded = excess(design.total, capacity_of(self.board))
        if not exceeded:
            return Fit(self.board.name, {})
        budget, cycles, settings = design.problem.budget, None, []
        if budget is not None and budget < (longest := slowest(self.graph)):
            room = _less(capacity_of(self.board, _LUT_SHARE), design.chosen.total, design.total)
            cycles = fastest(lambda cycles: self._fits(cycles, room, self.allowed), budget, longest, _PRECISION)
        if self.budget != "max":
            room = _less(capacity_of(self.board), design.chosen.total, design.total)
            settings = [
                name for name, other in _relaxed(self.allowed, self.graph).items() if self._fits(budget, room, other)
            ]
        return Fit(self.board.name, exceeded, cycles, tuple(settings), holders(design.graph))

    def bound(self, design: Design) -> Bound | None:
        """What keeps `design` from a higher rate, where the highest is asked for and fits."""
        budget = design.problem.budget
        if self.budget != "max" or budget is None or not design.total.fits(capacity_of(self.board)):
            return None
        try:
            faster = self._problem(budget - 1, self.allowed.more_memories(self.board))
            shortage = _shortage(faster, design.capacity or self.whole)
        except ConfigError:  # a layer has all its parallelism
            shortage = None
        if shortage:
            return shortage
        computing = (layer for layer in design.graph.computing if not layer.between_layers)
        slowest = max(computing, key=lambda layer: layer.cycles())
        return Bound(slowest.name, slowest.cycles(), {})

    # -- rounds -----------------------------------------------------------------------------------------------------

    def _with_room_for_fifos(self, memories: Memories) -> Design | None:
        capacity, larger = self.whole, None  # for all but what FIFOs need beyond the least depth
        for _ in range(_ROUNDS):
            problem = self._problem_within(capacity, memories)
            chosen = problem.solve(capacity) if problem else None
            if problem is None or chosen is None:
                if larger is None:
                    return None
                capacity = (capacity + larger) * 0.5
                continue
            design = self._built(problem, chosen, capacity)
            if design.total.fits(self.whole):
                return design
            spare = 0.0 if memories == self.allowed.memories() else _SPARE
            capacity, larger = _less(capacity, self.whole, design.total, spare), capacity
        return None

    def _problem_within(self, capacity: Resources, memories: Memories) -> FoldingProblem | None:
        """The problem at the rate that is asked for, or at the highest that fits, if any does."""
        if self.budget != "max":
            return self._problem(self.budget, memories)
        cycles = fastest(lambda cycles: self._fits(cycles, capacity, self.allowed), 0, slowest(self.graph))
        return None if cycles is None else self._problem(cycles, memories)

    def _fits(self, budget: int | None, capacity: Resources, allowed: Allowed) -> bool:
        return any(
            self._problem(budget, memories, allowed).fits(capacity)
            for memories in (allowed.memories(), allowed.more_memories(self.board))
        )

    def _problem(self, budget: int | None, memories: Memories, allowed: Allowed | None = None) -> FoldingProblem:
        styles = (allowed or self.allowed).styles
        key = (budget, *styles.values(), *memories.values())
        if key not in self._problems:
            if len(self._problems) > _PROBLEMS:
                self._problems.clear()
            self._tell(f"foldings of at most {budget} cycles a frame" if budget else "foldings of one lane")
            self._problems[key] = FoldingProblem(
                self.graph,
                budget,
                self.config,
                styles,
                memories=memories,
                alternatives=self._alternatives,
                family=self.board.family,
            )
        return self._problems[key]

    # -- what is chosen, built --------------------------------------------------------------------------------------

    def _built(self, problem: FoldingProblem, chosen: Foldings, capacity: Resources | None) -> Design:
        folded = self._folded(problem, chosen)
        if self.adders_per_stage is not None:
            folded = with_pipelines(folded, self.adders_per_stage)
        stitched = stitch(folded)
        sized = fifo_depths(stitched, problem.budget)
        depths, raised = _depths(stitched, sized, self.config)
        graph = with_depths(stitched, depths)
        estimates = {layer.name: problem.model.layer(layer) for layer in graph}
        return Design(graph, sized, raised, problem, chosen, capacity, estimates)

    def _in_one_window(self, foldings: Mapping[str, Folding], name: str) -> bool:
        """Whether one layer makes the windows of the layer `name` instead of padding and generator."""
        makers = window_makers(self.graph, self.graph.layer(name))
        return makers is not None and foldings[makers[0].name].style in MADE_WHOLE

    def _folded(self, problem: FoldingProblem, chosen: Foldings) -> LayerGraph:
        by_name = {layer.name: folding for layer, folding in zip(self.graph, chosen.layers, strict=True)}
        whole = [layer.name for layer in self.graph if needs_whole_windows(layer, by_name[layer.name])]
        pixels = {name: int(folding.fields.get("m", 1)) for name, folding in by_name.items()}
        columns = {
            name: (self._in_one_window(by_name, name), self._matrix(problem, self.graph.layer(name), by_name[name]))
            for name in whole
            if takes_columns(by_name[name])
        }
        graph = with_whole_windows(self.graph, whole, pixels, columns)
        layers: list[Layer] = []
        for plain in graph:
            folding = by_name[plain.name]
            if plain.styles:
                layers.append(
                    columns[plain.name][1] if plain.name in columns else self._matrix(problem, plain, folding)
                )
            else:
                layers.append(problem.activated(plain, folding).folded(folding.fields))
        return replace(graph, layers=tuple(layers))

    def _matrix(self, problem: FoldingProblem, plain: Layer, folding: Folding) -> Layer:
        """What computes the matrix of `plain`, folded so."""
        layer, fields = problem.activated(plain, folding), dict(folding.fields)
        if folding.style == "unrolled" and self.more_levels != MORE_LEVELS:
            fields["more_levels"] = self.more_levels
        key = (layer.name, folding.alternative, folding.style, *fields.values())
        if key not in self._made:
            if folding.style == "unrolled":
                columns, rows = layer.inputs()[0].shape[2], layer.outputs()[0].shape[2]
                self._tell(f"{layer.name}: looking for an adder graph of {rows} × {columns} weights")
            self._made[key] = layer.styled(folding.style, fields).for_family(self.board.family)
        return self._made[key]


def _solved(problem: FoldingProblem) -> Foldings:
    chosen = problem.solve()
    if chosen is None:
        raise ConfigError(
            f"A frame every {problem.budget} cycles cannot be had from the styles that mvau_style allows. Lower "
            "target_fps, or set mvau_style to auto."
        )
    return chosen


def _shortage(problem: FoldingProblem, capacity: Resources) -> Bound | None:
    """What foldings of `problem` need more of than `capacity` has, by those that are nearest to it: with as little as there can
    be of one resource and no more of the others, or the cheapest; None if more of nothing would do."""
    fields = [REPORT_KEYS[key] for key in PART_KEYS]
    candidates = [problem.solve(replace(capacity, **{field: inf}), field) for field in fields]
    candidates.append(problem.solve())

    def share(foldings: Foldings) -> float:
        shares: list[float] = [getattr(foldings.total, field) / max(getattr(capacity, field), 1) for field in fields]
        return max(shares)

    chosen = min((foldings for foldings in candidates if foldings), key=share, default=None)
    exceeded = excess(chosen.total, capacity) if chosen else {}
    if chosen is None or not exceeded:
        return None
    most = REPORT_KEYS[next(iter(exceeded))]
    taken = {
        layer.name: getattr(problem.estimate(layer, folding), most)
        for layer, folding in zip(problem.graph, chosen.layers, strict=True)
    }
    cycles = max(folding.cycles for folding in chosen.layers)
    return Bound(max(taken, key=lambda name: taken[name]), cycles, exceeded)


def _relaxed(allowed: Allowed, graph: LayerGraph) -> dict[str, Allowed]:
    """The less strict settings that the configuration could have, and the choices that each allows."""
    styles = {layer.name: layer.styles for layer in graph if layer.styles}
    ram_styles = dict.fromkeys(allowed.ram_styles, "auto")
    relaxed = {
        "mvau_style auto": replace(allowed, styles=styles),
        "ram_style auto": replace(allowed, ram_styles=ram_styles),
        "mvau_style and ram_style auto": replace(allowed, styles=styles, ram_styles=ram_styles),
    }
    if allowed.styles == styles:
        del relaxed["mvau_style auto"], relaxed["mvau_style and ram_style auto"]
    if allowed.ram_styles == ram_styles:
        relaxed = {name: other for name, other in relaxed.items() if "ram_style" not in name}
    return relaxed


def _depths(
    stitched: LayerGraph, sized: FifoDepths, config: FoldingConfig | None
) -> tuple[dict[str, int], dict[str, int]]:
    """The depths of FIFOs, and those that `config` makes too shallow."""
    depths, raised = dict(sized.depths), {}
    for fifo in stitched.fifos:
        if config and "depth" in config.wanted(fifo):
            wanted, least = int(config.wanted(fifo)["depth"]), max(2, sized.deadlock_bounds.get(fifo.name, 1))
            depths[fifo.name] = max(wanted, least)
            if wanted < least:
                raised[fifo.name] = least
    return depths, raised


def _less(capacity: Resources, whole: Resources, taken: Resources, spare: float = 0.0) -> Resources:
    """`capacity` less what `taken` is more than `whole`, and a share to `spare` of what it is more of."""

    def left(has: float, limit: float, wanted: float) -> float:
        return has - (wanted - limit + spare * limit if wanted > limit else 0)

    return Resources(*map(left, capacity.amounts, whole.amounts, taken.amounts))
