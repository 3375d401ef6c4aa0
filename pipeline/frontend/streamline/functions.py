"""Functions that an ONNX file defines itself: they are inlined, so that only operators are left."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx.inliner
from qonnx.custom_op.registry import resolve_domain

from pipeline.errors import ModelError, UnsupportedError
from pipeline.frontend.streamline.nodes import describe

__all__ = ["inline_functions"]

_MAX_NODES = 100_000  # after inlining; functions that call each other can be of any size

_MAX_DEPTH = 100

Key = tuple[str, str]


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without functions of its own. Raises UnsupportedError for one that redefines an operator of ONNX or QONNX,
    and ModelError for one that calls itself."""
    if not model.functions:
        return model
    functions = {(f.domain, f.name): f for f in model.functions}
    for domain, name in functions:
        if domain in ("", "ai.onnx") or resolve_domain(domain).startswith("qonnx."):
            raise UnsupportedError(
                f"The function {name} redefines an operator of {domain or 'ONNX'}; export it under a domain of its own."
            )
    sizes: dict[Key, int] = {}
    total = sum(_size(node, functions, sizes, ()) for node in model.graph.node)
    if total > _MAX_NODES:
        raise UnsupportedError(f"Its functions come to {total} nodes; at most {_MAX_NODES} can be read.")
    try:
        inlined = onnx.inliner.inline_local_functions(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise ModelError(f"Its functions cannot be inlined: {str(error).partition(chr(10))[0]}") from None
    for node in inlined.graph.node:
        if (node.domain, node.op_type) in functions:
            raise UnsupportedError(
                f"{describe(node)} calls a function of the file that cannot be inlined, as it was written for another "
                "version of ONNX' operators; export the network without functions of its own."
            )
    del inlined.functions[:]
    return inlined


def _size(
    node: onnx.NodeProto, functions: Mapping[Key, onnx.FunctionProto], sizes: dict[Key, int], above: tuple[Key, ...]
) -> int:
    """The nodes that `node` becomes, called in the functions `above`."""
    key = (node.domain, node.op_type)
    if key not in functions:
        return 1
    if key in above:
        raise ModelError(f"The function {node.op_type} of domain {node.domain} calls itself. Export the network again.")
    if len(above) >= _MAX_DEPTH:
        raise UnsupportedError(
            f"The function {node.op_type} of domain {node.domain} is called {_MAX_DEPTH} functions deep."
        )
    if key not in sizes:
        sizes[key] = sum(_size(inner, functions, sizes, (*above, key)) for inner in functions[key].node)
    return sizes[key]
