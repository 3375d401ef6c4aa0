"""rtlsim: the generated hardware in Verilator, compared with the reference in every element.

Twice: every layer on its own, all of them side by side in one design so that one compilation serves them, fed with what
the reference says it receives and with the accumulator witnesses; and the stitched network, fed with golden frames. Both
run at full speed and again with random gaps on every port.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from a2q_driver.speed import FILLING_FPS, STEADY_FPS
from pipeline.codegen.layer_bench import write_layer_bench
from pipeline.codegen.rtl import Design
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.roles import Accumulating
from pipeline.errors import DeadlockError, VerificationError
from pipeline.scratch import scratch_folder
from pipeline.tools.pool import side_by_side
from pipeline.tools.verilator import Model, SimulationResult, build_model
from pipeline.verification.comparison import AccumulatorExtremes, as_frames, compare

__all__ = ["TRACE_FILE", "LayerRun", "NetworkRun", "Trace", "run", "run_layers", "run_network"]

TRACE_FILE = "rtlsim_trace.json"

Result = TypeVar("Result")

_LAYER_FRAMES = 2  # two frames show the distance between frames
_STALL_FRAMES = 1
_SPANS, _TRACED = 200, 4  # of a trace, and the frames that it is of


@dataclass(frozen=True)
class LayerRun:
    """One layer on its own. `cycles` between frames when neither starved nor stalled."""

    layer: str
    frames: int
    witnesses: int
    predicted_cycles: int
    observed_cycles: int | None  # None where there is one frame only
    accumulator: AccumulatorExtremes | None


@dataclass(frozen=True)
class Trace:
    """What each layer's first output did in spans of `cycles` from the release of reset on: by layer the beats that it `sent`
    and the cycles that it was `held` back by what follows, span by span."""

    cycles: int
    sent: dict[str, list[int]]
    held: dict[str, list[int]]


@dataclass(frozen=True)
class NetworkRun:
    """The stitched network. Cycles count from the release of reset; input is offered in every cycle.

    Where it loads `weight_words` over its weight stream they count from when the last is there: what needs no input, as
    the first row of a padding, has been computed by then, so the first frame may leave a little earlier.
    """

    frames: int
    first_output_cycle: int
    first_frame_cycle: int
    frame_cycles: list[int]
    steady_cycles: int | None
    total_cycles: int
    stalled_cycles: int  # for the run with random gaps on every port
    stalled_frames: int
    fifo_peaks: dict[str, tuple[int, int]]  # FIFO → peak, depth
    golden_frames: tuple[int, ...] = ()  # the golden frames that were simulated, by their indices
    weight_words: int = 0
    trace: Trace | None = None  # at full speed; None where weights are loaded first

    def performance(self, clock_ns: float) -> dict[str, Any]:
        """FINN's rtlsim_performance.json."""
        seconds = self.total_cycles * clock_ns * 1e-9
        stable = 1e9 / (self.steady_cycles * clock_ns) if self.steady_cycles else None
        return {
            "N": self.frames,
            "cycles": self.total_cycles,
            "latency_cycles": self.first_frame_cycle,
            "runtime[ms]": seconds * 1e3,
            "throughput[images/s]": self.frames / seconds,
            "stable_throughput[images/s]": stable,
            "fclk[mhz]": 1e3 / clock_ns,
        }


def run(
    design: Design,
    graph: LayerGraph,
    frames: np.ndarray,
    witnesses: Mapping[str, np.ndarray],
    folder: Path,
    verified: Path,
    *,
    stall_seed: int,
    log: Callable[[str], None],
) -> tuple[list[LayerRun], NetworkRun]:
    """`run_layers` and `run_network` side by side. Where both find something wrong, that of the layer is raised."""

    def attempt(run: Callable[[], Result]) -> Result | VerificationError | DeadlockError:
        try:
            return run()
        except (VerificationError, DeadlockError) as error:
            return error

    alone = partial(run_layers, graph, frames, witnesses, folder, stall_seed=stall_seed, log=log)
    stitched = partial(run_network, design, graph, frames, folder, verified, stall_seed=stall_seed, log=log)
    attempts: list[Callable[[], Any]] = [lambda: attempt(alone), lambda: attempt(stitched)]
    layers, network = side_by_side(attempts, workers=2)
    for result in (layers, network):
        if isinstance(result, Exception):
            raise result
    return layers, network


