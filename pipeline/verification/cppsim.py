"""cppsim: the generated HLS C++, compiled and run, and compared with the reference in every element.

In strict numbers, those of the hardware: every layer alone on one golden frame and on the accumulator witnesses, and the
whole network on one frame. In fast numbers, native integers that check their ranges: every layer alone on more frames, and
the whole network on many, frame behind frame, its layers side by side and each stream as deep as the C++ says. Every sum
must fit its accumulator, and no layers may wait for each other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.codegen.hls import HlsNetwork
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.roles import Accumulating
from pipeline.dataflow.types import IntType
from pipeline.errors import A2QError, DeadlockError, VerificationError
from pipeline.tools import gxx
from pipeline.tools.gxx import Extremes, Program
from pipeline.tools.pool import side_by_side
from pipeline.verification.comparison import AccumulatorExtremes, as_frames, compare

__all__ = ["FILE", "CppLayerRun", "CppNetworkRun", "CppSimulation", "check_extremes", "load", "run"]

FILE = "cppsim.json"
_LAYER_FRAMES = 10  # of each layer alone, in fast numbers
_IN_A_ROW = 3  # frames of the network at least: the first fills its streams, the last meets a steady state
_NUMBERS = {"strict": "ap_int", "fast": "native integers", "bounded": "native integers"}


@dataclass(frozen=True)
class CppLayerRun:
    """One layer on its own: frames in strict numbers, witnesses after them, and frames in fast numbers."""

    strict_frames: int
    witnesses: int
    fast_frames: int
    accumulator: AccumulatorExtremes | None


@dataclass(frozen=True)
class CppNetworkRun:
    """The whole network: the golden frames in fast numbers, by their indices, and how many of them in strict ones too."""

    strict_frames: int
    fast_frames: int
    golden_frames: tuple[int, ...]


@dataclass(frozen=True)
class CppSimulation:
    """The runs and their cost. `compile_seconds` counts the objects that were not compiled before."""

    compiler: str
    headers: str
    compile_seconds: float
    run_seconds: float
    network: CppNetworkRun
    layers: Mapping[str, CppLayerRun]

    @property
    def summary(self) -> str:
        strict, fast = self.network.strict_frames, self.network.fast_frames
        return (
            f"{len(self.layers)} layers and the network exact in C++: {strict} frame{'s' if strict > 1 else ''} in "
            f"{_NUMBERS['strict']}, {fast} in {_NUMBERS['fast']}; no deadlock at the depths of its streams; compiled in "
            f"{self.compile_seconds:.1f} s"
        )

    def save(self, folder: Path) -> None:
        """report/cppsim.json."""
        folder.mkdir(parents=True, exist_ok=True)
        how = f"compiled by {self.compiler} with the headers of ap_int of {self.headers}, and run"
        (folder / FILE).write_text(json.dumps({"how": how, **asdict(self)}, indent=2) + "\n")


def load(path: Path) -> CppSimulation | None:
    """The result in `path`; None where nothing was simulated. Raises OSError, ValueError, KeyError or TypeError."""
    if not path.is_file():
        return None
    content = json.loads(path.read_text())
    del content["how"]
    network = content.pop("network")
    layers = {name: _layer_run(entry) for name, entry in content.pop("layers").items()}
    return CppSimulation(
        **content,
        network=CppNetworkRun(**{**network, "golden_frames": tuple(network["golden_frames"])}),
        layers=layers,
    )


def run(
    graph: LayerGraph,
    network: HlsNetwork,
    frames: np.ndarray,
    golden_frames: Sequence[int],
    witnesses: Mapping[str, np.ndarray],
    work: Path,
    verified: Path,
    *,
    workers: int,
    log: Callable[[str], None],
    on_progress: Callable[[int, int, str], None],
) -> CppSimulation:
    """Compile `network`, which is `graph` in C++, and run it on `frames` (N, H, W, C), and MVAUs on `witnesses` (n, MW).

    `golden_frames` are the indices of `frames` among the golden frames. Objects are kept in `work`, which other builds may
    use at the same time. Writes what the whole network gave in fast numbers to `verified`/verify_cppsim_0_SUCCESS.npy, or
    _FAIL.npy where it differs from the reference. Raises VerificationError, or DeadlockError, that names every layer that
    fails, with what is wrong in the first.
    """
    begun = time.monotonic()
    program = gxx.build_program(
        [network.whole, *network.layers],  # the largest first
        work,
        include=network.include,
        jobs=workers,
        on_progress=lambda done, total: on_progress(done, total, "units compiled"),
    )
    compiled = time.monotonic()
    log(f"compiled {len(network.layers)} layers and the network by {_compiler()}, headers of {gxx.headers_version()}")
    trials = _trials(graph, network, frames, witnesses)
    jobs = [partial(_run, program, trial, part) for trial in trials for part in trial.parts(workers)]
    given = iter(side_by_side(jobs, workers, lambda done, total: on_progress(done, total, "runs")))
    outcomes = [_joined(trial, [next(given) for _ in trial.parts(workers)]) for trial in trials]
    whole = next(o for o in outcomes if o.trial.layer is None and o.trial.mode == "bounded")
    if whole.outputs:
        verified.mkdir(parents=True, exist_ok=True)
        verdict = "SUCCESS" if np.array_equal(whole.outputs[0], whole.trial.expected[0]) else "FAIL"
        np.save(verified / f"verify_cppsim_0_{verdict}.npy", whole.outputs[0][: len(frames)])
    _check(outcomes, log)
    layers, accumulating = {}, {layer.name: layer for layer in graph.accumulating}
    for layer in graph:
        if layer.has_hls:
            by_mode = {o.trial.mode: o for o in outcomes if o.trial.layer is layer}
            extremes = None
            if unit := accumulating.get(layer.name):
                extremes = AccumulatorExtremes.of(unit, check_extremes(unit, by_mode["strict"].extremes[unit.name]))
            layers[layer.name] = CppLayerRun(
                by_mode["strict"].trial.golden,
                len(witnesses.get(layer.name, ())),
                by_mode["fast"].trial.golden,
                extremes,
            )
    strict = next(o for o in outcomes if o.trial.layer is None and o.trial.mode == "strict")
    return CppSimulation(
        _compiler(),
        gxx.headers_version(),
        round(compiled - begun, 3),
        round(time.monotonic() - compiled, 3),
        CppNetworkRun(strict.trial.golden, whole.trial.golden, tuple(int(index) for index in golden_frames)),
        layers,
    )


def check_extremes(layer: Accumulating, seen: Sequence[Extremes]) -> tuple[int, int]:
    """The least and the greatest sum that was used, of `seen`, what each accumulator of `layer` held.

    Raises VerificationError where one left its accumulator. Where 0 is a possible input every partial sum is the sum of
    some input, so none may; else one may, as two's complement wraps and comes back, and only those that are used count.
    """
    every = layer.input_type.lo <= 0 <= layer.input_type.hi
    for index, sums in enumerate(seen):
        held = IntType.of_bits(sums.width, signed=True)
        for value in (sums.partial if every else sums.used) or ():
            if not held.lo <= value <= held.hi:
                raise VerificationError(
                    f"layer {layer.name}: accumulator {index} is {sums.width} bits wide and has to hold {value}; its width "
                    "in hardware would be too small"
                )
    used = [sums.used for sums in seen if sums.used]
    if not used:
        raise VerificationError(f"layer {layer.name}: the C++ simulation saw none of its accumulators")
    return min(low for low, _ in used), max(high for _, high in used)


@dataclass(frozen=True, eq=False)
class _Trial:
    """Frames for one function: for that of `layer`, or of the whole network where it is None."""

    function: str
    layer: Layer | None
    accumulating: tuple[Accumulating, ...]  # the layers whose accumulators are seen
    mode: str  # of Program.run
    golden: int  # golden frames; witnesses come after them
    inputs: tuple[np.ndarray, ...]
    expected: tuple[np.ndarray, ...]

    @property
    def what(self) -> str:
        name = f"layer {self.function} alone" if self.layer else "the whole network"
        return f"{name} in C++, in {_NUMBERS[self.mode]},"

    def parts(self, workers: int) -> list[slice]:
        """The frames of each of the runs: those of the whole network are spread over `workers`."""
        count = len(self.inputs[0])
        size = max(-(-count // workers), _IN_A_ROW) if self.layer is None else count
        return [slice(begin, begin + size) for begin in range(0, count, size)]


@dataclass(frozen=True, eq=False)
class _Outcome:
    """The outcome of a trial, or the reason why there is none."""

    trial: _Trial
    outputs: list[np.ndarray] | None
    extremes: dict[str, list[Extremes]]
    failure: A2QError | None = None


def _trials(
    graph: LayerGraph, network: HlsNetwork, frames: np.ndarray, witnesses: Mapping[str, np.ndarray]
) -> list[_Trial]:
    """Those of the whole network first: they take longest."""
    accumulating = graph.accumulating
    again = max(_IN_A_ROW - len(frames), 0)
    row = np.concatenate([frames, np.repeat(frames[-1:], again, axis=0)])
    expected = graph.run(row)
    trials = [
        _Trial(network.whole.layer, None, accumulating, "strict", 1, (frames[:1],), (expected[:1],)),
        _Trial(network.whole.layer, None, accumulating, "bounded", len(frames), (row,), (expected,)),
    ]
    values = graph.execute(frames[:_LAYER_FRAMES])
    for layer in graph:
        if not layer.has_hls:
            continue
        inputs = tuple(values[stream] for stream in layer.input_names)
        first = tuple(array[:1] for array in inputs)
        if layer.name in witnesses:
            witness = as_frames(witnesses[layer.name], layer.inputs()[0].shape)
            first = (np.concatenate([first[0], witness]),)
        alone = tuple(unit for unit in accumulating if unit is layer)
        trials += [
            _Trial(layer.name, layer, alone, mode, count, given, layer.reference(*given))
            for mode, count, given in (("strict", 1, first), ("fast", len(inputs[0]), inputs))
        ]
    return trials


def _run(program: Program, trial: _Trial, part: slice) -> _Outcome:
    try:
        outputs, extremes = program.run(trial.function, [array[part] for array in trial.inputs], trial.mode)
    except (VerificationError, DeadlockError) as error:
        return _Outcome(trial, None, {}, error)
    return _Outcome(trial, outputs, extremes)


def _joined(trial: _Trial, parts: Sequence[_Outcome]) -> _Outcome:
    failed = [part for part in parts if part.outputs is None]
    if failed:
        return failed[0]
    outputs = [np.concatenate(arrays) for arrays in zip(*(part.outputs for part in parts), strict=True)]
    layers = {name for part in parts for name in part.extremes}
    extremes = {
        name: [_widest(runs) for runs in zip(*(part.extremes[name] for part in parts), strict=True)] for name in layers
    }
    return _Outcome(trial, outputs, extremes)


def _widest(seen: Sequence[Extremes]) -> Extremes:
    """The extremes of one accumulator over several runs."""

    def ends(ranges: list[tuple[int, int] | None]) -> tuple[int, int] | None:
        pairs = [pair for pair in ranges if pair]
        return (min(low for low, _ in pairs), max(high for _, high in pairs)) if pairs else None

    return Extremes(seen[0].width, ends([sums.partial for sums in seen]), ends([sums.used for sums in seen]))


def _check(outcomes: Sequence[_Outcome], log: Callable[[str], None]) -> None:
    """Raises the error of the first that is wrong; single layers are told before the whole network."""
    wrong: dict[str, A2QError] = {}
    for outcome in sorted(outcomes, key=lambda o: o.trial.layer is None):
        try:
            _check_outcome(outcome)
        except (VerificationError, DeadlockError) as error:
            log(str(error))
            wrong.setdefault(outcome.trial.function if outcome.trial.layer else "the whole network", error)
    if wrong:
        (first, *others) = wrong
        raise type(wrong[first])(f"{wrong[first]}" + (f". Wrong as well: {', '.join(others)}" if others else ""))


def _check_outcome(outcome: _Outcome) -> None:
    trial = outcome.trial
    if outcome.failure:
        raise outcome.failure
    for layer in trial.accumulating:  # first: a sum that wraps makes outputs wrong, and this says why
        seen = outcome.extremes.get(layer.name, [])
        AccumulatorExtremes.of(layer, check_extremes(layer, seen))
        _check_widths(layer, seen)
    for got, expected in zip(outcome.outputs or (), trial.expected, strict=True):
        compare(trial.function, trial.what, got, expected)


def _check_widths(layer: Accumulating, seen: Sequence[Extremes]) -> None:
    """Accumulators that hold sums are those that are certified, in order, and behind them what adds a bias to a sum."""
    certified = layer.lane_accumulator_bits()
    bits = (*certified, *(max(certified),) * (len(seen) - len(certified)))
    for index, sums in enumerate(seen):
        if sums.partial and sums.width != bits[index]:
            raise VerificationError(
                f"layer {layer.name}: accumulator {index} is {sums.width} bits wide in C++, and {bits[index]} are certified"
            )


def _compiler() -> str:
    return f"g++ {gxx.version()}"


def _layer_run(entry: dict[str, Any]) -> CppLayerRun:
    extremes = entry.pop("accumulator")
    accumulator = AccumulatorExtremes(*(tuple(extremes[key]) for key in ("proven", "observed"))) if extremes else None
    return CppLayerRun(**entry, accumulator=accumulator)
