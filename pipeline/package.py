"""package: all that a board needs, in one folder that can be copied there.

    manifest.json               what the package is, and the SHA-256 of every other file
    bitfile/                    finn-accel.bit, the .hwh that pynq reads, and weights.bin where layers load their weights
    driver/                     what runs on the board: hw/driver, and how frames of this network lie in memory
    golden/                     input.npy, images.npy where the frames are images, expected_output.npy
    rtl/                        the sources and memory files that the accelerator is made of
    report/                     the proof of its accumulators' widths, with what a stranger needs to check it; board.yaml
    LICENSE, NOTICE             under which terms all this is

Requires a folded graph, its RTL with a2q_accelerator, and what the graph gives for golden frames. Ensures that the same
inputs give the same bytes. Where there is no bitstream, finn-accel.bit is a stand-in which only the simulated board takes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2q_driver import manifest
from a2q_driver.boxes import NUMBERS_OF_A_BOX
from a2q_driver.errors import PackageError
from a2q_driver.packing import slot_bytes, stream_bytes
from a2q_driver.preprocessing import ImageTransform, lookup_table, normalised
from a2q_driver.streams import Stream, io_shape_dict
from a2q_driver.transforms import Transforms, save_transforms
from a2q_driver.weights import load_weights
from pipeline.accumulators.certificate import CHECKER, FILE, WEIGHTS
from pipeline.codegen.accelerator import TOP
from pipeline.codegen.rtl import WEIGHT_FILE, Port, describe_stitched
from pipeline.dataflow.graph import LayerGraph
from pipeline.devices.boards import BOARD_FILE, Board
from pipeline.errors import ModelError
from pipeline.files import DRIVER, ROOT
from pipeline.models.names import Preprocessing
from pipeline.models.resolve import Anchors, ResolvedModel

__all__ = ["BITFILE", "RUNTIME_WEIGHTS", "Package", "run", "simulation_bitfile", "verify"]

BITFILE = "bitfile/finn-accel.bit"
RUNTIME_WEIGHTS = "bitfile/weights.bin"

_DRIVER_FILES = ("driver.py", "validate.py", "requirements.txt", "README.md", "a2q_driver/*.py")
_TERMS = ("LICENSE", "NOTICE")
_LEVELS = 256  # of a pixel

# Of a bit file without a bitstream
_DESIGN = "a2q-simulation-only"
_DATE, _TIME = "1980/01/01", "00:00:00"  # so that the bytes stay the same
_SYNC = bytes.fromhex("0ff00ff00ff00ff000")  # the first field of every bit file


@dataclass(frozen=True)
class Package:
    """The content of a package. `images` says whether the golden frames are there as uint8 images, too."""

    model: str
    board: str
    bitstream: str  # "vivado" or "simulation"
    frames: int
    images: bool
    files: int


def run(
    graph: LayerGraph,
    record: ResolvedModel,
    frames: np.ndarray,
    expected: np.ndarray,
    rtl: Path,
    sources: Sequence[str],
    proof: Path,
    board: Board,
    config_hash: str,
    clock_mhz: float,
    address_map: Mapping[str, tuple[int, int]],
    handoff: Path,
    bitstream: Path | None,
    folder: Path,
) -> Package:
    """Write the package of the folded `graph` to `folder`, which is new or empty.

    `frames`, (N, *input shape) as the network takes them, must give `expected`, (N, height, width, channels) of the
    output stream. `rtl` holds the module a2q_accelerator and all it needs, of which `sources` are read, in that order;
    `config_hash`, 64 hexadecimal digits, is what its registers show. `proof` is the folder that `write_proof` of
    pipeline/accumulators/certificate.py wrote. `handoff` is the .hwh of the block design with
    `clock_mhz` and `address_map`, by cell (base, size); `bitstream` is a .bit of it, or None for the stand-in.

    Raises ModelError for a graph without a transform of its input, or `frames` that do not give `expected`.
    """
    transform = graph.input_transform
    if transform is None:
        raise ModelError(f"The graph {graph.name} does not say how frames become integers; build it again.")
    if not np.array_equal(graph.run(transform.apply(frames)), expected):
        raise ModelError(f"The golden outputs are not what the graph {graph.name} gives for the golden frames.")
    design = describe_stitched(graph, rtl)
    ports = {"input": design.inputs[0], "output": design.outputs[0]}
    _copy_files(ROOT, folder, [Path(name) for name in _TERMS])
    _copy_driver(folder / "driver")
    shapes = io_shape_dict(_stream(ports["input"]), _stream(ports["output"]))
    (folder / "driver" / "io_shape_dict.json").write_text(json.dumps(shapes, indent=2) + "\n")
    save_transforms(folder / "driver" / "transform.npz", _transforms(graph, record))
    images = _write_golden(folder / "golden", frames, expected, record.preprocessing)
    (folder / BITFILE).parent.mkdir()
    shutil.copyfile(handoff, (folder / BITFILE).with_suffix(".hwh"))
    if bitstream is None:
        (folder / BITFILE).write_bytes(simulation_bitfile(board.part, config_hash, handoff.read_bytes()))
    else:
        shutil.copyfile(bitstream, folder / BITFILE)
    sources_and_memories = [path.relative_to(rtl) for path in rtl.rglob("*") if path.is_file()]
    _copy_files(rtl, folder / "rtl", [name for name in sources_and_memories if name != Path(WEIGHT_FILE)])
    _copy_files(proof, folder / "report", [Path(FILE), Path(WEIGHTS), Path(CHECKER)])
    shutil.copyfile(board.file, folder / "report" / BOARD_FILE)
    system = board.processing_system
    assert system is not None  # a package is made where there is a block design, which is around one
    facts: dict[str, Any] = {
        "model": record.name,
        "weights": record.provenance,
        "golden_source": record.golden_source,
        "board": board.name,
        "part": board.part,
        "family": board.family,
        "pll_multiplier": system.pll_multiplier,
        "clock_mhz": float(clock_mhz),
        "config_hash": config_hash,
        "bitstream": {"kind": "simulation" if bitstream is None else "vivado", "file": BITFILE},
        "address_map": {cell: list(span) for cell, span in sorted(address_map.items())},
        "streams": {name: _layout(port) for name, port in ports.items()},
        "rtl": {"top": TOP, "sources": [f"rtl/{source}" for source in sources]},
    }
    after = graph.output_transform
    facts["host"] = {
        "before": [step.op for step in transform.steps],
        "after": [] if after is None or graph.gives_labels else [step.op for step in after.steps],
    }
    if graph.outputs:
        facts["outputs"] = [
            {"name": output.name, "shape": list(output.shape), "after": [step.op for step in output.steps]}
            for output in graph.outputs
        ]
    if design.weight_words.size:
        shutil.copyfile(rtl / WEIGHT_FILE, folder / RUNTIME_WEIGHTS)
        facts["runtime_weights"] = {"file": RUNTIME_WEIGHTS, "words": int(design.weight_words.size)}
    manifest.write_manifest(folder, facts)
    written = verify(folder)
    missing = [source for source in written["rtl"]["sources"] if source not in written["files"]]
    if missing:
        raise ModelError(f"The package of {graph.name} lacks the source {missing[0]}, which {rtl} does not hold.")
    return Package(
        record.name, board.name, written["bitstream"]["kind"], len(frames), images is not None, len(written["files"])
    )


def verify(folder: Path) -> dict[str, Any]:
    """Compare every file of the package in `folder` with its manifest, which is returned.

    Raises ModelError for a file that is missing, changed, not listed, or of another size than the manifest says.
    """
    try:
        load_weights(folder)
        return manifest.verify(folder)
    except PackageError as error:
        raise ModelError(f"{error.fact} Build the package again.") from error


def simulation_bitfile(part: str, config_hash: str, handoff: bytes) -> bytes:
    """A bit file for `part` without a bitstream, which only the simulated board takes.

    It is of the configuration `config_hash` and of the .hwh with the content `handoff`, whose hash it holds.
    """
    data = manifest.SIMULATION + bytes.fromhex(config_hash) + hashlib.sha256(handoff).digest()
    data += bytes(-len(data) % 4)
    texts = {"a": f"{_DESIGN};Version=none", "b": part, "c": _DATE, "d": _TIME}
    fields = b"".join(key.encode() + _with_length(f"{text}\0".encode()) for key, text in texts.items())
    return _with_length(_SYNC) + struct.pack(">H", 1) + fields + b"e" + struct.pack(">I", len(data)) + data


def _with_length(field: bytes) -> bytes:
    return struct.pack(">H", len(field)) + field


def _stream(port: Port) -> Stream:
    return Stream(port.shape, port.type.bits, port.type.signed, port.lanes, slot_bytes(port.bytes))


def _layout(port: Port) -> dict[str, int]:
    return {"slot_bytes": slot_bytes(port.bytes), "stream_bytes": stream_bytes(port.bytes), "beats": port.beats}


def _transforms(graph: LayerGraph, record: ResolvedModel) -> Transforms:
    """The host's work before and after the accelerator."""
    transform, after, preprocessing = graph.input_transform, graph.output_transform, record.preprocessing
    assert transform is not None  # of every network that is built
    images = None
    if preprocessing is not None and len(transform.raw_shape) == 3:
        channels = transform.raw_shape[0]
        mean, std = preprocessing.mean[:channels], preprocessing.std[:channels]
        images = ImageTransform(transform, mean, std, lookup_table(transform, mean, std))
    if after is None or graph.gives_labels:
        return Transforms(transform, images, None, None)
    anchors = None if after.steps else _anchors(graph, record)  # else boxes, or parts of them, are outputs already
    return Transforms(transform, images, after.scale, after.bias, after.steps, after.layout, graph.outputs, anchors)


