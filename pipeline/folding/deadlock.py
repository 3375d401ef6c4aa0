"""How deep the FIFOs of reconvergent paths must be so that no fork and join can wait for each other for ever.

A layer's beats do not depend on data or time: beat m of its output needs `inputs_needed()[m]` beats of its input, and where
it takes its inputs by turns, `turns()` says from which. Such
layers with blocking reads and writes on bounded FIFOs form a determinate process network: in which order or how late
they fire changes neither the values nor whether it comes to a stop (Kahn 1974; Parks 1995, chapter 4). So what follows
holds for any stalls.

Take a join J that waits for its beat m and has taken m − 1 beats of each input, and the fork F where its paths part. F
sends its beats to all of its branches at once. For beat m to arrive on every input, F must have sent need(m) beats: the
most that any path to J requires for its beat m. So every branch must accept need(m) beats of F while J has taken only m
− 1 beats of it. A branch whose last FIFO has room for d beats goes on until J could take m − 1 + d of its beats; by
then it has accepted what F must send for these, accepts(m − 1 + d). Hence F cannot be blocked before J has its beat m
if, for each branch and each m,

    accepts(m − 1 + d) ≥ need(m)

and the smallest such d is the bound. On a branch without layers accepts(m) = m, and d = max need(m) − (m − 1): the
beats which the other branch swallows before it gives something back. Registers inside layers, and other FIFOs, only add
room.

A join that takes its inputs by turns, such as a StreamingConcat, waits for one of them at a time. For the m-th beat that it
takes, of whichever input, need(m) is what that input's beat requires, and what it has taken before are c(m) beats of a
branch, not m − 1: accepts(c(m) + d) ≥ need(m) for the other branches. That of the input itself has an empty last FIFO
then, and so does not wait for J. The rest of the argument is the same.

Where forks and joins nest, need takes the most over all paths and accepts the least, which keeps the argument sound;
the joins are taken one by one, for each fork at which their paths part for the last time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.rising import of_count
from pipeline.kernels.streaming_fifo import StreamingFIFO

__all__ = ["deadlock_bounds"]

_FRAMES = 4  # joins are examined over two frames; a branch may run ahead into the frames after them


def deadlock_bounds(graph: LayerGraph) -> dict[str, int]:
    """Beats, by FIFO, with which the forks and joins of `graph` cannot deadlock, though fewer may do; FIFOs not named need only
    one.

    `graph` has a StreamingFIFO on every stream between layers, on each input of a join in particular.
    """
    writer = {stream: layer for layer in graph for stream in layer.output_names}
    paths = cache(lambda start: _path_counts(graph, start))
    bounds: dict[str, int] = {}
    for join in graph:
        if len(join.input_names) > 1:
            for fork in graph:
                if len(fork.output_names) > 1 and _part_here(graph, fork, join, paths):
                    for name, depth in _bounds_of_pair(graph, fork, join, writer).items():
                        bounds[name] = max(depth, bounds.get(name, 1))
    return bounds


def _part_here(graph: LayerGraph, fork: Layer, join: Layer, paths: Callable[[Layer], Mapping[str, int]]) -> bool:
    """Whether paths lead from `fork` to two inputs of `join` with no layer in between that all of them share; `paths`
    are `_path_counts` from a layer."""
    forward = paths(fork)
    total = forward.get(join.name, 0)
    reached = [stream for stream in join.input_names if forward.get(f"stream {stream}", 0)]
    if len(reached) < 2:
        return False
    for layer in graph:
        between = layer.name not in (fork.name, join.name) and forward.get(layer.name, 0) > 0
        if between and forward[layer.name] * paths(layer).get(join.name, 0) == total:
            return False
    return True


def _path_counts(graph: LayerGraph, start: Layer) -> dict[str, int]:
    """How many paths lead from `start` to each layer, and to each stream as "stream <name>"."""
    counts = {start.name: 1}
    for layer in graph:
        if layer.name != start.name:
            counts[layer.name] = sum(counts.get(f"stream {stream}", 0) for stream in layer.input_names)
        for stream in layer.output_names:
            counts[f"stream {stream}"] = counts[layer.name]
    return counts


def _bounds_of_pair(graph: LayerGraph, fork: Layer, join: Layer, writer: Mapping[str, Layer]) -> dict[str, int]:
    sent = np.arange(1, _FRAMES * fork.outputs()[0].beats + 1, dtype=np.int64)
    most = dict.fromkeys(fork.output_names, sent)  # by stream: the fork's beats that each of its beats needs, at most
    least = dict(most)
    for layer in graph:
        reached = [stream for stream in layer.input_names if stream in most]
        if reached and isinstance(layer, StreamingFIFO):
            most[layer.output_names[0]], least[layer.output_names[0]] = most[reached[0]], least[reached[0]]
        elif reached and layer.name != join.name:
            needed = layer.needed_of(_FRAMES)
            counts = {stream: layer.beats_of(layer.input_names.index(stream), needed) for stream in reached}
            highest = _needed(most, counts, np.max)
            same = len(reached) == 1 and most[reached[0]] is least[reached[0]]
            most |= dict.fromkeys(layer.output_names, highest)
            least |= dict.fromkeys(layer.output_names, highest if same else _needed(least, counts, np.min))
    before = np.arange(2 * join.beats_taken, dtype=np.int64)  # m − 1 for each m
    taken = {stream: join.beats_of(i, before) for i, stream in enumerate(join.input_names) if stream in most}
    needs = _needs_of_join(join, taken, most)
    return dict(_bound_of_branch(stream, taken[stream], needs[stream], least, writer) for stream in taken)


def _needed(
    by_stream: Mapping[str, np.ndarray], counts: Mapping[str, np.ndarray], of: Callable[..., np.ndarray]
) -> np.ndarray:
    """The beats that `counts` beats of each stream need, by beat, `of` them all."""
    first, *others = (of_count(by_stream[name], needed) for name, needed in counts.items())
    return of([first, *others], axis=0) if others else first


def _needs_of_join(
    join: Layer, taken: Mapping[str, np.ndarray], most: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """By stream of which `join` has `taken` so many beats before each beat that it takes: the fork's beats that this beat
    needs, and that the branch with the stream must therefore accept."""
    turns = join.turns()
    if turns is None:
        need = np.max([most[stream][before] for stream, before in taken.items()], axis=0)
        return dict.fromkeys(taken, need)
    needs = {stream: np.zeros(2 * len(turns), dtype=np.int64) for stream in taken}
    for stream, before in taken.items():
        its_turn = np.tile(turns == join.input_names.index(stream), 2)
        for other in taken.keys() - {stream}:
            needs[other][its_turn] = most[stream][before[its_turn]]
    return needs


def _bound_of_branch(
    stream: str, taken: np.ndarray, need: np.ndarray, least: Mapping[str, np.ndarray], writer: Mapping[str, Layer]
) -> tuple[str, int]:
    """The last FIFO in front of the join on this branch, and the smallest depth with which it accepts `need` while the join
    has `taken` so many of its beats.

    Behind the FIFO there may be width converters: the join's beats taken are counted in the FIFO's.
    """
    layer = writer[stream]
    while not isinstance(layer, StreamingFIFO):
        taken = of_count(layer.needed_of(_FRAMES), taken)
        stream = layer.input_names[0]
        layer = writer[stream]
    pushed = np.searchsorted(least[layer.input_names[0]], need) + 1
    return layer.name, int((pushed - taken).max())
