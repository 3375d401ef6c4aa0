"""A build as one call, and its figures as attributes: `pipeline.build` and `pipeline.BuildResult`; see docs/library.md."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pipeline import flow
from pipeline.config import BuildConfig, config_for, load_config, path_of
from pipeline.errors import ConfigError, ModelError
from pipeline.models.names import find, is_path, located
from pipeline.progress import Screen
from pipeline.stages import STAGES

if TYPE_CHECKING:
    from pipeline.accumulators.certificate import Certificate
    from pipeline.dataflow.graph import LayerGraph
    from pipeline.devices.resources import Resources
    from pipeline.models.resolve import ResolvedModel

__all__ = ["BuildResult", "build"]


@dataclass(frozen=True)
class BuildResult(flow.BuildResult):
    """A finished build: the `folder` it is laid out in, the `stages` that ran, the `seconds` it took, and its figures.

    `results` has the folder of the result of each stage, by the stage's name: read-only. A figure is None where the build
    stopped before the stage that gives it. All figures raise ModelError where that result is damaged.
    """

    @cached_property
    def top1(self) -> float | None:
        """Accuracy of the trained network in percent, as its own record states it; `top1_how` says how it was obtained.

        None too where it is not known, such as for a .onnx file or synthetic weights.
        """
        return None if self._model is None else self._model.top1

    @cached_property
    def top1_how(self) -> str:
        """How `top1` was obtained; empty where it is None."""
        return "" if self._model is None else self._model.top1_how

    @cached_property
    def accuracy(self) -> dict[str, float] | None:
        """What the integers of the hardware reach on test images of the network's data set, in percent, by `top1`, `mean_iou` and
        so on; report/accuracy.json says on how many images of what. Measured by the stage `accuracy`.

        None too where nothing was measured, such as without the data set or for a .onnx file.
        """
        if "accuracy" not in self.results:
            return None
        from pipeline.verification import accuracy

        metrics = accuracy.load(self.results["accuracy"] / "report" / accuracy.FILE).metrics
        return {name: 100 * share for name, share in metrics.items()} or None

    @cached_property
    def psnr(self) -> float | None:
        """Mean PSNR in dB of what a network for super resolution makes of reduced photographs, by the integers of the
        hardware's reference; report/super_resolution.json says of which. From the stage `report`.

        None too for a network that makes no larger images, and for weights that were not trained.
        """
        if "report" not in self.results or self._model is None or self._model.weights == "synthetic":
            return None
        from pipeline.report.super_resolution import mean_psnr

        return mean_psnr(self.results["report"] / "report")

    @cached_property
    def accumulator_bits(self) -> dict[str, int] | None:
        """The width of the widest accumulator of each layer with a matrix, by the layer's name in hardware: proven enough
        for every input. From the stage `accumulators`."""
        certificate = self._certificate
        return None if certificate is None else {layer.layer: layer.bits_used for layer in certificate.layers}

    @cached_property
    def graph(self) -> LayerGraph | None:
        """The hardware layers, as the last of the stages `dataflow`, `accumulators` and `fold` that ran left them."""
        from pipeline.dataflow.storage import load_graph

        last = next((stage for stage in ("fold", "accumulators", "dataflow") if stage in self.results), None)
        return None if last is None else load_graph(self.results[last])

    @cached_property
    def lut_estimated(self) -> float | None:
        """LUTs of the layers as the stage `fold` estimates them, before anything is synthesized."""
        if "fold" not in self.results:
            return None
        from pipeline.folding import fold

        return sum(estimate.lut for estimate in fold.load(self.results["fold"]).estimates.values())

    @property
    def lut(self) -> int | None:
        """LUTs, those used as memory or shift registers included: counted by Yosys, every layer out of context, and summed.
        What stands between the network and the processors of a board is not in it. From the stage `synth`, as all of
        `ff`, `bram`, `uram` and `dsp`."""
        return None if self._resources is None else int(self._resources.lut)

    @property
    def ff(self) -> int | None:
        """Flip-flops, counted as `lut` is."""
        return None if self._resources is None else int(self._resources.ff)

    @property
    def bram(self) -> float | None:
        """Block RAMs of 36 Kb, halves being those of 18 Kb, counted as `lut` is."""
        return None if self._resources is None else self._resources.bram_36k

    @property
    def uram(self) -> int | None:
        """UltraRAMs, counted as `lut` is."""
        return None if self._resources is None else int(self._resources.uram)

    @property
    def dsp(self) -> int | None:
        """DSP slices, counted as `lut` is."""
        return None if self._resources is None else int(self._resources.dsp)

    @property
    def cycles(self) -> int | None:
        """Clock cycles between two frames at full speed: observed in Verilator, of the whole network.

        None too where a single frame was simulated. From the stage `rtlsim`, as `latency_cycles` and `clock_mhz`.
        """
        return None if self._performance is None else self._performance["steady_cycles"]

    @property
    def latency_cycles(self) -> int | None:
        """Clock cycles from the end of reset to the last output of the first frame, observed as `cycles` are."""
        return None if self._performance is None else self._performance["latency_cycles"]

    @property
    def clock_mhz(self) -> float | None:
        """The clock that the build was configured for: chosen, not measured."""
        return None if self._performance is None else self._performance["fclk[mhz]"]

    @property
    def frames_per_second(self) -> float | None:
        """`clock_mhz` over `cycles`: the rate of the accelerator on a board that runs it at that clock. Whether hardware reaches
        it is estimated by the stage `timing`, whose line and summary.md say so."""
        return self.clock_mhz * 1e6 / self.cycles if self.clock_mhz and self.cycles else None

    @property
    def package(self) -> Path | None:
        """The folder with all that a board needs; None too for a board that no package is made for."""
        folder = self.folder / "deploy"
        return folder if "package" in self.results and folder.is_dir() else None

    @cached_property
    def _model(self) -> ResolvedModel | None:
        if "resolve" not in self.results:
            return None
        from pipeline.models import resolve

        return resolve.load(self.results["resolve"])[0]

    @cached_property
    def _certificate(self) -> Certificate | None:
        if "accumulators" not in self.results:
            return None
        from pipeline.accumulators import certificate

        return certificate.Certificate.read(self.results["accumulators"] / "report" / certificate.FILE)

    @cached_property
    def _resources(self) -> Resources | None:
        if "synth" not in self.results:
            return None
        from pipeline.synthesis import synth

        return synth.load(self.results["synth"] / "report" / synth.FILE).total

    @cached_property
    def _performance(self) -> dict[str, Any] | None:
        """report/rtlsim_performance.json, whose keys are FINN's where FINN has them."""
        if "rtlsim" not in self.results:
            return None
        path = self.results["rtlsim"] / "report" / "rtlsim_performance.json"
        try:
            performance = json.loads(path.read_text())
            return {key: performance[key] for key in ("steady_cycles", "latency_cycles", "fclk[mhz]")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"The report {path} cannot be read: {error!r}. Build it again.") from error