def run_layers(
    graph: LayerGraph,
    frames: np.ndarray,
    witnesses: Mapping[str, np.ndarray],
    folder: Path,
    *,
    stall_seed: int,
    log: Callable[[str], None],
) -> list[LayerRun]:
    """Simulate every layer alone on the first of `frames`, (N, H, W, C), and on those of `witnesses`, (n, C), that it has.

    Compiled models are kept in `folder`, which other builds may use at the same time. Raises VerificationError naming
    the layer whose output differs, or whose accumulator left its proven range.
    """
    with scratch_folder("layers") as scratch:
        design, layers = write_layer_bench(graph, scratch)
        model = build_model(design, folder / "models")
        log(f"compiled {len(layers)} layers side by side")
        values = graph.execute(frames[:_LAYER_FRAMES])
        inputs = {
            bench: values[stream]
            for layer, original in zip(layers, graph, strict=True)
            for bench, stream in zip(layer.input_names, original.input_names, strict=True)
        }
        for layer in layers:
            if layer.name in witnesses:
                inputs[layer.input_names[0]] = np.concatenate(
                    [inputs[layer.input_names[0]], as_frames(witnesses[layer.name], layer.inputs()[0].shape)]
                )
        full_speed = _run_bench(model, layers, inputs, None, "at full speed")
        stalled = {name: array[:_STALL_FRAMES] for name, array in inputs.items()}
        _run_bench(model, layers, stalled, stall_seed, "with random stalls")
    log(f"{len(layers)} layers agree with the reference, at full speed and with random stalls")
    instances = {layer: instance for instance, layer in design.instances.items()}
    accumulating = {layer.name: layer for layer in graph.accumulating}
    runs = []
    for layer in layers:
        ends = full_speed.frames[layer.output_names[0]]
        extremes = None
        if unit := accumulating.get(layer.name):
            extremes = _extremes(unit, full_speed, f"TOP.{design.name}.{instances[unit.name]}")
        runs.append(
            LayerRun(
                layer.name,
                len(ends),
                len(witnesses.get(layer.name, ())),
                layer.cycles(),
                ends[1] - ends[0] if len(ends) > 1 else None,
                extremes,
            )
        )
    return runs


