"""CIFAR's pickled dictionaries, read without running anything that they name.

A pickle is a program that may call any function it can import. Here it can import four names, and each gives a class
of this module that only keeps what it is given. Not even numpy is driven by the file.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

__all__ = ["read_dictionary"]


class _Kept:
    """Keeps its arguments, and the state that a pickle sets."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Kept):
    def value(self) -> np.ndarray:
        """The array, which must be of uint8 in C order. Raises ValueError for any other."""
        _, shape, dtype, fortran_order, data = self.state
        if not isinstance(dtype, _DType) or dtype.arguments[:1] not in (("u1",), (b"u1",)):
            raise ValueError("it holds an array of another type than unsigned bytes")
        sizes_are_right = isinstance(data, bytes) and all(type(size) is int for size in shape)
        if not sizes_are_right or fortran_order or math.prod(shape) != len(data):
            raise ValueError("it holds an array whose shape does not fit its bytes")
        return np.frombuffer(data, np.uint8).reshape(shape)


class _DType(_Kept):
    pass


class _ArrayType(_Kept):
    pass


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into an old pickle: the call _codecs.encode(text, 'latin1')."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes a text as {encoding!r}")
    return text.encode("latin1")


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR file does") from None


def read_dictionary(data: bytes) -> dict[str, Any]:
    """The pickled dictionary `data`, Python 2's or 3's, with text keys; its arrays are uint8 and read-only.

    Raises ValueError for anything else.
    """
    try:
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"it holds a {type(content).__name__}, not a dictionary")
        return {_text(key): value.value() if isinstance(value, _Array) else value for key, value in content.items()}
    except Exception as error:  # noqa: BLE001  damaged pickles raise almost any kind
        raise ValueError(str(error) or type(error).__name__) from None


def _text(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)
