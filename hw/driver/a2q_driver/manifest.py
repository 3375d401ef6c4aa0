"""The manifest of a package: what the package is, and the SHA-256 of every file in it.

manifest.json lies in the package's folder, beside the folders of its files:

    format          1
    model, weights  the name of the network, and a sentence on where its weights come from
    board, part, family, clock_mhz
    config_hash     64 hexadecimal digits that stand for the configuration; the accelerator's registers hold the first 32
    bitstream       kind, `vivado` or `simulation`, and file
    address_map     [base, size] of the registers of axi_dma_0 and a2q_accelerator_0
    streams         input and output: slot_bytes, stream_bytes, beats
    outputs         the name and the shape of each output of a network, in order, and what the driver computes behind it; only
                    where there are several
    rtl             top, and sources in the order in which they are read
    host            before and after: the float operations that the driver computes around the accelerator, by name
    runtime_weights file, and its words of 32 bits: what is loaded at start-up; only where there is some
    files           the SHA-256 of every other file, by its path in the package
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from a2q_driver.errors import PackageError

__all__ = [
    "ACCELERATOR",
    "DMA",
    "FORMAT",
    "MANIFEST",
    "SIMULATION",
    "file_hash",
    "read_manifest",
    "verify",
    "write_manifest",
]

MANIFEST = "manifest.json"
FORMAT = 1
ACCELERATOR, DMA = "a2q_accelerator_0", "axi_dma_0"  # the cells of the block design that have registers
SIMULATION = b"A2Q-SIMULATION\0\0"  # how the data of a bitfile begin that only the simulated board takes

_KEYS = {
    **dict.fromkeys(("model", "weights", "board", "part", "family", "config_hash"), str),
    "clock_mhz": float,
    **dict.fromkeys(("bitstream", "address_map", "streams", "rtl", "files"), dict),
}
_LEFT_BY_PYTHON = "__pycache__"
_LEFT_BY_DRIVER = ("driver/output.npy", "driver/nw_metrics.txt")  # what driver.py writes where it is told nothing else
_CHUNK_BYTES = 1 << 20


def read_manifest(package: Path) -> dict[str, Any]:
    """The manifest of the package in the folder `package`. Raises PackageError where there is none to be read."""
    path = package / MANIFEST
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise PackageError(f"The manifest {path} cannot be read: it is no regular file.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PackageError(f"The manifest {path} cannot be read: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        other = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise PackageError(f"{path} is a manifest of format {other}; this driver reads format {FORMAT}.")
    for key, type_ in _KEYS.items():
        if not isinstance(manifest.get(key), type_):
            raise PackageError(f"{path} has {key} = {manifest.get(key)!r}; expected a value of type {type_.__name__}.")
    if "runtime_weights" in manifest:
        weights = manifest["runtime_weights"]
        if not isinstance(weights, dict) or [type(weights.get(key)) for key in ("file", "words")] != [str, int]:
            raise PackageError(
                f"{path} has runtime_weights = {weights!r}; expected a file and the number of its words."
            )
    return manifest


def write_manifest(package: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of the files that lie in `package`, with `facts`, all keys but format and files."""
    files = {name: file_hash(package / name) for name in _files_in(package)}
    content = {"format": FORMAT, **facts, "files": files}
    (package / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def verify(package: Path, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Compare files with the manifest of `package`, which is returned.

    Those called `names`, paths in the package; without `names` all of them, and then a file that the manifest does not
    list is an error, too, but for what Python and driver.py leave when they run. Raises PackageError with the first that differs.
    """
    manifest = read_manifest(package)
    listed = manifest["files"]
    for name in sorted(listed) if names is None else names:
        if name not in listed:
            raise PackageError(f"{package / name} is not listed in {package / MANIFEST}.")
        if not (package / name).is_file():
            raise PackageError(f"{package / name} is missing; {MANIFEST} lists it.")
        digest = file_hash(package / name)
        if digest != listed[name]:
            raise PackageError(
                f"{package / name} has changed: its SHA-256 is {digest}, {MANIFEST} says {listed[name]}."
            )
    if names is None:
        more = [name for name in _files_in(package) if name not in listed]
        if more:
            raise PackageError(f"{package / more[0]} is not listed in {package / MANIFEST}: it is not of this package.")
    return manifest


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _files_in(package: Path) -> list[str]:
    """The paths of the package's files, the manifest apart, sorted."""
    files = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    names = (path.as_posix() for path in files if _LEFT_BY_PYTHON not in path.parts)
    return sorted(name for name in names if name not in (MANIFEST, *_LEFT_BY_DRIVER))
