"""A small package made by hand, and the simulated board that serves it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2q_driver.manifest import write_manifest
from a2q_driver.packing import slot_bytes, stream_bytes
from pipeline.board_design.description import describe
from pipeline.board_design.hwh import render
from pipeline.codegen.accelerator import TOP, write_accelerator
from pipeline.codegen.rtl import Design, write_design
from pipeline.dataflow.packing import pack, unpack
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import load_board
from pipeline.kernels.mvau import MVAU
from pipeline.package import simulation_bitfile
from pipeline.tools.board_model import build_library

_REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG_HASH = hashlib.sha256(b"the board's test").hexdigest()


def layer() -> MVAU:
    """Six rows of eight columns over a 2 × 2 image: input beats of 2 bytes, output beats of 1."""
    rng = np.random.default_rng(5)
    weights = rng.integers(-4, 4, (6, 8))
    thresholds = np.sort(rng.integers(-60, 60, (6, 3)), axis=1)
    return MVAU(
        "layer", ("x",), ("y",), weights, IntType.of_bits(4, signed=False), IntType(0, 3), (2, 2), thresholds,
        pe=2, simd=4,
    )  # fmt: skip


@dataclass(frozen=True)
class Deployment:
    """A package, the library of its model, and what its frames are in memory."""

    folder: Path
    library: Path
    design: Design

    def pack(self, frames: np.ndarray) -> np.ndarray:
        """Frames (N, H, W, C) as the bytes in memory, uint8 (N, bytes)."""
        (port,) = self.design.inputs
        beats = pack(frames, port.type, port.lanes)
        slots = np.zeros((len(beats), slot_bytes(port.bytes)), np.uint8)
        slots[:, : port.bytes] = beats
        return slots.reshape(len(frames), -1)

    @property
    def output_frame_bytes(self) -> int:
        (port,) = self.design.outputs
        return port.beats * slot_bytes(port.bytes)

    def unpack(self, data: np.ndarray) -> np.ndarray:
        """The inverse for output frames."""
        (port,) = self.design.outputs
        slots = data.reshape(-1, slot_bytes(port.bytes))
        assert not slots[:, port.bytes :].any()
        return unpack(np.ascontiguousarray(slots[:, : port.bytes]), port.type, port.lanes, port.shape)


def make_deployment(folder: Path, board_name: str = "KV260", config_hash: str = CONFIG_HASH) -> Deployment:
    """Write a package of `layer` for a board to `folder`/deploy and build its library."""
    board = load_board(board_name)
    deploy = folder / "deploy"
    rtl = deploy / "rtl"
    design = write_design([layer()], ["x"], ["y"], rtl, "finn_design_wrapper")
    accelerator = write_accelerator(design, rtl, config_hash)
    sources = []
    for source in [*design.sources, accelerator]:
        if source.parent != rtl:
            shutil.copy(source, rtl)
        sources.append(f"rtl/{source.name}")
    (port_in,), (port_out,) = design.inputs, design.outputs
    widths = {"input_stream_bytes": stream_bytes(port_in.bytes), "output_stream_bytes": stream_bytes(port_out.bytes)}
    block_design = describe(board, board.clock_period_ns, **widths)
    handoff = render(block_design)
    bitfile = deploy / "bitfile"
    bitfile.mkdir()
    (bitfile / "finn-accel.hwh").write_text(handoff)
    (bitfile / "finn-accel.bit").write_bytes(simulation_bitfile(board.part, config_hash, handoff.encode()))
    manifest = {
        "model": "a_layer",
        "weights": "random",
        "board": board.name,
        "part": board.part,
        "family": board.family,
        "pll_multiplier": board.processing_system.pll_multiplier,
        "clock_mhz": block_design.clock_mhz,
        "config_hash": config_hash,
        "bitstream": {"kind": "simulation", "file": "bitfile/finn-accel.bit"},
        "address_map": dict(block_design.address_map),
        "streams": {"input": _stream(port_in), "output": _stream(port_out)},
        "rtl": {"top": TOP, "sources": sources},
    }
    write_manifest(deploy, manifest)
    library = build_library(rtl, TOP, [deploy / source for source in sources], folder / "libraries")
    return Deployment(deploy, library, design)


def bit_file(design: str, part: str, data: bytes) -> bytes:
    """`data` in the format of .bit files."""
    start = struct.pack(">H", 9) + bytes.fromhex("0ff00ff00ff00ff000") + struct.pack(">H", 1)
    texts = zip(b"abcd", (design, part, "2000/01/01", "00:00:00"), strict=True)
    fields = [struct.pack(">cH", bytes([key]), len(text) + 1) + text.encode() + b"\0" for key, text in texts]
    return start + b"".join(fields) + struct.pack(">cI", b"e", len(data)) + data


@contextmanager
def served(deployment: Deployment, *options: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """The simulated board on a free port of this machine. It must end when it is told to."""
    process = start(deployment, *options)
    line = process.stdout.readline()
    try:
        assert line, process.stderr.read()
        yield process, int(line.rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=10)
        finally:
            process.kill()


def start(deployment: Deployment, *options: str) -> subprocess.Popen:
    """The server's process beside the package, with `options` after those for a free port."""
    command = [board_python(), "-B", "-m", "pipeline.board_sim", "--package", str(deployment.folder)]
    command += ["--library", str(deployment.library), "--port", "0", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
    return subprocess.Popen(command, cwd=deployment.folder.parent, env=environment, **pipes)


def run_client(scenario: str, port: int, *arguments: object, timeout: float = 120) -> dict:
    """What `scenario` of client.py reports, run with the real pynq."""
    command = _client_command(scenario, port, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def client_to_kill(scenario: str, port: int, *arguments: object) -> Iterator[None]:
    """A client that has reported; it is killed where the block ends."""
    command = _client_command(scenario, port, *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout.readline()
            yield
        finally:
            process.kill()


def _client_command(scenario: str, port: int, *arguments: object) -> list[str]:
    return [board_python(), str(Path(__file__).with_name("client.py")), scenario, str(port), *map(str, arguments)]


def board_python() -> str:
    """The Python of the environment that holds pynq."""
    return os.environ.get("A2Q_BOARD_PYTHON") or str(_REPOSITORY / ".venv-board" / "bin" / "python")


def _stream(port) -> dict[str, int]:
    return {"slot_bytes": slot_bytes(port.bytes), "stream_bytes": stream_bytes(port.bytes), "beats": port.beats}
