"""Tensors that an ONNX file keeps in a file beside it: they are read into the model, and nothing else is.

ONNX lets a model name any path. Here the file must lie in the model's folder and be named after it (`data_files`), and
what is read of it must be as long as the tensor is.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from pipeline.errors import ModelError
from pipeline.frontend.data_files import data_files

__all__ = ["copy_model", "load_external_data"]

_LARGEST = 1 << 31  # bytes of all tensors: what one message of protocol buffers holds


def load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Read the tensors of `model`, which was read from `path`, that it keeps elsewhere. Raises ModelError where they are
    in no file that may be read, or where that is too short."""
    external = [tensor for tensor in _tensors(model) if tensor.data_location == TensorProto.EXTERNAL]
    if sum(map(_size, external)) > _LARGEST:
        raise ModelError(
            f"The model {path} keeps more than {_LARGEST} bytes in other files, which is too much to read."
        )
    files = {file.name: file for file in data_files(path)}
    folders = {path.parent.resolve(), path.resolve().parent}
    for tensor in external:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = files.get(entries.get("location", ""))
        if file is None or file.resolve().parent not in folders:
            raise ModelError(
                f"The model {path}: The tensor {tensor.name} is kept in the file {entries.get('location', '')!r}. Only a file "
                f"beside the model that is named after it is read, such as {path.name}.data, and no link to another folder. "
                "Save the model with its weights inside, or all of them there."
            )
        tensor.raw_data = _content(tensor, entries, file, path)
        del tensor.external_data[:]
        tensor.ClearField("data_location")


def copy_model(source: Path, target: Path) -> None:
    """Copy the model, which can be read, with all that it keeps in other files inside."""
    if not data_files(source):
        shutil.copyfile(source, target)
        return
    model = onnx.load_model(source, load_external_data=False)
    load_external_data(model, source)
    target.write_bytes(model.SerializeToString())


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _size(tensor: TensorProto) -> int:
    """The bytes of a tensor. Those of a type of less than a byte are packed."""
    try:
        bits = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
    except (KeyError, ValueError, TypeError):
        raise ModelError(f"The tensor {tensor.name} is of an unknown type. Export the file again.") from None
    if tensor.data_type in (TensorProto.INT4, TensorProto.UINT4):
        bits = 4
    return -(-math.prod(tensor.dims) * bits // 8)


def _content(tensor: TensorProto, entries: dict[str, str], file: Path, path: Path) -> bytes:
    size = _size(tensor)
    try:
        offset, length = (int(entries.get(key, default)) for key, default in (("offset", "0"), ("length", str(size))))
        if offset < 0 or length != size:
            raise ValueError
        with file.open("rb") as stream:
            stream.seek(offset)
            content = stream.read(size)
    except (ValueError, OverflowError, OSError):
        content = b""
    if len(content) != size:
        raise ModelError(
            f"The model {path}: The tensor {tensor.name} of shape {tuple(tensor.dims)} has {size} bytes; {file.name} does not "
            f"hold them at offset {entries.get('offset', '0')}, length {entries.get('length', 'not said')}. Fetch or export "
            "both files again."
        )
    return content
