"""Everything that the report is made of, read from the results of the stages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.accumulators.certificate import Certificate
from pipeline.cache import read_entry
from pipeline.dataflow.ranges_seen import RangesSeen
from pipeline.errors import ModelError
from pipeline.finn import record as finn_record
from pipeline.finn.record import CrossCheck, FinnExport
from pipeline.folding import fold
from pipeline.folding.fold import Folded
from pipeline.frontend.streamline.input_quantizer import InputQuantizer
from pipeline.models import resolve
from pipeline.models.resolve import ResolvedModel
from pipeline.report.super_resolution import SuperResolution
from pipeline.static_timing.estimate import TimingEstimate
from pipeline.synthesis import bitfile, synth, timing
from pipeline.synthesis.bitfile import BitfileResult
from pipeline.synthesis.synth import ResourceReport
from pipeline.synthesis.timing import TimingReport
from pipeline.verification import accuracy, cppsim, gate_level
from pipeline.verification.accuracy import Accuracy
from pipeline.verification.comparison import AccumulatorExtremes
from pipeline.verification.cppsim import CppSimulation
from pipeline.verification.gate_level import GateLevelReport
from pipeline.verification.rtlsim import TRACE_FILE, LayerRun, Trace

if TYPE_CHECKING:
    from pipeline.devices.boards import Board
    from pipeline.devices.resources import Resources

__all__ = ["BuildFacts", "NetworkSimulation", "StageCost", "VerifiedOutput", "read_facts"]


@dataclass(frozen=True)
class NetworkSimulation:
    """The stitched network in Verilator, from report/rtlsim_performance.json. Cycles count from the end of reset."""

    frames: int
    total_cycles: int
    first_output_cycle: int
    first_frame_cycle: int
    steady_cycles: int | None  # between the last two frames; None where there was one
    clock_mhz: float
    stalled_frames: int
    fifo_peaks: dict[str, int]  # beats
    frame_cycles: tuple[int, ...] = ()  # when each frame had left


@dataclass(frozen=True)
class StageCost:
    """The summary of a stage's result, and the cost of its run: seconds, and MiB with all its processes."""

    name: str
    summary: str
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class VerifiedOutput:
    """A file of verification_output and how many frames it holds."""

    file: str
    frames: int


@dataclass(frozen=True, eq=False)
class BuildFacts:
    """One build.

    `input_quantizer` is None where the network has its own; `seen` is of the golden frames. `estimated` is of the longest
    paths. `trace` is None where weights are loaded first, `exported` where no model of FINN's nodes was asked for, `cross_check` where
    FINN was not to streamline the network, `cpp` where no frames were in C++, `gates` where no gate-level simulation was, `timing` where
    no place and route was, and `bitfile` for a board that no block design is made for.
    """

    model: ResolvedModel
    input_quantizer: InputQuantizer | None
    seen: RangesSeen
    accuracy: Accuracy
    certificate: Certificate
    folded: Folded
    exported: FinnExport | None
    cross_check: CrossCheck | None
    trace: Trace | None
    layers: dict[str, LayerRun]
    network: NetworkSimulation
    cpp: CppSimulation | None
    resources: ResourceReport
    estimated: TimingEstimate
    gates: GateLevelReport | None
    timing: TimingReport | None
    bitfile: BitfileResult | None
    verified: tuple[VerifiedOutput, ...]
    stages: tuple[StageCost, ...]
    target_fps: float | str  # or "max"
    target_latency_ns: float | None = None
    board: Board | None = None  # that it is for; None until the report is made
    finn: Mapping[str, Mapping[str, Resources]] = field(
        default_factory=dict
    )  # by layer and FINN's unit; empty until then
    restored: SuperResolution | None = None  # where the network makes larger images; None until then

    @property
    def throughput_fps(self) -> float | None:
        """Frames a second: the clock over the cycles between frames that the simulation observed."""
        return self.network.clock_mhz * 1e6 / self.network.steady_cycles if self.network.steady_cycles else None

    @property
    def latency_ns(self) -> float:
        """The time until the end of the first frame: the cycles that the simulation observed, at the configured clock."""
        return self.network.first_frame_cycle * 1e3 / self.network.clock_mhz

    @property
    def is_late(self) -> bool:
        """Whether that is more than what was asked for."""
        return self.target_latency_ns is not None and self.latency_ns > self.target_latency_ns * (1 + 1e-9)

    @property
    def witnessed(self) -> int:
        """Layers whose accumulators reached both ends of their proven range in simulation."""
        return sum(self.reached(layer.layer) == (True, True) for layer in self.certificate.layers)

    def reached(self, layer: str) -> tuple[bool, bool]:
        """Whether the simulation reached the lowest and the highest proven sum of `layer`."""
        proven, extremes = self.certificate.layer(layer), self.layers[layer].accumulator
        if extremes is None:
            return False, False
        return extremes.observed[0] == proven.lowest.value, extremes.observed[1] == proven.highest.value


