"""Verilator: a design becomes an executable that takes streams from files and gives streams back.

The model's C++ is compiled here rather than by Verilator's makefile: that needs no `make` and no `python` on PATH, and
Verilator's own runtime is compiled once for all models.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.codegen.rtl import WEIGHT_FILE, Design, write_design
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.packing import pack, unpack
from pipeline.errors import DeadlockError, ToolError
from pipeline.files import TESTBENCHES
from pipeline.scratch import scratch_folder
from pipeline.tools import process
from pipeline.tools.pool import side_by_side
from pipeline.tools.programs import PROGRAMS
from pipeline.tools.tool import Package, contents
from pipeline.user_cache import cache_folder

__all__ = [
    "Model",
    "SimulationResult",
    "build_model",
    "compile_model",
    "content_key",
    "lint",
    "ports_header",
    "simulate",
    "version",
]

_VERILATOR = Package("verilator")
version = _VERILATOR.version

_TESTBENCH = TESTBENCHES / "stream_tb.cpp"
_CXX_FLAGS = ["-O1", "-std=gnu++17", "-DVL_TIME_CONTEXT", "-DVM_SC=0", "-DVM_TRACE=0", "-DVM_COVERAGE=0", "-w"]
# Hidden, each library keeps to its own copy of the runtime. Its testbench says what warnings and errors do.
_LIBRARY_FLAGS = ["-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-DVL_USER_WARN", "-DVL_USER_FATAL"]
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
_UNIT_BYTES = 400_000  # of source in a unit: reading Verilator's headers takes as long as compiling some 300 kB


@dataclass(frozen=True)
class SimulationResult:
    """What a simulation gave, by stream, in the order of the ports.

    Cycles count from the release of reset, or from when all weights are there where a design loads some: 0 is what
    happened before.
    """

    outputs: dict[str, np.ndarray]  # (N, H, W, C), int64
    cycles: int
    first_cycles: dict[str, int]  # when the first beat of each output left
    frames: dict[str, list[int]]  # when the last beat of each frame of each output left
    input_cycles: dict[str, int]  # when the last beat of each input was taken, if before the last output left
    stats: dict[str, dict[str, list[Any]]] = field(repr=False)  # instance path → key → integers, or tuples of them

    @property
    def first_output_cycle(self) -> int:
        return next(iter(self.first_cycles.values()))

    @property
    def frame_cycles(self) -> list[int]:
        """When each frame had left the first output."""
        return next(iter(self.frames.values()))


@dataclass(frozen=True)
class Model:
    """A compiled design. Memory files are read when it runs, not when it is compiled."""

    design: Design
    executable: Path

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        frames: Mapping[str, int] | None = None,
        *,
        stalls: int | None = None,
        idle_limit: int = 100_000,
        trace: int | None = None,
    ) -> SimulationResult:
        """Send `inputs`, int64 arrays of shape (N, H, W, C) by stream, and take `frames` from the outputs.

        `frames` may be left out if every input has as many frames as every output gives. `stalls` is the seed of random
        gaps on every port; None is full speed. Weights that the design loads are sent first, and with gaps input is
        offered meanwhile. `trace` has every FIFO report, as the stat `span`, how many beats it took and how many cycles its
        writer was held back in each so many cycles from the release of reset on. Raises DeadlockError if no port moves for `idle_limit` cycles.
        """
        if frames is None:
            (count,) = {len(array) for array in inputs.values()}
            frames = dict.fromkeys((port.stream for port in self.design.outputs), count)
        with scratch_folder("sim") as scratch:
            arguments = [str(idle_limit), str(0 if stalls is None else stalls + 1)]
            if len(self.design.weight_words):
                arguments.append(WEIGHT_FILE)
            for port in self.design.inputs:
                path = scratch / port.name
                pack(port.sent(inputs[port.stream]), port.type, port.lanes).tofile(path)
                arguments.append(str(path))
            for port in self.design.outputs:
                arguments += [str(Path(scratch, port.name)), str(port.beats), str(frames[port.stream])]
            arguments += [f"+trace={trace}"] if trace else []
            done = process.run([self.executable, *arguments], cwd=self.design.folder)
            report = _Report(done.stdout)
            if done.returncode == 3:
                raise DeadlockError(self._describe_hang(report, idle_limit))
            if done.returncode:
                raise ToolError(
                    f"the simulation of {self.design.name} ended with status {done.returncode}: "
                    f"{(done.stderr or done.stdout).strip()[-500:]}"
                )
            outputs = {}
            for port in self.design.outputs:
                beats = np.fromfile(Path(scratch, port.name), np.uint8).reshape(-1, port.bytes)
                outputs[port.stream] = port.received(unpack(beats, port.type, port.lanes, port.shape))
        return SimulationResult(
            outputs,
            report.end,
            {port.stream: report.first[port.name] for port in self.design.outputs},
            {port.stream: report.frames[port.name] for port in self.design.outputs},
            {port.stream: report.input[port.name] for port in self.design.inputs if port.name in report.input},
            report.stats,
        )

    def _describe_hang(self, report: _Report, idle_limit: int) -> str:
        lines = [f"{self.design.name} is stuck: no port moved for {idle_limit} cycles."]
        for name, (moved, total, valid, ready) in report.ports.items():
            lines.append(f"  {name}: {moved} of {total} beats moved; valid {valid}, ready {ready}")
        for path, stats in report.stats.items():
            for count, in_valid, in_ready, out_valid, out_ready in stats.get("state", []):
                if in_valid and not in_ready:
                    lines.append(f"  {path}: full ({count} beats), its producer is blocked")
                if out_ready and not out_valid:
                    lines.append(f"  {path}: empty, its consumer waits")
        return "\n".join(lines)


class _Report:
    """The lines a model prints, by kind."""

    def __init__(self, text: str) -> None:
        self.end = 0
        self.first: dict[str, int] = {}
        self.input: dict[str, int] = {}
        self.frames: dict[str, list[int]] = {}
        self.ports: dict[str, tuple[int, ...]] = {}
        self.stats: dict[str, dict[str, list[Any]]] = {}
        for line in text.splitlines():
            match line.split():
                case ["end", cycle]:
                    self.end = int(cycle)
                case ["first", port, cycle]:
                    self.first[port] = int(cycle)
                case ["input", port, cycle]:
                    self.input[port] = int(cycle)
                case ["frame", port, cycle]:
                    self.frames.setdefault(port, []).append(int(cycle))
                case ["port", port, *values]:
                    self.ports[port] = tuple(map(int, values))
                case ["stat", path, key, value]:
                    self.stats.setdefault(path, {}).setdefault(key, []).append(int(value))
                case ["stat", path, key, *values]:
                    self.stats.setdefault(path, {}).setdefault(key, []).append(tuple(map(int, values)))


def lint(sources: Sequence[Path], top: str, parameters: Mapping[str, int] | None = None) -> str:
    """What `verilator --lint-only -Wall` says of `top`: an empty string if it is clean."""
    overrides = [f"-G{key}={value}" for key, value in (parameters or {}).items()]
    command = [_binary(), "--lint-only", "-Wall", "--top-module", top, *overrides, *sources]
    done = process.run(command, env=_environment())
    return (done.stdout + done.stderr).strip() if done.returncode or "%Warning" in done.stderr else ""


def _with_simulation_models(sources: Iterable[Path]) -> list[Path]:
    """`sources`, with the files of hw/tb in the place of those of their names."""
    models = {path.name: path for path in TESTBENCHES.glob("*.sv")}
    return [models.get(source.name, source) for source in sources]


def build_model(
    design: Design, folder: Path, *, jobs: int = 2, optimized: bool = True, simulation_models: bool = False
) -> Model:
    """Compile `design`; not `optimized` it takes a third of the time, and its simulation longer; both are
    shorter with `simulation_models`, modules of hw/tb that are proven to be equal to those of their names. A model of the
    same sources that `folder` already holds is used again.
    """
    sources = _with_simulation_models(design.sources) if simulation_models else design.sources
    key = content_key([*sources, _TESTBENCH])
    executable = folder / f"{design.name}-{key}{'' if optimized else '-O0'}"
    if not executable.is_file():
        compile_model(
            design.name,
            sources,
            _TESTBENCH,
            executable,
            folder=design.folder,
            headers={"ports.h": ports_header(design)},
            defines=("A2Q_STATS",),
            jobs=jobs,
            optimized=optimized,
        )
    return Model(design, executable)


def content_key(files: Iterable[Path], *, shared: bool = False) -> str:
    """16 hexadecimal digits of what the model depends on that `files` are compiled to: they, the tools and the flags."""
    facts = (PROGRAMS["g++"].key(), *_CXX_FLAGS, *(_LIBRARY_FLAGS if shared else ()))
    return _VERILATOR.content_key(facts, contents(files))[:16]


def compile_model(
    top: str,
    sources: Sequence[Path],
    testbench: Path,
    target: Path,
    *,
    folder: Path,
    headers: Mapping[str, str] | None = None,
    defines: Sequence[str] = (),
    shared: bool = False,
    jobs: int = 2,
    optimized: bool = True,
) -> None:
    """Compile the module `top` of `sources` with the C++ of `testbench` to `target`, an executable.

    With `shared` it is a library that shows only what the testbench says, so that one process can load several of them.
    The testbench finds the class Vtop in Vtop.h, and each of `headers`, text by file name. Verilator runs in `folder`,
    from where the sources name files. `target` appears when it is complete. Raises ToolError with the output of the tool
    that failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = [*_CXX_FLAGS, *(_LIBRARY_FLAGS if shared else ()), *(() if optimized else ("-O0",))]
    include = _VERILATOR.require() / "include"
    with scratch_folder("verilator", target.parent) as scratch:
        objects = scratch.resolve()
        _verilate(top, sources, objects, folder, defines)
        for name, text in (headers or {}).items():
            (objects / name).write_text(text)
        flags += [f"-I{objects}", f"-I{include}", f"-I{include}/vltstd"]
        units = _units([testbench.resolve(), *sorted(objects.glob("V*.cpp"))], objects)
        compiled = [unit.with_suffix(".o") for unit in units]
        calls = [
            partial(_compile, unit, target, [*flags, *unit_flags])
            for (unit, unit_flags), target in zip(units.items(), compiled, strict=True)
        ]
        side_by_side(calls, jobs)
        built = objects / "model"
        linked = ["-shared"] if shared else []
        command = ["g++", *linked, "-o", built, *compiled, *_runtime_objects(shared), "-pthread"]
        process.call(command, f"linking {top}", temporary=objects)
        os.replace(built, target)


