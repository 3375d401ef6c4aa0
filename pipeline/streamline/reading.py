"""Reads a QONNX file that someone gave, trusting nothing."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from pipeline.errors import ModelError, UnsupportedError
from pipeline.streamline.executor import graph_input, graph_output
from pipeline.streamline.operators import OPERATORS
from pipeline.streamline.quantizers import QUANTIZER_OPS, check_quantizers

__all__ = ["read_model"]


def read_model(path: Path) -> onnx.ModelProto:
    """The model in `path`, complete, with one input and one output, and only operators that are known here.

    Raises ModelError for a file that is missing, damaged or keeps its weights elsewhere, and UnsupportedError, with the
    node's name, for an operator that is not supported.
    """
    path = Path(path)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ModelError(f"The model {path} cannot be read: {error.strerror}. Give the path of a QONNX file.") from None
    except DecodeError:
        raise ModelError(
            f"The model {path} is not a complete ONNX file: it ends early or is damaged. Fetch or export it again."
        ) from None
    if not model.graph.node:
        raise ModelError(f"The model {path} holds no graph. Fetch or export it again.")
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ModelError(
                f"The model {path} keeps the tensor {tensor.name} in another file. Save it as one file, with "
                "its weights inside."
            )
    known = OPERATORS.keys() | QUANTIZER_OPS | {"Constant"}
    for node in model.graph.node:
        if node.op_type not in known:
            raise UnsupportedError(
                f"The model {path} has a {node.op_type} node, {node.name or node.output[0]}, which is not supported. "
                f"Supported are {', '.join(sorted(known))}."
            )
    try:
        onnx.checker.check_model(_without_custom(model))
    except onnx.checker.ValidationError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"The model {path} is not a valid ONNX graph: {reason} Fetch or export it again.") from None
    check_quantizers(model)
    graph_input(model.graph)
    graph_output(model.graph)
    return model


def _without_custom(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model as the checker takes it: quantizers live in a domain that files need not import."""
    declared = {entry.domain for entry in model.opset_import}
    missing = {node.domain for node in model.graph.node} - declared - {""}
    if not missing:
        return model
    checked = onnx.ModelProto()
    checked.CopyFrom(model)
    checked.opset_import.extend(onnx.helper.make_opsetid(domain, 1) for domain in sorted(missing))
    return checked
