"""The facts that are known of the tensors of an ONNX graph before it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from onnx import helper

__all__ = ["Tensors"]


@dataclass(frozen=True)
class Tensors:
    """The tensors of a graph, by name: the element types (of onnx.TensorProto), the shapes with batch
    1, the values of constants, and which depend on the input. Those of
    `on_host`, and of `before` the first quantizer, may be the host's to make; `opset` is the version of ONNX' operators."""

    types: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    dynamic: set[str] = field(default_factory=set)
    on_host: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    opset: int = 0

    def add(self, name: str, type_: int, shape: tuple[int, ...], *, dynamic: bool) -> None:
        self.types[name], self.shapes[name] = type_, shape
        if dynamic:
            self.dynamic.add(name)

    def add_constant(self, name: str, value: np.ndarray) -> None:
        self.constants[name] = value
        self.add(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape, dynamic=False)
