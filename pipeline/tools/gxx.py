"""g++: layers in HLS C++ become a program that takes streams from files and gives streams back.

The headers of ap_int are Vitis HLS's own where it is installed (XILINX_HLS, or vitis_hls on PATH), else those that the
hls4ml package ships. Streams are those of hw/tb/processes.hpp.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.codegen.hls import HlsLayer
from pipeline.errors import DeadlockError, ToolError, VerificationError
from pipeline.files import HLS, TESTBENCHES
from pipeline.scratch import scratch_folder
from pipeline.tools import process
from pipeline.tools.pool import side_by_side
from pipeline.tools.programs import PROGRAMS
from pipeline.tools.tool import Package, contents

__all__ = ["FLAGS", "NEEDS", "Extremes", "Program", "build_program", "headers", "headers_version", "version"]

_GXX = PROGRAMS["g++"]
version = _GXX.version
_HLS4ML = Package("hls4ml")

_MAIN = '#include "cppsim_main.hpp"\n\nint main(int count, char **words) { return a2q::main(count, words); }\n'
FLAGS = ("-std=c++14", "-O1", "-DA2Q_CPPSIM")
NEEDS = "-DA2Q_NEEDS"  # a flag for programs that are asked for `inputs_needed`
_HEADER = "ap_int.h"
# Layers, and bytes of their files, in a unit: reading the headers takes g++ as long as compiling three small layers.
_UNIT_LAYERS, _UNIT_BYTES = 8, 60_000


@dataclass(frozen=True)
class Extremes:
    """What was seen of one accumulator of a layer, `width` bits wide: of every partial sum, and of those that were used.

    None where there was no such sum.
    """

    width: int
    partial: tuple[int, int] | None
    used: tuple[int, int] | None


@dataclass(frozen=True)
class Program:
    """Compiled layers, by name; a network is one too."""

    executable: Path
    layers: Mapping[str, HlsLayer]

    def run(
        self, name: str, inputs: Sequence[np.ndarray], mode: str
    ) -> tuple[list[np.ndarray], dict[str, list[Extremes]]]:
        """What the layer `name` gives for `inputs`, integers (N, H, W, C) each, and by layer what its accumulators held.

        `mode` is strict or fast, see hw/hls/numbers.hpp, or, for a network, bounded: its layers side by side, in fast
        numbers, with streams as deep as its source says. Raises VerificationError, naming the layer, for a number that
        leaves its range, and for a stream that is read when it is empty or in which something is left; and DeadlockError,
        naming layers and streams, where the layers of a network wait for each other.
        """
        outputs, said = self._run(name, inputs, mode)
        return outputs, _extremes(said)

    def inputs_needed(self, name: str, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """After how many beats of each of `inputs`, as far as they have so many, each beat of the layer's output has come,
        int64 (output beats,).

        For a layer that was compiled with NEEDS.
        """
        _, said = self._run(name, inputs, "needs")
        (line,) = (line for line in said if line.startswith("needs"))
        return np.array(line.split()[1:], np.int64)

    def _run(self, name: str, inputs: Sequence[np.ndarray], mode: str) -> tuple[list[np.ndarray], list[str]]:
        layer = self.layers[name]
        where = f"C++ simulation in {'ap_int' if mode == 'strict' else 'native integers'}: layer"
        (frames,) = {len(array) for array in inputs}
        with scratch_folder("cppsim") as scratch:
            files = [[str(Path(scratch, port.name)) for port in ports] for ports in (layer.inputs, layer.outputs)]
            for port, file, values in zip(layer.inputs, files[0], inputs, strict=True):
                port.sent(values.astype(_dtype(port.type.bits, port.type.signed))).tofile(file)
            done = process.run([self.executable, mode, layer.layer, frames, *files[0], "--", *files[1]])
            if done.returncode == 1:
                raise VerificationError(f"{where} {done.stderr.strip()}")
            if done.returncode == 3:
                raise DeadlockError(
                    f"the C++ of {name} is stuck, with streams as deep as it says: {done.stderr.strip()}"
                )
            if done.returncode:
                raise ToolError(
                    f"the C++ simulation of {name} ended with status {done.returncode}: {done.stderr[-500:]}"
                )
            lines = done.stdout.splitlines()
            if others := [line for line in lines if not line.startswith(("extremes ", "needs"))]:
                raise VerificationError(f"{where} {name}: {others[0]}")  # ap_int says there what is against its use
            if mode == "needs":
                return [], lines
            outputs = [
                port.received(
                    np.fromfile(file, _dtype(port.type.bits, port.type.signed))
                    .astype(np.int64)
                    .reshape(frames, *port.shape)
                )
                for port, file in zip(layer.outputs, files[1], strict=True)
            ]
        return outputs, lines


def build_program(
    layers: Sequence[HlsLayer],
    folder: Path,
    *,
    include: Path = HLS,
    flags: Sequence[str] = FLAGS,
    jobs: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> Program:
    """Compile `layers`, several to a unit and `jobs` units at once, with the kernels of `include`.

    What `folder` holds of the same sources is used again; other builds may use it at the same time. `on_progress` is told
    how many units of how many are compiled. Raises ToolError with what g++ said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _GXX.require()
    kernels = [*sorted(include.glob("*.hpp")), *sorted(TESTBENCHES.glob("*.hpp")), headers() / _HEADER]
    common = _GXX.content_key(flags, contents(kernels))
    with scratch_folder("g++", folder) as scratch:
        main = scratch / "main.cpp"
        main.write_text(_MAIN)
        objects, missing = [], {}  # of each object the files that are compiled to it
        for sources, read in (((main,), ()), *_units(layers)):
            key = _GXX.content_key([common], contents((*sources, *read)))[:16]
            objects.append(folder / f"{sources[0].stem}-{key}.o")
            if not objects[-1].is_file():
                missing[objects[-1]] = sources
        options = [*flags, f"-I{include}", f"-I{TESTBENCHES}", "-isystem", str(headers())]

        def compile_object(target: Path, sources: Sequence[Path]) -> None:
            unit, new = scratch / f"{target.stem}.cc", scratch / target.name
            unit.write_text("".join(f'#include "{source.resolve()}"\n' for source in sources))
            command = ["g++", "-c", *options, "-o", new, unit]
            names = ", ".join(source.name for source in sources)
            process.call(command, f"compiling {names}", temporary=scratch)
            os.replace(new, target)

        side_by_side([partial(compile_object, *entry) for entry in missing.items()], jobs, on_progress)
        key = _GXX.content_key((path.name for path in objects), ())[:16]
        executable = folder / f"cppsim-{key}"
        if not executable.is_file():
            built = scratch / "program"
            process.call(["g++", "-o", built, *objects], "linking the C++ simulation", temporary=scratch)
            os.replace(built, executable)
    return Program(executable, {layer.layer: layer for layer in layers})


