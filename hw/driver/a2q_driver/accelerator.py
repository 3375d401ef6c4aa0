"""The accelerator of a package: frames in, outputs out.

    with Accelerator("deploy") as accelerator:                       # on the board
    with Accelerator("deploy", host="192.168.2.99") as accelerator:  # from another machine
        labels = accelerator.predict(images)                         # uint8, (N, height, width, channels)

While the accelerator works on one chunk of frames, the next is packed and the last unpacked. A lock in the accelerator
keeps programs apart that share it; so threads may share an Accelerator, too. After an error the accelerator is reset, and
the next batch can be tried.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from a2q_driver.board import Board, Registers
from a2q_driver.boxes import Boxes
from a2q_driver.dma import DmaEngine
from a2q_driver.errors import ClosedError, DriverError, DtypeError, PackageError, RangeError, ShapeError
from a2q_driver.manifest import ACCELERATOR, DMA, MANIFEST, verify
from a2q_driver.metrics import throughput_metrics
from a2q_driver.resizing import resized
from a2q_driver.shell import Counters, Shell
from a2q_driver.streams import streams_of
from a2q_driver.transfers import Transfers
from a2q_driver.transforms import load_transforms
from a2q_driver.weights import in_memory, load_weights

__all__ = ["PYNQ_PORT", "Accelerator", "Batch"]

PYNQ_PORT = 7967

_IO_SHAPES = "driver/io_shape_dict.json"
_TRANSFORM = "driver/transform.npz"
_CLOCK_KNOWN = 1e-3  # the share by which pynq's figure for a board's crystal may be rounded
_BUFFER_BYTES = 4 << 20  # of a buffer, where `batch` does not say how many frames it holds


@dataclass(frozen=True)
class Batch:
    """What is known of a batch: `counted` by the accelerator, `seconds` by this machine.

    `seconds` are those of pack, send, wait, fetch and unpack, which it did, and of all, from when the accelerator was
    ready to the end.
    """

    frames: int
    counted: Counters
    seconds: dict[str, float]


class Accelerator:
    """The accelerator of the package in the folder `package`, or of the package whose bitfile `package` is.

    It is on this board, on `device` of pynq, or on the board whose PYNQ.remote server listens at `host` and `port`. The
    bitfile is loaded unless `download` is False; the board must hold it already then. Weights in UltraRAM, which a bitfile
    cannot bring, are loaded before the first frames, and again after each reset. `timeout_s` is the time in which a frame
    must go in or come out, in which those weights must be loaded, and in which another program must give the accelerator
    free. `batch` is the most frames of a transfer; without it, as many as fit 4 MiB.

    Raises PackageError for a damaged package, BoardError for a board that cannot be used; see `errors`.
    """

    def __init__(
        self,
        package: str | Path,
        host: str | None = None,
        port: int = PYNQ_PORT,
        device: Any = None,
        download: bool = True,
        timeout_s: float = 10.0,
        batch: int | None = None,
    ) -> None:
        if timeout_s <= 0 or (batch is not None and batch < 1):
            raise ValueError(f"timeout_s = {timeout_s} and batch = {batch}; both must be above 0")
        self.package, bitfile = _located(Path(package))
        names = (path.relative_to(self.package).as_posix() for path in (bitfile, bitfile.with_suffix(".hwh")))
        self.manifest = verify(self.package, (*names, _IO_SHAPES, _TRANSFORM))
        self.input, self.output = streams_of(_read_json(self.package / _IO_SHAPES))
        self.transforms = load_transforms(self.package / _TRANSFORM)
        weights = load_weights(self.package)
        self.last_batch: Batch | None = None
        self._closed = False
        largest = max(self.input.frame_bytes, self.output.frame_bytes)
        self._most = batch or max(1, _BUFFER_BYTES // largest)
        self._board = Board(host, port, device)
        try:
            self._overlay = overlay = self._board.load(bitfile, download)
            words = (self.input.words, self.output.words)
            registers = self._registers(overlay, ACCELERATOR)
            shell = Shell(registers, self.manifest["config_hash"], words, len(weights))
            self._transfers = Transfers(
                self._board,
                shell,
                DmaEngine(self._registers(overlay, DMA)),
                lambda: getattr(overlay, DMA),
                input_bytes=self.input.frame_bytes,
                output_bytes=self.output.frame_bytes,
                weights=in_memory(weights, self.input.word_bytes),
                limit=timeout_s,
            )
            shell.check_identity()
        except BaseException:
            self._board.close()
            raise

    def __enter__(self) -> Accelerator:  # noqa: PYI034  boards have Python 3.10, which has no Self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the buffers back, and end the connection. The bitfile stays on the board."""
        self._closed = True
        try:
            self._transfers.close()
        except DriverError:
            pass  # a board that is lost has no buffers any more
        finally:
            self._board.close()

    @property
    def simulated(self) -> bool:
        """Whether the board is simulated: its time is not this machine's."""
        return self._board.simulated or self.manifest["bitstream"].get("kind") == "simulation"

    @property
    def clock_mhz(self) -> float:
        """The accelerator's clock in megahertz: made of the processing system's, and as far off as that is."""
        ratio = self._board.clock_ratio(self._overlay)
        return self.manifest["clock_mhz"] * (ratio if abs(ratio - 1) > _CLOCK_KNOWN else 1.0)

    def execute(self, frames: np.ndarray) -> np.ndarray:
        """The integers of the output stream, int64 of shape (N, *output.shape), for N `frames`.

        Frames are floating-point numbers as the network takes them, (N, *transforms.input.raw_shape); or integers of the
        input stream, (N, *input.shape); or images, uint8 of (N, height, width, channels), where the package knows the
        network's preprocessing: then uint8 of that shape are always pixels.

        Raises DataError for other frames, BoardError and TransferError for what `errors` draws below them.
        """
        self._check_open()
        frames = np.asarray(frames)
        integers_of = self._reading(frames)
        if len(frames) == 0:
            return np.empty((0, *self.output.shape), np.int64)
        with self._transfers.batch(len(frames)) as before:
            begun = time.monotonic()
            outputs = self._run(frames, integers_of)
            counted = self._transfers.finish(before, len(frames))
            seconds = {**self._transfers.seconds, "all": time.monotonic() - begun}
        self.last_batch = Batch(len(frames), counted, seconds)
        return outputs

    def predict(self, images: np.ndarray, resize: str | None = None) -> np.ndarray | dict[str, np.ndarray]:
        """The classes, int64 of shape (N,), of uint8 `images` of shape (N, height, width, channels).

        Where the accelerator gives no label: the network's real outputs, float64 of shape (N, classes), with all that the
        network does behind its last layer, or, of several outputs, each by its name; see `Transforms.outputs`. With
        `resize`, `bilinear` or `nearest`, images of another size are brought to the network's, see `resizing`; without,
        they are refused. Raises what `execute` raises, and DtypeError where the package does not know how the network takes
        images.
        """
        return self.transforms.outputs(self.execute(self._images(images, resize)))

    def boxes(self, images: np.ndarray, resize: str | None = None, **limits: Any) -> list[Boxes]:
        """The objects in each of `images`, see `predict`, by a detector whose anchors the package has. `limits` may be
        `score_threshold`, `overlap_threshold` and `most` of `boxes` in the module of that name.

        Raises what `predict` raises, and DtypeError where the package has no anchors.
        """
        if self.transforms.anchors is None:
            return self.transforms.boxes(np.zeros(0))  # says why there are none
        return self.transforms.boxes(self.execute(self._images(images, resize)), **limits)

    def _images(self, images: np.ndarray, resize: str | None) -> np.ndarray:
        """`images` as the network takes them."""
        images = np.asarray(images)
        if self.transforms.images is None:
            raise DtypeError("The package does not know how the network takes images, but execute takes its frames.")
        if resize is not None:
            images = resized(images, *self.transforms.images.image_shape[:2], method=resize)
        self.transforms.images.check(images)
        return images

    def throughput_test(self, frames: int) -> dict[str, Any]:
        """Run `frames` frames of zeros, packed before. Returns FINN's metrics, and what the accelerator counted.

        `how` in it says of each how it is known; see `metrics`. Raises what `execute` raises.
        """
        self._check_open()
        if frames < 1:
            raise ShapeError(f"A throughput test of {frames} frames; 1 is the least.")
        transfers, left, seconds = self._transfers, frames, 0.0
        with transfers.batch(frames) as before:
            chunk = self._chunk(frames)
            transfers.prepare(chunk)
            self._pack(0, np.zeros((chunk, *self.input.shape), np.uint8))
            while left:
                count = min(chunk, left)
                begun = time.monotonic()
                transfers.start(0, count)
                transfers.wait(count)
                seconds += time.monotonic() - begun
                left -= count
            counted = transfers.finish(before, frames)
            transfers.flush(0)
            transfers.fetch(0)
            self._unpack(0, chunk)
            spent = dict(transfers.seconds)
        sizes = (self.input.frame_bytes, self.output.frame_bytes)
        return throughput_metrics(frames, seconds, counted, spent, sizes, self.clock_mhz, self.simulated)

    def recover(self) -> None:
        """Reset the accelerator and the DMA, whatever they do and whichever program holds them."""
        self._transfers.recover()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("This Accelerator is closed.")

    def _registers(self, overlay: Any, cell: str) -> Registers:
        """The registers of a cell, where the overlay has them. Raises PackageError if the manifest says otherwise."""
        with self._board.translated():
            description = overlay.ip_dict.get(cell, {})
        place, expected = (
            [description.get("phys_addr"), description.get("addr_range")],
            self.manifest["address_map"].get(cell),
        )
        if place != expected:
            raise PackageError(f"The hardware handoff has {cell} at {place}; the manifest has it at {expected}.")
        return self._board.registers(*place)

    def _reading(self, frames: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """What makes integers of the input stream of `frames`. Raises ShapeError and DtypeError."""
        images, raw = self.transforms.images, self.transforms.input
        if frames.dtype == np.uint8 and images is not None and frames.shape[1:] != self.input.shape:
            images.check(frames)
        if frames.dtype == np.uint8 and images is not None and frames.shape[1:] == images.image_shape:
            return images.apply
        if frames.dtype.kind in "iu":
            self.input.check_shape(frames)
            return np.asarray
        if frames.dtype.kind != "f":
            raise DtypeError(f"Frames of type {frames.dtype}.")
        if frames.ndim == 0 or frames.shape[1:] != raw.raw_shape:
            expected = ", ".join(map(str, raw.raw_shape))
            raise ShapeError(f"Frames of shape {frames.shape}; the network takes (N, {expected}).")
        if not np.isfinite(frames).all():
            raise RangeError("Frames hold NaN or infinity.")
        return raw.apply

    def _chunk(self, frames: int) -> int:
        """Frames of a transfer, as even as can be."""
        transfers = -(-frames // self._most)
        return -(-frames // transfers)

    def _run(self, frames: np.ndarray, integers_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The outputs for `frames`, chunk by chunk; the two sides of the buffers take turns."""
        transfers, chunk = self._transfers, self._chunk(len(frames))
        transfers.prepare(chunk)
        chunks = [frames[begin : begin + chunk] for begin in range(0, len(frames), chunk)]
        outputs: list[np.ndarray] = []
        self._pack(0, chunks[0], integers_of)
        for index, part in enumerate(chunks):
            side = index % 2
            transfers.start(side, len(part))
            if index > 0:
                outputs.append(self._unpack(1 - side, len(chunks[index - 1])))
            if index + 1 < len(chunks):
                self._pack(1 - side, chunks[index + 1], integers_of)
            transfers.wait(len(part))
            transfers.fetch(side)
        outputs.append(self._unpack((len(chunks) - 1) % 2, len(chunks[-1])))
        return np.concatenate(outputs)

    def _pack(
        self, side: int, frames: np.ndarray, integers_of: Callable[[np.ndarray], np.ndarray] = np.asarray
    ) -> None:
        memory = self._transfers.input(side)
        self._transfers.timed("pack", lambda: self.input.pack(integers_of(frames), memory))

    def _unpack(self, side: int, count: int) -> np.ndarray:
        return self._transfers.timed("unpack", self.output.unpack, self._transfers.output(side), count)


def _located(path: Path) -> tuple[Path, Path]:
    """The package's folder, and its bitfile. Raises PackageError where `path` is neither."""
    path = path.absolute()
    if not path.is_file():
        return path, path / str(verify(path, ())["bitstream"].get("file"))
    for folder in path.parents:
        if (folder / MANIFEST).is_file():
            return folder, path
    raise PackageError(f"{path} lies in no package: no folder around it holds {MANIFEST}.")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackageError(f"{path} cannot be read: {error}.") from error
