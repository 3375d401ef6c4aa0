"""When each beat of a folded graph moves: an estimate, beat by beat, without simulating any hardware.

The model. A layer sends output beat k once it has the inputs it needs, `latency()` cycles later, and no sooner than its
initiation interval after beat k − 1 (an MVAU is modelled step by step):

    t_k = max over j ≤ k of (arrival of inputs_needed[j] + latency + (k − j) · interval)

which is a running maximum. It takes input beats one a cycle, as soon as it has room: an MVAU in the first fold of a
vector, a generator when its line buffer has room. FIFOs are unbounded. Who is fast is held back: the
source sends its frames evenly, one in the time that a frame takes, and where there is time for it a generator goes at
the pace of the layer behind it, because its input, K² times smaller, is where waiting is cheap.

Why depths found without back-pressure hold with it: with each FIFO as deep as its peak here, the schedule of this model
is one that the hardware could follow. Hardware that does everything as early as it can, fed by any faster source, does
nothing later than in a schedule it could follow (max-plus systems are monotone: Baccelli et al., "Synchronization and
Linearity", 1992), so it is not slower than predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.unrolled_mvau import UnrolledMVAU

__all__ = ["Paces", "Prediction", "fifo_peaks", "of_count", "paces", "predict"]

_FRAMES = 3  # the first fills the pipeline, the last is the steady state
_AT_ONCE = 4096  # input beats of a generator that are looked at together


@dataclass(frozen=True)
class Prediction:
    """Clock cycles and beats. Cycles count from the first input beat."""

    cycles_between_frames: int
    first_output: int  # until the first output beat, with a source that is never slow
    first_frame: int  # until the last output beat of the first frame
    fifo_peaks: dict[str, int]  # the most beats in each FIFO at one time


@dataclass(frozen=True)
class Paces:
    """How fast the input and the generators of a graph go, whatever the depths of its FIFOs."""

    spacing: dict[str, np.ndarray]  # of each generator that goes at the pace of the layer behind it
    interval: int  # clock cycles between frames of the input


def predict(graph: LayerGraph, pace: Paces) -> Prediction:
    """The timing of `graph`, which has a StreamingFIFO on every stream between layers, at its `paces`."""
    beats = _source_beats(graph)
    eager, _ = _run(graph, np.arange(beats, dtype=np.int64), 1, {})
    steady, peaks = _steady(graph, pace)
    ends = steady.reshape(_FRAMES, -1)[:, -1]
    return Prediction(int(ends[-1] - ends[-2]), int(eager[0]), int(eager[-1]), peaks)


def fifo_peaks(graph: LayerGraph, pace: Paces) -> dict[str, int]:
    """What `predict` says of the FIFOs alone."""
    return _steady(graph, pace)[1]


def paces(graph: LayerGraph, budget: int | None = None) -> Paces:
    """Lets generators go at the pace of the layer behind them where that is fast enough.

    `budget` is the most clock cycles that a frame may take; None is what the slowest layer takes. A generator with less
    than a frame's lead stalls between frames, until it has the first rows of the next. Where that would take a frame
    beyond the budget, it goes as fast as it can instead and the FIFO behind it holds its lead.
    """
    slowest = max(layer.cycles() for layer in graph)
    limit = max(slowest, budget or 0)
    reader = {stream: layer for layer in graph for stream in layer.input_names}
    spacings, interval = {}, slowest
    for layer in graph:
        if isinstance(layer, ConvolutionInputGenerator | ParallelWindow):
            whole = isinstance(layer, ParallelWindow)
            spacing = _whole_window_spacing(layer, reader) if whole else _window_spacing(layer, reader)
            sent, _ = _fire(layer, np.zeros(_FRAMES * layer.inputs()[0].beats, np.int64), _FRAMES, spacing)
            ends = sent.reshape(_FRAMES, -1)[:, -1]
            if whole or ends[-1] - ends[-2] <= limit:
                spacings[layer.name] = spacing
                interval = max(interval, int(ends[-1] - ends[-2]))
    return Paces(spacings, interval)


def _steady(graph: LayerGraph, pace: Paces) -> tuple[np.ndarray, dict[str, int]]:
    beats = _source_beats(graph)
    even = np.arange(_FRAMES * beats, dtype=np.int64) * pace.interval // beats
    return _run(graph, even, _FRAMES, pace.spacing)


def _source_beats(graph: LayerGraph) -> int:
    first = next(layer for layer in graph if graph.input in layer.input_names)
    return first.inputs()[first.input_names.index(graph.input)].beats


def _run(
    graph: LayerGraph, source: np.ndarray, frames: int, spacing: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, int]]:
    """The cycles in which beats of the output leave, and the FIFOs' peaks, if beats of the input arrive in cycles
    `source`."""
    times = {graph.input: source}
    fifos: dict[str, tuple[str, np.ndarray]] = {}  # stream behind a FIFO → its name, when beats entered it
    peaks: dict[str, Future[int]] = {}
    with ThreadPoolExecutor(1) as pool:  # nothing waits for a peak, and NumPy finds it without Python's lock
        for layer in graph:
            first, *others = (times.pop(stream) for stream in layer.input_names)
            arrivals = np.max([first, *others], axis=0) if others else first
            if isinstance(layer, StreamingFIFO):
                fifos[layer.output_names[0]] = layer.name, arrivals
                times[layer.output_names[0]] = arrivals + layer.latency()
                continue
            sent, taken = _fire(layer, arrivals, frames, spacing.get(layer.name))
            times |= dict.fromkeys(layer.output_names, sent)
            for stream in layer.input_names:
                if stream in fifos:
                    name, entered = fifos.pop(stream)
                    peaks[name] = pool.submit(_peak, entered, taken)
        return times[graph.output], {name: peak.result() for name, peak in peaks.items()}


def _fire(
    layer: Layer, arrivals: np.ndarray, frames: int, spacing: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """When `layer` sends its output beats and when it takes its input beats, which arrive in cycles `arrivals`.

    `spacing` is the earliest cycle of each output beat, counted from the first; by default what the layer is able to
    do.
    """
    if isinstance(layer, MVAU):
        return _fire_mvau(layer, arrivals)
    if isinstance(layer, UnrolledMVAU):
        taken = _running_max(arrivals, np.arange(len(arrivals), dtype=np.int64) * layer.digits)
        return taken + layer.latency(), taken
    if isinstance(layer, SparseMVAU):
        return _fire_sparse(layer, arrivals)
    frame = np.arange(frames, dtype=np.int64)[:, None]
    needed = (layer.inputs_needed() + frame * layer.inputs()[0].beats).ravel()
    if spacing is None:
        spacing = _spacing(layer, len(needed))
    before = _sent_before_taking(layer, needed, len(arrivals), frames)
    if isinstance(layer, ConvolutionInputGenerator | ParallelWindow):
        return _fire_generator(arrivals, needed, before, spacing, layer.latency())
    beats = np.arange(len(arrivals), dtype=np.int64)
    sent = _running_max(of_count(_running_max(arrivals, beats), needed) + layer.latency(), spacing)
    room = of_count(sent - layer.latency() + 1, before)
    return sent, _running_max(np.maximum(arrivals, room), beats)


def _fire_generator(
    arrivals: np.ndarray, needed: np.ndarray, before: np.ndarray, spacing: np.ndarray, latency: int
) -> tuple[np.ndarray, np.ndarray]:
    """A generator waits for room in its buffer, which it has when it has sent; so the cycles are found by repetition,
    some beats at a time, as no beat waits for a later one."""
    sent, taken = np.empty_like(needed), np.empty_like(arrivals)
    beats = np.arange(len(arrivals), dtype=np.int64)
    done = 0
    for start in range(0, len(arrivals), _AT_ONCE):
        own = slice(start, min(start + _AT_ONCE, len(arrivals)))
        new = slice(done, int(np.searchsorted(needed, own.stop, side="right")))
        done = new.stop
        taken_ahead = taken[start - 1] - beats[start - 1] if start else None
        sent_ahead = sent[new.start - 1] - spacing[new.start - 1] if new.start else None
        taken[own] = _running_max(arrivals[own], beats[own], taken_ahead)
        while True:
            sent[new] = _running_max(of_count(taken, needed[new]) + latency, spacing[new], sent_ahead)
            room = np.where(before[own] > 0, of_count(sent, before[own]) - latency + 1, 0)
            later = _running_max(np.maximum(arrivals[own], room), beats[own], taken_ahead)
            if np.array_equal(later, taken[own]):
                break
            taken[own] = later
    return sent, taken


def of_count(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`values` of the beat that is the count-th; 0 for a count of 0. In `counts` no 0 comes after another number."""
    found = values[counts - 1]
    found[: np.searchsorted(counts, 1)] = 0
    return found


