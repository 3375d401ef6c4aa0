"""The requests that the board refuses, as a branch of `pipeline.errors`.

A2QError
└── BoardError              the board refuses a request; its text is the sentence that the client gets
    ├── BusError            an address that nothing answers at, or whose owner answers with an error
    ├── UnknownBufferError  a buffer that was never allocated, or is freed
    ├── OutOfMemoryError    a buffer or a file for which there is no room
    ├── FileDeniedError     a file that the board does not offer, or not for this
    ├── MissingFileError    a file that would be offered, had somebody written it
    ├── ProgrammingError    firmware that this board cannot be programmed with
    └── RequestError        a request that says too little, or contradicts itself
"""

from __future__ import annotations

from pipeline.errors import A2QError

__all__ = [
    "BoardError",
    "BusError",
    "FileDeniedError",
    "MissingFileError",
    "OutOfMemoryError",
    "ProgrammingError",
    "RequestError",
    "UnknownBufferError",
    "shown",
]

_SHOWN = 200  # characters


class BoardError(A2QError):
    """The board refuses a request."""


class BusError(BoardError):
    """Nothing answers at an address, or what is there answers with an error."""


class UnknownBufferError(BoardError):
    """A buffer that was never allocated, or is freed."""


class OutOfMemoryError(BoardError):
    """A buffer or a file for which there is no room."""


class FileDeniedError(BoardError):
    """A file that the board does not offer, or not for this."""


class MissingFileError(BoardError):
    """A file that would be offered, had somebody written it."""


class ProgrammingError(BoardError):
    """Firmware that this board cannot be programmed with."""


class RequestError(BoardError):
    """A request that says too little, or contradicts itself."""


def shown(name: str) -> str:
    """`name` as a message quotes it: a client's text may be longer than a status of gRPC carries."""
    quoted = repr(name)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}…"