def _anchors(graph: LayerGraph, record: ResolvedModel) -> np.ndarray | dict[str, np.ndarray] | None:
    """The anchors of the output, or by name of each output that boxes are made of; None where there are none."""
    if not isinstance(record.anchors, dict):
        if not record.anchors or graph.outputs:
            return None
        return _checked(record.anchors, graph.streams[graph.output].shape[2], record.name)
    outputs = {output.name: output for output in graph.outputs}
    unknown = next((name for name in record.anchors if name not in outputs), None)
    if unknown is not None:
        raise ModelError(
            f"{record.name} has anchors of an output {unknown!r}; it has {', '.join(outputs) or 'one output, without a name'}. "
            "Export it with anchors by the names of its outputs."
        )
    grids = {name: own for name, own in record.anchors.items() if not outputs[name].steps}
    if len(grids) < len(record.anchors):
        return None
    channels = {name: outputs[name].shape[0] if len(outputs[name].shape) == 3 else 0 for name in grids}
    return {name: _checked(own, channels[name], f"{record.name}, output {name},") for name, own in grids.items()}


def _checked(anchors: Anchors, channels: int, name: str) -> np.ndarray:
    """`anchors` as an array (A, 2). Raises ModelError where a cell has other `channels` than they need, or there are no
    cells, of 0 channels."""
    if channels % len(anchors) or channels // len(anchors) <= NUMBERS_OF_A_BOX:
        raise ModelError(
            f"{name} has {len(anchors)} anchors, and {channels} channels for each cell; expected anchors * "
            f"({NUMBERS_OF_A_BOX} + classes). Export it with the anchors that it was trained with."
        )
    return np.array(anchors, np.float64)