def run_network(
    design: Design,
    graph: LayerGraph,
    frames: np.ndarray,
    folder: Path,
    verified: Path,
    *,
    stall_seed: int,
    log: Callable[[str], None],
) -> NetworkRun:
    """Simulate the stitched network on `frames`, (N, H, W, C).

    Writes the output frames to `verified`/verify_stitched_ip_rtlsim_0_SUCCESS.npy, or _FAIL.npy where they differ from
    the reference. Raises VerificationError with the first element that differs, DeadlockError naming the stuck stream.
    """
    model = build_model(design, folder / "models", simulation_models=True)
    log("compiled the stitched network")
    expected = graph.run(frames)
    idle_limit = 4 * sum(layer.cycles() for layer in graph.computing) + 10_000
    # a span of the trace is such that there are some 200; weights that are loaded first would not be in its time
    slowest = max(layer.cycles() for layer in graph.computing)
    span = None if len(design.weight_words) else -(-slowest * (min(len(frames), _TRACED) + 1) // _SPANS)
    result = model.run({graph.input: frames}, idle_limit=idle_limit, trace=span)
    got = result.outputs[graph.output]
    verified.mkdir(parents=True, exist_ok=True)
    verdict = "SUCCESS" if np.array_equal(got, expected) else "FAIL"
    np.save(verified / f"verify_stitched_ip_rtlsim_0_{verdict}.npy", got)
    compare(graph.name, "the stitched network at full speed", got, expected)
    log(f"{len(frames)} frames agree with the reference at full speed")
    stalled = model.run({graph.input: frames}, stalls=stall_seed, idle_limit=idle_limit)
    compare(graph.name, "the stitched network with random stalls", stalled.outputs[graph.output], expected)
    log(f"{len(frames)} frames agree with the reference with random stalls")
    peaks = {}
    for fifo in graph.fifos:
        instance = next(i for i, name in design.instances.items() if name == fifo.name)
        peak = max(_stat(r, f"TOP.{design.name}.{instance}", "peak") for r in (result, stalled))
        peaks[fifo.name] = (peak, fifo.depth)
    ends = result.frame_cycles
    return NetworkRun(
        frames=len(frames),
        first_output_cycle=result.first_output_cycle,
        first_frame_cycle=ends[0],
        frame_cycles=ends,
        steady_cycles=ends[-1] - ends[-2] if len(ends) > 1 else None,
        total_cycles=result.cycles,
        stalled_cycles=stalled.cycles,
        stalled_frames=len(frames),
        fifo_peaks=peaks,
        trace=_trace(graph, design, result, span) if span else None,
        weight_words=len(design.weight_words),
    )


def _trace(graph: LayerGraph, design: Design, result: SimulationResult, cycles: int) -> Trace:
    """The trace of the FIFOs behind each layer."""
    instances = {name: instance for instance, name in design.instances.items()}
    behind = {fifo.input_names[0]: fifo.name for fifo in graph.fifos}
    spans = {
        layer.name: result.stats[f"TOP.{design.name}.{instances[fifo]}"]["span"][:_SPANS]
        for layer in graph.computing
        if not layer.between_layers and (fifo := behind.get(layer.output_names[0]))
    }
    return Trace(
        cycles,
        {name: [sent for sent, _ in of] for name, of in spans.items()},
        {name: [held for _, held in of] for name, of in spans.items()},
    )


def write_report(layers: list[LayerRun], network: NetworkRun, clock_ns: float, folder: Path) -> None:
    """report/rtlsim_performance.json with FINN's keys, report/rtlsim_layers.json, and report/TRACE_FILE where there is a trace."""
    folder.mkdir(parents=True, exist_ok=True)
    performance = {
        "how": "simulated by Verilator, cycle by cycle; time is cycles at the configured clock, which nothing here proves "
        f"that the design reaches; stable_throughput[images/s] is {STEADY_FPS}, throughput[images/s] {FILLING_FPS}",
        **network.performance(clock_ns),
        "first_output_cycle": network.first_output_cycle,
        "steady_cycles": network.steady_cycles,
        "weight_words": network.weight_words,
        "frame_cycles": network.frame_cycles,
        "stalled": {"frames": network.stalled_frames, "cycles": network.stalled_cycles},
        "golden_frames": list(network.golden_frames),
        "fifos": {name: {"peak": peak, "depth": depth} for name, (peak, depth) in network.fifo_peaks.items()},
    }
    (folder / "rtlsim_performance.json").write_text(json.dumps(performance, indent=2) + "\n")
    if network.trace:
        (folder / TRACE_FILE).write_text(json.dumps(asdict(network.trace)) + "\n")
    (folder / "rtlsim_layers.json").write_text(json.dumps({run.layer: asdict(run) for run in layers}, indent=2) + "\n")


def _run_bench(
    model: Model, layers: tuple[Layer, ...], inputs: Mapping[str, np.ndarray], stalls: int | None, how: str
) -> SimulationResult:
    counts = {stream: len(inputs[layer.input_names[0]]) for layer in layers for stream in layer.output_names}
    result = model.run(inputs, counts, stalls=stalls, idle_limit=2 * max(layer.cycles() for layer in layers) + 10_000)
    for layer in layers:
        expected = layer.reference(*(inputs[stream] for stream in layer.input_names))
        for stream, value in zip(layer.output_names, expected, strict=True):
            compare(layer.name, f"layer {layer.name} alone, {how}", result.outputs[stream], value)
    return result


def _extremes(layer: Accumulating, result: SimulationResult, path: str) -> AccumulatorExtremes:
    lanes = [stats for name, stats in result.stats.items() if name.startswith(f"{path}.")]
    observed = (
        min(value for stats in lanes for value in stats.get("acc_min", [])),
        max(value for stats in lanes for value in stats.get("acc_max", [])),
    )
    return AccumulatorExtremes.of(layer, observed)


def _stat(result: SimulationResult, path: str, key: str) -> int:
    values: list[int] = [
        value
        for name, stats in result.stats.items()
        if name == path or name.startswith(f"{path}.")
        for value in stats.get(key, [])
    ]
    return max(values)