def _fire_mvau(layer: MVAU, arrivals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An MVAU takes a step a cycle, fold by fold; it takes its input in the steps of a vector's first fold, when it
    comes, and is never held back in the others."""
    neuron, synapse = layer.neuron_folds, layer.synapse_folds
    vectors = np.arange(len(arrivals) // synapse, dtype=np.int64)[:, None]
    taken = _running_max(arrivals, (vectors * (neuron * synapse) + np.arange(synapse)).ravel())
    last = taken.reshape(-1, synapse)[:, -1:]  # steps of each vector's first fold
    return (last + synapse * np.arange(neuron) + layer.latency()).ravel(), taken


def _fire_sparse(layer: SparseMVAU, arrivals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sparse MVAU walks a vector when all of it is there, while the next one takes the place of the one before."""
    words, beats, steps = layer.mw // layer.simd, layer.mh // layer.lanes, layer.steps
    finished = np.maximum.accumulate(np.array(layer.finished()).reshape(beats, layer.lanes).max(axis=1))
    behind = layer.latency() - 1 - finished[0]  # from the step in which a beat's rows are complete to the beat
    each = np.arange(words, dtype=np.int64)
    alone = np.maximum.accumulate(arrivals.reshape(-1, words) - each, axis=1) + each  # if nothing held a vector back
    room: list[int] = []  # of each vector: the cycle from which there is a place for it
    starts: list[int] = []
    free, walked = 0, 0  # from when on its first word may come, and the walk be free
    for vector, last in enumerate(alone[:, -1].tolist()):
        room.append(max(free, starts[vector - 2] + steps + 1) if vector > 1 else free)
        free = max(last, room[-1] + words - 1) + 1
        starts.append(max(free, walked))
        walked = starts[-1] + steps
    taken = np.maximum(alone, np.array(room)[:, None] + each).ravel()
    sent = (np.array(starts)[:, None] + finished + behind).ravel()
    return _running_max(sent, np.arange(len(sent), dtype=np.int64)), taken


def _window_spacing(generator: ConvolutionInputGenerator, reader: Mapping[str, Layer]) -> np.ndarray:
    """The spacing of a generator that goes evenly, at the pace of the layer behind it on average.

    Evenly, because an MVAU takes a vector in a burst: what it takes faster than the generator sends must have been sent
    before, while the MVAU was busy with the vector before.
    """
    follower = reader.get(generator.output_names[0])
    while isinstance(follower, StreamingFIFO | StreamingDataWidthConverter):
        follower = reader.get(follower.output_names[0])
    able = _spacing(generator, _FRAMES * generator.outputs()[0].beats)
    if follower is None:
        return able
    return np.maximum(able, np.arange(len(able), dtype=np.int64) * follower.cycles() // generator.outputs()[0].beats)


def _whole_window_spacing(generator: ParallelWindow, reader: Mapping[str, Layer]) -> np.ndarray:
    """The spacing of whole windows: a cycle a column, and no faster than the layer that they go straight to."""
    follower = reader.get(generator.output_names[0])
    (height, width), step = generator.output_pixels, generator.stride[1]
    if isinstance(follower, UnrolledMVAU):
        step = max(step, follower.digits)
    row = max(generator.columns, width * step)
    rows = np.arange(_FRAMES * height, dtype=np.int64)[:, None] * row
    return (rows + np.arange(width) * step).ravel()


def _spacing(layer: Layer, beats: int) -> np.ndarray:
    """The earliest cycle of each output beat after the first, counted from the first, if inputs are always there."""
    out_beats, in_beats = layer.outputs()[0].beats, layer.inputs()[0].beats
    steps = np.arange(beats, dtype=np.int64)
    if layer.cycles() <= max(in_beats, out_beats):
        return steps  # one beat a cycle on its busier side: what holds it back is its input
    return steps * layer.cycles() // out_beats


def _looks_ahead(layer: Layer) -> bool:
    """Whether `layer` has a line buffer, which takes input that only later windows need."""
    return isinstance(layer, ParallelWindow) or (isinstance(layer, ConvolutionInputGenerator) and not layer.ordered)


def _sent_before_taking(layer: Layer, needed: np.ndarray, beats: int, frames: int) -> np.ndarray:
    """For each input beat, how many output beats `layer` must have sent to have room for it."""
    if not _looks_ahead(layer):
        return np.cumsum(np.bincount(needed, minlength=beats))[:beats]  # all that do without it
    if isinstance(layer, ParallelWindow):
        return _windows_before_taking(layer, beats)
    height, width, channels = layer.shape
    folds = channels // layer.simd
    (out_height, out_width, window) = layer.outputs()[0].shape
    corners = np.add.outer(
        np.arange(out_height) * layer.stride[0] * width, np.arange(out_width) * layer.stride[1]
    ).ravel()
    first = np.repeat(corners * folds, window // layer.simd)  # of each output beat, the oldest input beat of its window
    first = (first + np.arange(frames)[:, None] * height * width * folds).ravel()
    return np.searchsorted(first, np.arange(beats) - layer.buffer_depth, side="right")


def _windows_before_taking(layer: ParallelWindow, beats: int) -> np.ndarray:
    """As `_sent_before_taking`. A pixel takes the place of the one KH rows above it: that row must be behind the
    windows, or be their first and have been read up to the pixel."""
    (height, width, _), (out_height, out_width) = layer.shape, layer.output_pixels
    frame, rest = np.divmod(np.arange(beats, dtype=np.int64), height * width)
    row, column = np.divmod(rest, width)
    replaced = frame * height + row - layer.kernel[0]  # counted through the frames
    firsts = np.arange(out_height) * layer.stride[0] - layer.pads[0]
    count = int(beats // (height * width)) + 2
    firsts = (firsts + np.arange(count)[:, None] * height).ravel()  # the first row of each row of windows
    behind = np.searchsorted(firsts, replaced, side="left")  # rows of windows that begin above it
    same = (behind < len(firsts)) & (firsts[np.minimum(behind, len(firsts) - 1)] == replaced)
    completes = layer.kernel[1] - 1 - layer.pads[1]  # the column that completes the first window
    read = np.clip(1 - (completes - column) // layer.stride[1], 1, out_width)  # windows until it has been read
    return behind * out_width + np.where(same, read, 0)


def _running_max(earliest: np.ndarray, spacing: np.ndarray, ahead: int | None = None) -> np.ndarray:
    """The first cycles that are no earlier than `earliest` and at least as far apart as `spacing`, a rising sequence,
    is; `ahead` is by how much the cycle before the first is later than its spacing."""
    late = np.maximum.accumulate(earliest - spacing)
    return (late if ahead is None else np.maximum(late, ahead)) + spacing


def _peak(entered: np.ndarray, left: np.ndarray) -> int:
    """The most beats between two points that they pass in cycles `entered` and `left`, both rising."""
    inside = np.arange(1, len(entered) + 1) - np.searchsorted(left, entered)
    return int(inside.max())
