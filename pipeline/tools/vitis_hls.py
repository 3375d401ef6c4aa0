"""Vitis HLS, where it is on PATH: a layer in HLS C++ becomes an estimate of what it takes of an FPGA.

Newer versions have no program vitis_hls but vitis-run, which takes the same scripts. Results are kept in a cache folder
by the content that they depend on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

from pipeline.codegen.hls import INCLUDE, HlsLayer, HlsNetwork
from pipeline.codegen.render import render_template, write_text
from pipeline.devices.resources import PART_KEYS, Resources
from pipeline.errors import ToolError
from pipeline.files import HLS
from pipeline.scratch import scratch_folder
from pipeline.tools import process
from pipeline.tools.programs import PROGRAMS, Program

__all__ = ["LOG", "Estimated", "find", "read_report", "script", "synthesize", "version", "write_scripts"]

LOG = "console.log"

_SOLUTION = "solution1"
_LOG_LINES = 12


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
    return PROGRAMS["vitis_hls"].find() or PROGRAMS["vitis-run"].find()


def version() -> str:
    """The version of the Vitis HLS on PATH, such as 2022.2. Raises ToolError where there is none or it does not say."""
    printed = _program().version()
    number = re.search(r"\bv(\d{4}\.\d[\d.]*)", printed)
    if not number:
        raise ToolError(f"{find()} names no version of Vitis HLS; it prints first: {printed!r}")
    return number[1]


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
    own = {path.name: path.read_bytes() for path in (layer.source, *layer.headers)}
    files = own | {f"{INCLUDE}/{path.name}": path.read_bytes() for path in sorted(HLS.glob("*.hpp"))}
    found_version = version()
    key = _key(found_version, text, files)
    entry = cache / f"{key}.json"
    if entry.is_file():
        content = json.loads(entry.read_text())
        return Estimated(**content | {"utilization": Resources(**content["utilization"])})
    cache.mkdir(parents=True, exist_ok=True)
    with scratch_folder("vitis-hls", cache, keep_after=ToolError) as folder:
        (folder / INCLUDE).mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / f"{layer.name}.tcl").write_text(text)
        _run(layer.name, folder)
        facts = read_report(folder / _report(layer.name))
        result = Estimated(found_version, part, period_ns, *facts)
        staged = folder / entry.name
        staged.write_text(json.dumps(asdict(result)))
        os.replace(staged, entry)
    return result


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
    found = element.find(path)
    if found is None:
        raise ValueError(f"no {path}")
    return found


def _cycles(text: str) -> int | None:
    """A number of cycles; what depends on the data is undef, or a question mark."""
    return int(text) if text.strip().isdecimal() else None


def _project(top: str) -> str:
    return f"{top}_prj"


def _report(top: str) -> Path:
    return Path(_project(top), _SOLUTION, "syn", "report", "csynth.xml")


def _key(found_version: str, text: str, files: dict[str, bytes]) -> str:
    digest = hashlib.sha256(f"{found_version}\n{text}".encode())
    for name in sorted(files):
        digest.update(f"{name}:{len(files[name])}:".encode())
        digest.update(files[name])
    return digest.hexdigest()


def _run(top: str, folder: Path) -> None:
    """Run `top`.tcl in `folder`; what it prints goes to LOG there."""
    program = _program()
    options = ["-f"] if program.name == "vitis_hls" else ["--mode", "hls", "--tcl"]
    log = folder / LOG
    done = process.run([program.name, *options, f"{top}.tcl"], output=log, cwd=folder)
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").strip().splitlines()[-_LOG_LINES:])
        raise ToolError(
            f"Vitis HLS ended with status {done.returncode}; the whole log is {log}. It ends:\n{tail or '(empty)'}"
        )


def _program() -> Program:
    path = find()
    if path is None:
        raise ToolError(
            "Vitis HLS is not there: no program called vitis_hls or vitis-run is on PATH. Source its settings64.sh."
        )
    return PROGRAMS[path.name]
