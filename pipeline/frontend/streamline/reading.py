"""Reads an ONNX file that someone gave, trusting nothing: what leaves here, later code may assume to be right.

The file is parsed, its graph is checked as it stands (`checking`), functions of its own are inlined, nodes of FINN's
(`finn_nodes`) and QCDQ (`qcdq`) become QONNX, constants are folded while every tensor gets its type and shape (`inference`), and each operator's operands are
held against what it takes (`operands`). What ONNX leaves implicit is then written out: batch 1, explicit padding, one
form of constants.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from pipeline.errors import InputError, ModelError, UnsupportedError
from pipeline.frontend.streamline.channels_last import move_channels
from pipeline.frontend.streamline.checking import check_graph, check_text
from pipeline.frontend.streamline.explicit import write_windows
from pipeline.frontend.streamline.external_data import load_external_data
from pipeline.frontend.streamline.finn_nodes import convert_finn
from pipeline.frontend.streamline.functions import inline_functions
from pipeline.frontend.streamline.inference import infer
from pipeline.frontend.streamline.label_end import drop_label
from pipeline.frontend.streamline.obstacles import Obstacles
from pipeline.frontend.streamline.operands import check_operands
from pipeline.frontend.streamline.qcdq import convert_qcdq
from pipeline.frontend.streamline.quantizers import check_quantizers
from pipeline.frontend.streamline.several_outputs import drop_labels, join_outputs, write_output_shapes

__all__ = ["read_model"]

_LARGEST = 1 << 31  # bytes; what one message of protocol buffers holds
# What is often given in place of an ONNX file, by its first bytes.
_OTHERS = {
    b"PK\x03\x04": "a zip archive, such as a checkpoint of PyTorch or Keras",
    b"\x80\x02": "a pickled Python object, such as a checkpoint of an old PyTorch",
    b"\x89HDF": "an HDF5 file, such as a checkpoint of Keras",
    b"\x93NUMPY": "a numpy array",
    b"\x1f\x8b": "compressed by gzip",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with `git lfs pull`",
}


FindMore = Callable[[onnx.ModelProto, Obstacles], None]


def read_model(path: Path, find_more: FindMore | None = None) -> onnx.ModelProto:
    """The model in `path`, complete and checked.

    It has one float32 input and one output, of known shapes with batch 1; every tensor is given once, and before it is
    read; constants are finite initializers; nodes are operators of ONNX that are supported here, or quantizers of QONNX
    with constant parameters, with operands of the types and shapes that they take; pads are explicit, and windows are
    two-dimensional. An ArgMax at the end is dropped, see `label_end`; several outputs are joined, see `several_outputs`.

    Raises ModelError for a file that is missing, damaged or keeps its weights elsewhere, and UnsupportedError for what
    cannot be built, with the name of the node or tensor, for all nodes that can be seen to be in the way. `find_more`
    is then called to look for others in the graph, of which the nodes that are no obstacles are as they should be.
    """
    path = Path(path)
    model = _parse(path, _bytes(path))
    load_external_data(model, path)
    obstacles = Obstacles()
    besides: list[UnsupportedError] = []
    try:
        check_text(model)
        model = inline_functions(model)
        if not convert_finn(model, obstacles) or not obstacles:
            _check(model, obstacles, find_more)
    except InputError as error:
        if not obstacles:
            raise type(error)(f"The model {path}: {error}") from None
        if isinstance(error, UnsupportedError):
            besides.append(error)
    if obstacles:
        raise obstacles.error(f"The model {path}", model.graph.node, besides)
    return model


def _check(model: onnx.ModelProto, obstacles: Obstacles, find_more: FindMore | None) -> None:
    """Make QONNX of `model` as the layers take it, and note what is in the way."""
    join_outputs(model)
    check_graph(model, obstacles)
    drop_label(model)
    drop_labels(model)
    if any([move_channels(model), convert_qcdq(model, obstacles)]):
        check_graph(model, obstacles)
    check_quantizers(model, obstacles)
    tensors = infer(model, obstacles, partial(check_operands, model))
    write_output_shapes(model, tensors.shapes)
    write_windows(model, tensors, obstacles)
    if obstacles and find_more is not None:
        find_more(model, obstacles)


def _bytes(path: Path) -> bytes:
    hint = "Give the path of a QONNX file."
    try:
        # a pipe without a writer is not waited for
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"The model {path} cannot be read: it is a pipe or a device, not a file. {hint}")
            if status.st_size > _LARGEST:
                raise ModelError(
                    f"The model {path} has {status.st_size} bytes; an ONNX file holds at most {_LARGEST}. {hint}"
                )
            return stream.read()
    except OSError as error:
        raise ModelError(f"The model {path} cannot be read: {error.strerror}. {hint}") from None
    except ValueError as error:  # a name that no file can have
        raise ModelError(f"The model {str(path)!r} cannot be read: {error}. {hint}") from None


def _parse(path: Path, content: bytes) -> onnx.ModelProto:
    for start, kind in _OTHERS.items():
        if content.startswith(start):
            raise ModelError(f"The model {path} is no ONNX file but {kind}. Give the path of a QONNX file.")
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, UnicodeDecodeError):
        raise ModelError(
            f"The model {path} is not a complete ONNX file: it ends early or is damaged. Fetch or export it again."
        ) from None
    if not model.graph.node:
        raise ModelError(f"The model {path} holds no graph. Fetch or export it again.")
    return model