def simulate(
    layers: Sequence[Layer], inputs: Mapping[str, np.ndarray], folder: Path, *, stalls: int | None = None
) -> SimulationResult:
    """Generate, compile and run `layers` on `inputs`. Streams that no layer reads are the outputs."""
    read = {stream for layer in layers for stream in layer.input_names}
    outputs = [stream for layer in layers for stream in layer.output_names if stream not in read]
    design = write_design(layers, list(inputs), outputs, folder, "dut")
    return build_model(design, folder / "model").run(inputs, stalls=stalls)


def _verilate(top: str, sources: Sequence[Path], objects: Path, folder: Path, defines: Sequence[str]) -> None:
    command = [
        _binary(), "--cc", "-O3", "--x-assign", "unique", "--x-initial", "unique", "-Wno-fatal", "-Werror-USERERROR",
        *(f"-D{name}" for name in defines), "--top-module", top, "--prefix", "Vtop", "--Mdir", str(objects),
        "--output-split", "20000", *(str(source.resolve()) for source in sources),
    ]  # fmt: skip
    process.call(command, f"verilating {top}", temporary=objects, cwd=folder, env=_environment())


def _units(sources: Sequence[Path], folder: Path) -> dict[Path, list[str]]:
    """Files in `folder` that include `sources`, one for all of a small model, with the flags of their own.

    What runs once, when a simulation begins, is not optimized where it is much: that would take longer than it saves.
    """
    if sum(source.stat().st_size for source in sources) <= _UNIT_BYTES:
        groups: list[tuple[list[Path], list[str]]] = [(list(sources), [])]
    else:
        once = [source for source in sources if source.stem.endswith("__Slow")]  # so Verilator calls it
        often = [source for source in sources if source not in once]
        groups = [(group, []) for group in _packed(often)] + [(group, ["-O0"]) for group in _packed(once)]
    units = {}
    for i, (group, flags) in enumerate(groups):
        unit = folder / f"unit{i}.cc"
        unit.write_text("".join(f'#include "{source}"\n' for source in group))
        units[unit] = flags
    return units


