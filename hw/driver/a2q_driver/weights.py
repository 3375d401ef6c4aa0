"""Weights that are loaded at start-up: those of layers in UltraRAM, which has no content of its own.

They are words of 32 bits, in a file of the package, the least significant byte first. The accelerator takes them in that
order; what a word of the DMA's stream has left after the last one is zero, and lost.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from a2q_driver.errors import PackageError
from a2q_driver.manifest import MANIFEST, verify

__all__ = ["in_memory", "load_weights"]

_WORD = np.dtype("<u4")


def load_weights(package: Path) -> np.ndarray:
    """The words that the package in the folder `package` has to load, uint32 of shape (n,), n = 0 where it has none.

    Raises PackageError for a file that is missing, changed, or of another size than the manifest says.
    """
    described = verify(package, ()).get("runtime_weights")
    if described is None:
        return np.empty(0, np.uint32)
    name, words = described["file"], described["words"]
    verify(package, (name,))
    content = (package / name).read_bytes()
    if len(content) != words * _WORD.itemsize:
        raise PackageError(f"{package / name} has {len(content)} bytes; {MANIFEST} says {words} words of 4 bytes.")
    return np.frombuffer(content, _WORD).astype(np.uint32)


def in_memory(words: np.ndarray, stream_bytes: int) -> np.ndarray:
    """`words`, uint32, as bytes for the DMA: uint8, whole words of a stream of `stream_bytes`.

    >>> in_memory(np.array([0x04030201, 5], np.uint32), 16).tolist()
    [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    content = words.astype(_WORD).view(np.uint8)
    return np.concatenate([content, np.zeros(-len(content) % stream_bytes, np.uint8)])
