"""Vitis HLS, where it is on PATH: a layer in HLS C++ becomes an estimate of what it takes of an FPGA.

Newer versions have no program vitis_hls but vitis-run, which takes the same scripts. Results are kept in a cache folder
by the content that they depend on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pipeline.codegen.hls import INCLUDE, HlsLayer, HlsNetwork
from pipeline.codegen.render import render_template, write_text
from pipeline.devices.resources import PART_KEYS, Resources
from pipeline.errors import ToolError
from pipeline.files import HLS
from pipeline.tools.programs import PROGRAMS
from pipeline.tools.tool import Program

__all__ = ["LOG", "Estimated", "find", "read_report", "script", "synthesize", "version", "write_scripts"]

LOG = "console.log"

_SOLUTION = "solution1"
_OPTIONS = {"vitis_hls": ["-f"], "vitis-run": ["--mode", "hls", "--tcl"]}
_PROGRAMS = tuple(PROGRAMS[name] for name in _OPTIONS)


@dataclass(frozen=True)
class Estimated:
    """What Vitis HLS `version` estimates of a layer on `part`, when it is asked for a clock of `period_ns`.

    It does not tell LUTs that are memories or shift registers from others, nor carry chains: these are 0. Latency and
    interval are the most clock cycles that a frame takes, and from one frame to the next; None where it cannot tell.
    """

    version: str
    part: str
    period_ns: float
    utilization: Resources
    estimated_period_ns: float
    latency_cycles: int | None
    interval_cycles: int | None

    @property
    def how(self) -> str:
        """How its figures are known."""
        return f"estimated by Vitis HLS {self.version}"


def find() -> Path | None:
    """The program `vitis_hls` on PATH, or else `vitis-run`; None where there is neither."""
    return _program().find()


def version() -> str:
    """The version of the Vitis HLS on PATH, such as 2022.2. Raises ToolError where there is none or it does not say."""
    return _program().version()


def script(top: str, part: str, period_ns: float, called: Sequence[str] = ()) -> str:
    """The Tcl script that synthesizes the function `top` for `part` at a clock of `period_ns`.

    It stands beside `top`.cpp, and the files of the functions that are `called` there.
    """
    return render_template(
        "layer.tcl.jinja",
        top=top,
        sources=(top, *called),
        part=part,
        period_ns=period_ns,
        include=INCLUDE,
        project=_project(top),
        solution=_SOLUTION,
        report=_report(top).as_posix(),
    )


def write_scripts(network: HlsNetwork, part: str, period_ns: float) -> None:
    """Write the scripts for each layer of `network` and for the whole, <function>.tcl, beside its sources."""
    layers = [layer.name for layer in network.layers]
    for top, called in [*((layer, ()) for layer in layers), (network.whole.name, layers)]:
        write_text(network.folder / f"{top}.tcl", script(top, part, period_ns, called))


def synthesize(layer: HlsLayer, part: str, period_ns: float, cache: Path) -> Estimated:
    """What `layer` takes of `part` at a clock of `period_ns`, estimated; or take that from the folder `cache`.

    Raises ToolError where Vitis HLS is not on PATH, fails, or leaves no report; its work stays in `cache` then.
    """
    text = script(layer.name, part, period_ns)
    sources = {path.name: path.read_bytes() for path in (layer.source, *layer.headers)}
    files = sources | {f"{INCLUDE}/{path.name}": path.read_bytes() for path in sorted(HLS.glob("*.hpp"))}
    program = _program()
    tool_version = program.version()

    def load(fields: Mapping[str, Any]) -> Estimated:
        return Estimated(**{**fields, "utilization": Resources(**fields["utilization"])})

    def make(folder: Path) -> Estimated:
        (folder / INCLUDE).mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / f"{layer.name}.tcl").write_text(text)
        command = [program.name, *_OPTIONS[program.name], f"{layer.name}.tcl"]
        program.run(command, folder, log=folder / LOG)
        facts = read_report(folder / _report(layer.name))
        return Estimated(tool_version, part, period_ns, *facts)

    key = program.content_key([text], sorted(files.items()))
    return program.cached(cache, key, load, make, keep_after=ToolError)


def read_report(path: Path) -> tuple[Resources, float, int | None, int | None]:
    """Resources, the clock period that is estimated in ns, and cycles of latency and interval, from a csynth.xml.

    Raises ToolError for a report that is missing or has other elements.
    """
    try:
        profile = ElementTree.parse(path).getroot()
        resources = {child.tag: int(child.text or "") for child in _found(profile, "AreaEstimates/Resources")}
        utilization = Resources.from_report({key: resources.get(key, 0) for key in PART_KEYS}, PART_KEYS)
        if "LUT" not in resources:
            raise ValueError("no LUT")
        estimates = _found(profile, "PerformanceEstimates")
        period = float(_found(estimates, "SummaryOfTimingAnalysis/EstimatedClockPeriod").text or "")
        overall = _found(estimates, "SummaryOfOverallLatency")
        latency, interval = (_cycles(overall.findtext(name, "")) for name in ("Worst-caseLatency", "Interval-max"))
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise ToolError(f"Vitis HLS left no report as expected in {path} ({error}); its work is beside it.") from None
    return utilization, period, latency, interval


def _found(element: ElementTree.Element, path: str) -> ElementTree.Element:
    child = element.find(path)
    if child is None:
        raise ValueError(f"no {path}")
    return child


def _cycles(text: str) -> int | None:
    """A number of cycles; what depends on the data is undef, or a question mark."""
    return int(text) if text.strip().isdecimal() else None


def _project(top: str) -> str:
    return f"{top}_prj"


def _report(top: str) -> Path:
    return Path(_project(top), _SOLUTION, "syn", "report", "csynth.xml")


def _program() -> Program:
    """The one that is there; or else the first, whose use says what is missing."""
    return next((program for program in _PROGRAMS if program.find()), _PROGRAMS[0])
