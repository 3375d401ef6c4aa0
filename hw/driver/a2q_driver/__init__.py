"""Runs an accelerator from its package: on the board itself, or from a host over the network.

`Accelerator` is where to begin. The modules import numpy alone, pynq only where a board is needed, and grpc, which pynq
brings, only for a board over the network.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Accelerator"]


def __getattr__(name: str) -> Any:
    """`Accelerator`, imported when it is asked for: who packs integers needs nothing of boards."""
    if name in __all__:
        return getattr(importlib.import_module("a2q_driver.accelerator"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