def _copy_driver(folder: Path) -> None:
    files = [path for pattern in _DRIVER_FILES for path in DRIVER.glob(pattern)]
    _copy_files(DRIVER, folder, [path.relative_to(DRIVER) for path in files])


def _copy_files(source: Path, target: Path, names: Sequence[Path]) -> None:
    for name in sorted(names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _write_golden(
    folder: Path, frames: np.ndarray, expected: np.ndarray, preprocessing: Preprocessing | None
) -> np.ndarray | None:
    """Write the golden frames, and the images that they are made of where those are known, which are returned."""
    folder.mkdir(parents=True)
    np.save(folder / "input.npy", np.ascontiguousarray(frames, np.float32))
    np.save(folder / "expected_output.npy", np.ascontiguousarray(expected, np.int64))
    images = None if preprocessing is None else _images_of(frames, preprocessing)
    if images is not None:
        np.save(folder / "images.npy", images)
    return images


def _images_of(frames: np.ndarray, preprocessing: Preprocessing) -> np.ndarray | None:
    """The uint8 images (N, H, W, C) that become `frames` (N, C, H, W) by `preprocessing`; None if there are none."""
    if frames.ndim != 4:
        return None
    levels = np.arange(_LEVELS, dtype=np.uint8)
    images = np.empty(frames.shape, np.uint8)
    for channel in range(frames.shape[1]):
        mean, std = preprocessing.mean[channel : channel + 1], preprocessing.std[channel : channel + 1]
        values = normalised(levels.reshape(-1, 1, 1, 1), mean, std).ravel()
        order = np.argsort(values)
        places = np.searchsorted(values[order], frames[:, channel]).clip(max=_LEVELS - 1)
        images[:, channel] = levels[order][places]
    if not np.array_equal(normalised(images, preprocessing.mean, preprocessing.std), frames):
        return None
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))