def _units(layers: Sequence[HlsLayer]) -> list[tuple[list[Path], list[Path]]]:
    """The sources of each unit of `layers`, in their order, and the other files that those include."""
    units: list[tuple[list[Path], list[Path]]] = []
    size = _UNIT_BYTES
    for layer in layers:
        if size >= _UNIT_BYTES or len(units[-1][0]) == _UNIT_LAYERS:
            units.append(([], []))
            size = 0
        sources, read = units[-1]
        sources.append(layer.source)
        read.extend(layer.headers)
        size += sum(path.stat().st_size for path in (layer.source, *layer.headers))
    return units


def headers() -> Path:
    """The folder of ap_int.h."""
    vitis = _vitis()
    return vitis / "include" if vitis else _HLS4ML.require() / "templates" / "vivado" / "ap_types"


def headers_version() -> str:
    """Whose headers these are: Vitis HLS with the name of its folder, which is its version, or hls4ml with its own."""
    vitis = _vitis()
    return f"Vitis HLS {vitis.name}" if vitis else f"hls4ml {_HLS4ML.version()}"


def _vitis() -> Path | None:
    named, tool = os.environ.get("XILINX_HLS"), shutil.which("vitis_hls")
    for root in (Path(named) if named else None, Path(tool).resolve().parents[1] if tool else None):
        if root and (root / "include" / _HEADER).is_file():
            return root
    if named:
        raise ToolError(
            f"XILINX_HLS is {named}, but {_HEADER} is missing in {Path(named, 'include')}. Name the "
            "folder of Vitis HLS, or unset it for the headers of hls4ml."
        )
    return None


def _dtype(bits: int, signed: bool) -> np.dtype:
    """As `native` in hw/hls/numbers.hpp."""
    size = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
    return np.dtype(f"{'i' if signed else 'u'}{size}")


def _extremes(lines: Sequence[str]) -> dict[str, list[Extremes]]:
    result: dict[str, list[Extremes]] = {}
    for line in lines:
        match line.split():
            case ["extremes", layer, _, *values]:
                width, least, greatest, least_used, greatest_used = map(int, values)
                extremes = Extremes(width, _range(least, greatest), _range(least_used, greatest_used))
                result.setdefault(layer, []).append(extremes)
    return result


def _range(least: int, greatest: int) -> tuple[int, int] | None:
    return (least, greatest) if least <= greatest else None
