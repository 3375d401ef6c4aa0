"""The kernels: the classes of layers that hardware is made of, by their names.

A kernel registers itself where its class is defined. Those of the package `pipeline.kernels` are all there; a program that
defines another one has it here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.dataflow.layer import Layer

__all__ = ["kernels", "register"]

_KERNELS: dict[str, type[Layer]] = {}


def register(kernel: type[Layer]) -> None:
    """Add `kernel`. One that is defined again, as by a module that is loaded twice, takes the place of the first."""
    _KERNELS[kernel.op_type] = kernel


def kernels() -> Mapping[str, type[Layer]]:
    """Every kernel by its `op_type`."""
    import_module("pipeline.kernels")  # by name: what is there lies above this package
    return MappingProxyType(_KERNELS)