def build(
    model: str | Path | BuildConfig | None = None,
    *,
    out: str | Path | None = None,
    config: str | Path | None = None,
    until: str | None = None,
    progress: bool = True,
    verbose: bool = False,
    **options: Any,
) -> BuildResult:
    """Build an accelerator for `model`, as `a2q build` does, in the folder `out`; by default build/<model's name>.

    `model` is a name of `a2q models`, a .onnx or .pth file, or a whole BuildConfig, and `config` a file of build
    configurations, of FINN's settings, or the name of one that comes with the project, by default the model's. `options` are fields of
    BuildConfig by their names, which replace those of the file: `board="ZCU104"`, `accumulators={"policy": "l1"}`.
    `until` names the last stage to run. With `progress` a line a stage is printed, with `verbose` tools' own output too.

    Stages whose results are in `out`/../.a2q-cache from earlier are not run again. Raises the errors of `pipeline.errors`:
    ConfigError for what was asked for, ModelError and UnsupportedError for the network, VerificationError where two things
    differ that must be equal, ToolError and ResourceError for the machine; InternalError for a fault of this package.
    """
    # this stdout, also while a stage's own output is logged
    screen = Screen(Console(file=sys.stdout, emoji=False, quiet=not (progress or verbose)), verbose=verbose)
    chosen = _chosen(model, config, options, screen)
    named = located(chosen.model) if chosen.weights == "trained" else chosen.model
    if not is_path(named):
        find(named)  # before a folder is made for it
    name = Path(chosen.model).stem if is_path(chosen.model) else chosen.model
    folder = Path("build", name) if out is None else path_of("out", out)
    result = flow.build(chosen, folder, STAGES, screen, until=until)
    return BuildResult(result.folder, result.stages, result.seconds, result.results)


def _chosen(
    model: str | Path | BuildConfig | None, config: str | Path | None, options: dict[str, Any], screen: Screen
) -> BuildConfig:
    if isinstance(model, BuildConfig):
        if others := [*(["config"] if config is not None else []), *options]:
            raise ConfigError(
                f"A whole BuildConfig was given to build, and beside it {', '.join(others)}. Put options into it "
                "with model_copy(update={...})."
            )
        return model.model_copy()  # verified, in whatever way it was made
    named = None if model is None else str(model)
    default = config_for(named or BuildConfig.model_fields["model"].default)
    path = default if config is None else path_of("config", config)
    return load_config(
        path, options if named is None else {"model": named, **options}, "pipeline.build", on_note=screen.note
    )