def read_facts(
    results: Mapping[str, Path], target_fps: float | str, target_latency_ns: float | None = None
) -> BuildFacts:
    """The facts of a build from the folders of its stages' `results`, by stage in the order they ran.

    Raises ModelError for a result that is missing or damaged.
    """
    try:
        performance = _json(results["rtlsim"] / "report" / "rtlsim_performance.json")
        quantizer = _json(results["streamline"] / "input_quantizer.json")
        runs = _json(results["rtlsim"] / "report" / "rtlsim_layers.json")
        return BuildFacts(
            model=resolve.load(results["resolve"])[0],
            input_quantizer=InputQuantizer(**quantizer) if quantizer else None,
            seen=RangesSeen.load(results["dataflow"]),
            accuracy=accuracy.load(results["accuracy"] / "report" / accuracy.FILE),
            certificate=Certificate.read(results["accumulators"] / "report" / "accumulators.json"),
            folded=fold.load(results["fold"]),
            exported=finn_record.load(results["finn"]),
            cross_check=finn_record.load_cross_check(results["finn"]),
            trace=Trace(**_json(path)) if (path := results["rtlsim"] / "report" / TRACE_FILE).exists() else None,
            layers={name: _layer_run(entry) for name, entry in runs.items()},
            network=NetworkSimulation(
                frames=performance["N"],
                total_cycles=performance["cycles"],
                first_output_cycle=performance["first_output_cycle"],
                first_frame_cycle=performance["latency_cycles"],
                steady_cycles=performance["steady_cycles"],
                clock_mhz=performance["fclk[mhz]"],
                stalled_frames=performance["stalled"]["frames"],
                fifo_peaks={name: fifo["peak"] for name, fifo in performance["fifos"].items()},
                frame_cycles=tuple(performance["frame_cycles"]),
            ),
            cpp=cppsim.load(results["cppsim"] / "report" / cppsim.FILE),
            resources=synth.load(results["synth"] / "report" / synth.FILE),
            estimated=timing.load_estimate(results["timing"] / "report" / timing.ESTIMATE_FILE),
            gates=gate_level.load(results["verify"] / "report" / gate_level.FILE),
            timing=timing.load(results["timing"] / "report" / timing.FILE),
            bitfile=bitfile.load(made) if (made := results["bitfile"] / "bitfile").is_dir() else None,
            verified=tuple(
                VerifiedOutput(path.name, len(np.load(path, mmap_mode="r")))
                for folder in results.values()
                for path in sorted(folder.glob("verification_output/*.npy"))
            ),
            stages=tuple(_cost(name, folder) for name, folder in results.items()),
            target_fps=target_fps,
            target_latency_ns=target_latency_ns,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"A result that the report needs cannot be read: {error!r}. Build it again.") from error


def _cost(stage: str, folder: Path) -> StageCost:
    entry = read_entry(folder)
    if entry is None:
        raise ValueError(f"{folder} is not a finished result")
    return StageCost(stage, entry.summary, entry.seconds, entry.peak_mib)


def _layer_run(entry: dict[str, Any]) -> LayerRun:
    extremes = entry.pop("accumulator")
    accumulator = AccumulatorExtremes(*(tuple(extremes[key]) for key in ("proven", "observed"))) if extremes else None
    return LayerRun(**entry, accumulator=accumulator)


def _json(path: Path) -> Any:
    return json.loads(path.read_text())