def _packed(sources: Sequence[Path]) -> list[list[Path]]:
    """`sources` in groups of up to _UNIT_BYTES; a larger one is alone."""
    groups: list[list[Path]] = []
    room = 0
    for source in sources:
        size = source.stat().st_size
        if size > room:
            groups.append([])
            room = _UNIT_BYTES
        groups[-1].append(source)
        room -= size
    return groups


def ports_header(design: Design) -> str:
    """The header ports.h of hw/tb/stream_tb.cpp."""
    inputs = " ".join(f"X({port.name}, {port.bytes})" for port in design.inputs)
    outputs = " ".join(f"X({port.name}, {port.bytes})" for port in design.outputs)
    weights = "X(s_axis_weights, 4)" if len(design.weight_words) else ""
    return (
        '#include "Vtop.h"\n#define TOP_CLASS Vtop\n'
        f"#define WEIGHT_STREAMS(X) {weights}\n"
        f"#define INPUT_STREAMS(X) {inputs}\n#define OUTPUT_STREAMS(X) {outputs}\n"
    )


def _compile(source: Path, target: Path, flags: Sequence[str]) -> None:
    process.call(["g++", "-c", *flags, "-o", target, source], f"compiling {source.name}", temporary=target.parent)


def _runtime_objects(shared: bool) -> list[Path]:
    """Verilator's runtime, compiled once for each version and compiler into the user's cache."""
    folder = cache_folder() / f"verilator-{version()}-{content_key([], shared=shared)}"
    include = _VERILATOR.require() / "include"
    targets = []
    for name in _RUNTIME:
        target = folder / name.replace(".cpp", ".o")
        if not target.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with scratch_folder("verilator", folder) as scratch:
                flags = [*_CXX_FLAGS, *(_LIBRARY_FLAGS if shared else ()), "-O2"]
                flags += [f"-I{include}", f"-I{include}/vltstd"]
                _compile(include / name, scratch / "object.o", flags)
                os.replace(scratch / "object.o", target)
        targets.append(target)
    return targets


def _binary() -> str:
    return str(_VERILATOR.require() / "bin" / "verilator")


def _environment() -> dict[str, str]:
    return {**os.environ, "VERILATOR_ROOT": str(_VERILATOR.require())}
