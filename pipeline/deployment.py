"""A package in use: on the simulated board or a real one, from this machine, through the unmodified pynq package.

pynq needs an older numpy than the pipeline, so that what talks to a board, and the simulated board itself, run in an
environment of their own: in a checkout .venv-board, which `make board-setup` makes, and otherwise one in the user's cache
folder. A2Q_BOARD_PYTHON names another one's Python.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from a2q_driver.manifest import MANIFEST
from pipeline.dataflow.graph import LayerGraph
from pipeline.devices.boards import PYNQ_PORT, SIMULATED, load_board
from pipeline.errors import ConfigError, ModelError, ResourceError, ToolError
from pipeline.faults import FAULT
from pipeline.files import DRIVER, IS_CHECKOUT, PACKAGES, ROOT
from pipeline.flow import BuildResult
from pipeline.folding import fold
from pipeline.models import resolve
from pipeline.models.resolve import ResolvedModel
from pipeline.package import verify
from pipeline.scratch import scratch_folder
from pipeline.tools import process
from pipeline.user_cache import cache_folder

__all__ = ["Address", "Frames", "board_python", "destination", "serve", "simulated_board", "validate_build"]

_START_SECONDS = 60.0
_NEEDED = ("pynq", "numpy", "grpc")  # of what talks to boards, or is one
_FORESEEN = (1, 2)  # statuses of validate.py: an output differs; it could not be tried
_TAIL_BYTES = 2000  # of what the simulated board says, which may run for long

# Runs pipeline.board_sim with the package in the folder that is its first argument, and none of what lies beside it: the
# packages that an installed pipeline lies among are those of this environment, not of pynq's.
_START = """
import importlib.util, runpy, sys
folder = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location("pipeline", folder + "/__init__.py")
sys.modules["pipeline"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["pipeline"])
runpy.run_module("pipeline.board_sim", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Address:
    """The address of a board's PYNQ.remote server; `process` is the number of a server that was started here."""

    host: str
    port: int
    process: int | None = None


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames to validate a board with.

    `inputs` are uint8 images (N, H, W, C), or raw frames as the network takes them where it takes no images; `expected`
    what the integer graph gives, (N, *output shape); `labels` (N,) are those of the data set, None without one.
    """

    inputs: np.ndarray
    expected: np.ndarray
    labels: np.ndarray | None
    source: str


def board_python() -> Path:
    """The Python of the environment that holds pynq. Raises ResourceError where there is none."""
    path = Path(os.environ.get("A2Q_BOARD_PYTHON") or _environment_folder() / "bin" / "python")
    if not path.is_file():
        raise _no_environment(path, "is missing")
    return path


def _verify_environment() -> None:
    """Raise ResourceError where the environment that is to hold pynq is missing, or lacks a package."""
    path = board_python()
    asked = f"import importlib.util as u; print([n for n in {_NEEDED} if u.find_spec(n) is None])"
    command, seconds = [str(path), "-c", asked], _START_SECONDS
    try:
        done = subprocess.run(
            command, check=False, env=_environment(), capture_output=True, text=True, errors="replace", timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_environment(path, f"cannot be run ({error})") from None
    try:
        missing = json.loads(done.stdout.replace("'", '"'))
    except ValueError:
        raise _no_environment(path, "is no Python") from None
    if missing:
        raise _no_environment(path, f"has no package {missing[0]}")


def _environment_folder() -> Path:
    return ROOT / ".venv-board" if IS_CHECKOUT else cache_folder() / "board-environment"


def _no_environment(path: Path, problem: str) -> ResourceError:
    folder, requirements = _environment_folder(), DRIVER / "requirements.txt"
    make = "make board-setup"
    if not IS_CHECKOUT:
        pip = shlex.join([str(folder / "bin" / "pip"), "install", "--requirement", str(requirements)])
        make = f"{shlex.join([sys.executable, '-m', 'venv', str(folder)])} && {pip}"
    return ResourceError(
        f"The environment for boards is not there: {path} {problem}. `{make}` makes it; A2Q_BOARD_PYTHON may name the "
        f"Python of another one that holds what {requirements} lists."
    )


def destination(board: str, host: str | None, port: int | None) -> Address | None:
    """The address of `board`; None for the simulated one, which is started for it.

    Raises ConfigError where board and address do not go together, or no package can be made for the board;
    ResourceError where pynq's environment is missing or lacks it.
    """
    if board == SIMULATED:
        if (host, port) != (None, None):
            given = host or f"port {port}"
            raise ConfigError(f"The simulated board is started here, so it takes no address; {given!r} was given.")
    else:
        known = load_board(board)
        if known.processing_system is None:
            raise ConfigError(
                f"There are no packages for the {known.name}: it has no processors beside its logic, and block designs "
                "are made around those."
            )
        if host is None:
            raise ConfigError(
                f"The address of the {known.name} is missing: name it with --host (HOST= with make). On the board "
                "itself, run driver/validate.py of the package instead."
            )
    _verify_environment()
    return Address(host, port or PYNQ_PORT) if host else None


def validate_build(result: BuildResult, address: Address | None, count: int | None, say: Callable[[str], None]) -> int:
    """Run frames through the package of a finished build, on the board at `address`, or simulated where it is None.

    `count` test images, or the package's golden frames where that is None. Returns the exit status: 0 where every output
    is that of the integer graph, FAULT after a fault of the driver, 1 for anything else that validate.py tells. Raises
    ModelError for a build without a package, ConfigError for a real board and a package without a bitstream.
    """
    package = result.folder / "deploy"
    manifest = verify(_package_in(package))
    if address is not None and manifest["bitstream"]["kind"] != "vivado":
        raise ConfigError(
            f"{package} holds no bitstream for the {manifest['board']}, because Vivado was not on PATH when it was "
            "built. Run the same build where it is, or take BOARD=sim for the simulated board."
        )
    frames = None
    if count is not None:
        record, golden = resolve.load(result.results["resolve"])
        frames = _test_frames(record, golden, fold.load(result.results["fold"]).graph, count)
        say(f"inputs: {frames.source}")
    if address is not None:
        return _run_validation(package, address, frames)
    say(f"simulated {manifest['board']}: building its model of the RTL in {package}")
    with simulated_board(package) as simulated:
        say(f"simulated {manifest['board']}: listening on {simulated.host}:{simulated.port}")
        return _run_validation(package, simulated, frames)


@contextmanager
def simulated_board(package: Path) -> Iterator[Address]:
    """The simulated board with `package`, on a free port of the loopback interface, until the block is left.

    Raises ModelError for a package that is not as it was made, ToolError where its model cannot be built or started.
    """
    command = [*_board_command(package), "--port", "0", "--until-input-ends"]
    pipe = subprocess.PIPE
    with process.started(command, env=_environment(), text=True, stdin=pipe, stdout=pipe, stderr=pipe) as board:
        assert board.stdout is not None and board.stderr is not None  # they are pipes
        said = _Tail(board.stderr)
        try:
            line = board.stdout.readline()
            if not line:
                board.wait(_START_SECONDS)
                raise ToolError(f"the simulated board did not start: {said.text().strip()}")
            host, _, port = line.split()[-1].rpartition(":")
            yield Address(host, int(port), board.pid)
        finally:
            board.terminate()
            try:
                board.wait(10)
            except subprocess.TimeoutExpired:
                board.kill()
            said.text()  # before its stream is closed


class _Tail:
    """The end of the text from `stream`, which is read until it ends."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._kept = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def text(self) -> str:
        """The text, once the stream has ended."""
        self._reader.join()
        return self._kept

    def _read(self) -> None:
        while piece := self._stream.read(_TAIL_BYTES):
            self._kept = (self._kept + piece)[-_TAIL_BYTES:]


def serve(package: Path, host: str, port: int) -> NoReturn:
    """Become the simulated board with `package`: this process is its server from here on, with all signals it gets.

    Raises ModelError for a folder that is no package, or not as it was made; ToolError where its model cannot be built;
    ResourceError where pynq's environment is missing or lacks it.
    """
    _verify_environment()
    command = [*_board_command(package), "--host", host, "--port", str(port)]
    sys.stdout.flush()
    os.execve(command[0], command, _environment())


def _package_in(folder: Path) -> Path:
    """The absolute path of the package `folder`. Raises ModelError for a folder that is none."""
    if not (folder / MANIFEST).is_file():
        raise ModelError(
            f"There is no package in {folder}: {MANIFEST} is missing. A package is the folder deploy/ of a build for a "
            "board with processors."
        )
    return folder.absolute()


def _board_command(package: Path) -> list[str]:
    from pipeline.tools.board_model import build_library

    package = _package_in(package)
    rtl = verify(package)["rtl"]
    sources = [package / source for source in rtl["sources"]]
    library = build_library(package / "rtl", rtl["top"], sources, cache_folder() / "board-models")
    return [
        *(str(board_python()), "-B", "-W", "ignore::UserWarning", "-c", _START, str(PACKAGES["pipeline"])),
        *("--package", str(package), "--library", str(library)),
    ]


def _environment() -> dict[str, str]:
    quiet = {"GRPC_VERBOSITY": "NONE"}  # its own lines about what is told anyway, such as a port that is taken
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # packages for this Python
    return {**quiet, **inherited, "PYTHONUNBUFFERED": "1"}


def _run_validation(package: Path, address: Address, frames: Frames | None) -> int:
    """Run the package's own validate.py against the board at `address`; its lines go to this program's output."""
    command = [str(board_python()), "-B", "validate.py", "--host", address.host, "--port", str(address.port)]
    with scratch_folder("validate") as scratch:
        if frames is not None:
            arrays = {"inputfile": frames.inputs, "expected": frames.expected, "labels": frames.labels}
            for option, array in arrays.items():
                if array is not None:
                    np.save(scratch / f"{option}.npy", array)
                    command += [f"--{option}", f"{scratch}/{option}.npy"]
        sys.stdout.flush()
        with process.started(command, cwd=package / "driver") as validation:
            status = validation.wait()
    return status if status == 0 else 1 if status in _FORESEEN else FAULT


def _test_frames(record: ResolvedModel, golden: np.ndarray, graph: LayerGraph, count: int) -> Frames:
    """`count` test images of the model's data set; where it is not at hand up to `count` golden frames.

    `golden` are raw frames (N, *input shape); what is expected of each is computed by `graph`. Raises ConfigError for a
    graph without a transform of its input.
    """
    from pipeline.datasets import catalog
    from pipeline.datasets.image_set import ImageSet
    from pipeline.models.golden import normalised

    if graph.input_transform is None:
        raise ConfigError(f"{record.name} has no transform of its input, so no frames can be given to it.")
    known = record.dataset in catalog.DATASETS and catalog.at_hand(record.dataset, "test")
    images = catalog.load(record.dataset, "test", limit=count) if known else None
    if record.preprocessing is not None and isinstance(images, ImageSet):  # those of a folder are not all held at once
        raw = normalised(images.images, record.preprocessing)
        if raw.shape[1:] == graph.input_transform.raw_shape:
            inputs, source = np.moveaxis(images.images, 1, -1), f"the {images.source}"
            labels = images.labels if catalog.find(record.dataset).labels == "classes" else None
            return Frames(inputs, graph.run(graph.input_transform.apply(raw)), labels, source)
    raw = golden[:count]
    source = f"{len(raw)} golden frames, not test images: {record.golden_source}"
    return Frames(raw, graph.run(graph.input_transform.apply(raw)), None, source)
