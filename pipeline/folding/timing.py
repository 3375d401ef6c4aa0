"""When each beat of a folded graph moves: an estimate, beat by beat, without simulating any hardware.

The model. A layer sends output beat k once it has the inputs it needs, `latency()` cycles later, and no sooner than its
initiation interval after beat k − 1 (an MVAU is modelled step by step):

    t_k = max over j ≤ k of (arrival of inputs_needed[j] + latency + (k − j) · interval)

which is a running maximum. It takes input beats one a cycle, as soon as it has room: an MVAU in the first fold of a
vector, a generator when its line buffer has room. FIFOs are unbounded. Who is fast is held back: the
source sends its frames evenly, one in the time that a frame takes, and where there is time for it a generator goes at
the rate of the layer behind it, because its input, K² times smaller, is where waiting is cheap.

Why depths found without back-pressure hold with it: with each FIFO as deep as its peak here, the schedule of this model
is one that the hardware could follow. Hardware that does everything as early as it can, fed by any faster source, does
nothing later than in a schedule it could follow (max-plus systems are monotone: Baccelli et al., "Synchronization and
Linearity", 1992), so it is not slower than predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.windows import Generator

__all__ = ["Prediction", "Rates", "fifo_peaks", "predict", "rates_of"]

_FRAMES = 3  # the first fills the pipeline, the last is the steady state


@dataclass(frozen=True)
class Prediction:
    """Clock cycles and beats. Cycles count from the first input beat."""

    cycles_between_frames: int
    first_output: int  # until the first output beat, with a source that is never slow
    first_frame: int  # until the last output beat of the first frame
    fifo_peaks: dict[str, int]  # the most beats in each FIFO at one time


@dataclass(frozen=True)
class Rates:
    """How fast the input and the generators of a graph go, whatever the depths of its FIFOs."""

    spacing: dict[str, np.ndarray]  # of each generator that goes at the rate of the layer behind it
    interval: int  # clock cycles between frames of the input


def predict(graph: LayerGraph, rates: Rates) -> Prediction:
    """The timing of `graph`, which has a StreamingFIFO on every stream between layers, at these `rates`."""
    beats = _source_beats(graph)
    eager, _ = _run(graph, np.arange(beats, dtype=np.int64), 1, {})
    steady, peaks = _steady(graph, rates)
    ends = steady.reshape(_FRAMES, -1)[:, -1]
    return Prediction(int(ends[-1] - ends[-2]), int(eager[0]), int(eager[-1]), peaks)


def fifo_peaks(graph: LayerGraph, rates: Rates) -> dict[str, int]:
    """The peaks that `predict` gives for the FIFOs, by name."""
    return _steady(graph, rates)[1]


def rates_of(graph: LayerGraph, budget: int | None = None) -> Rates:
    """The rates at which generators go: that of the layer behind them where that is fast enough.

    `budget` is the most clock cycles that a frame may take; None is what the slowest layer takes. A generator with less
    than a frame's lead stalls between frames, until it has the first rows of the next. Where that would take a frame
    beyond the budget, it goes as fast as it can instead and the FIFO behind it holds its lead.
    """
    slowest = max(layer.cycles() for layer in graph)
    limit = max(slowest, budget or 0)
    reader = {stream: layer for layer in graph for stream in layer.input_names}
    spacings, interval = {}, slowest
    for layer in graph:
        if isinstance(layer, Generator):
            follower = behind = reader.get(layer.output_names[0])
            while isinstance(follower, StreamingFIFO | StreamingDataWidthConverter):
                follower = reader.get(follower.output_names[0])
            spacing = layer.rate(_FRAMES, behind, follower)
            sent, _ = layer.beat_times(np.zeros(_FRAMES * layer.inputs()[0].beats, np.int64), _FRAMES, spacing)
            ends = sent.reshape(_FRAMES, -1)[:, -1]
            if layer.keeps_rate or ends[-1] - ends[-2] <= limit:
                spacings[layer.name] = spacing
                interval = max(interval, int(ends[-1] - ends[-2]))
    return Rates(spacings, interval)


def _steady(graph: LayerGraph, rates: Rates) -> tuple[np.ndarray, dict[str, int]]:
    beats = _source_beats(graph)
    even = np.arange(_FRAMES * beats, dtype=np.int64) * rates.interval // beats
    return _run(graph, even, _FRAMES, rates.spacing)


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
            inputs = [times.pop(stream) for stream in layer.input_names]
            turns = _turns(layer, frames)
            arrivals = _merged(inputs, turns)
            if isinstance(layer, StreamingFIFO):
                fifos[layer.output_names[0]] = layer.name, arrivals
                times[layer.output_names[0]] = arrivals + layer.latency()
                continue
            sent, taken = layer.beat_times(arrivals, frames, spacing.get(layer.name))
            times |= dict.fromkeys(layer.output_names, sent)
            for index, stream in enumerate(layer.input_names):
                if stream in fifos:
                    name, entered = fifos.pop(stream)
                    peaks[name] = pool.submit(_peak, entered, taken if turns is None else taken[turns == index])
        return times[graph.output], {name: peak.result() for name, peak in peaks.items()}


def _turns(layer: Layer, frames: int) -> np.ndarray | None:
    turns = layer.turns()
    return None if turns is None else np.tile(turns, frames)


def _merged(inputs: Sequence[np.ndarray], turns: np.ndarray | None) -> np.ndarray:
    """When each beat that a layer takes has arrived, if the beats of its `inputs` arrive so: all together, or by `turns`."""
    if turns is None:
        return np.max(inputs, axis=0) if len(inputs) > 1 else inputs[0]
    arrivals = np.empty(len(turns), dtype=np.int64)
    for index, times in enumerate(inputs):
        arrivals[turns == index] = times
    return arrivals


def _peak(entered: np.ndarray, left: np.ndarray) -> int:
    """The most beats between two points that they pass in cycles `entered` and `left`, both rising."""
    inside = np.arange(1, len(entered) + 1) - np.searchsorted(left, entered)
    return int(inside.max())
