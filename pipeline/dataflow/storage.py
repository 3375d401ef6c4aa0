"""A layer graph on disk: JSON for the structure, one .npz for the arrays. No pickle: reading it runs no code.

Any field of a layer is stored that is a number, a text, an IntType, a Requantizer, an array or a tuple of these. Arrays of integers
take no more bytes an element than their values need, and are int64 when they are read. A class that is not a registered
kernel is an error.
"""

from __future__ import annotations

import json
import zipfile
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2q_driver.input_transform import HostStep, InputTransform
from a2q_driver.network_output import NetworkOutput
from a2q_driver.output_steps import OutputStep
from pipeline.dataflow.graph import LayerGraph, OutputTransform
from pipeline.dataflow.registry import kernels
from pipeline.dataflow.requantize import Requantizer
from pipeline.dataflow.types import IntType
from pipeline.errors import ModelError

__all__ = ["load_graph", "save_graph"]

_PARTS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        HostStep,
        InputTransform,
        IntType,
        LayerGraph,
        NetworkOutput,
        OutputStep,
        OutputTransform,
        Requantizer,
    )
}


def _classes() -> Mapping[str, type]:
    """The classes that can be stored, by name."""
    return ChainMap(_PARTS, {kind.__name__: kind for kind in kernels().values()})


def save_graph(graph: LayerGraph, folder: Path) -> None:
    """Write `folder`/graph.json and `folder`/graph.npz."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encode(graph, arrays), indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "graph.npz", **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
    (folder / "graph.json").write_text(text + "\n")


def load_graph(folder: str | Path) -> LayerGraph:
    """The graph that `save_graph` wrote. Raises ModelError for files that are missing or damaged."""
    folder = Path(folder)
    try:
        structure = json.loads((folder / "graph.json").read_text())
        with np.load(folder / "graph.npz", allow_pickle=False) as stored:
            arrays = {name: _widened(array) for name, array in stored.items()}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"The layer graph in {folder} cannot be read: {error}. Build it again.") from error
    graph = _decode(structure, arrays, folder)
    if not isinstance(graph, LayerGraph):
        raise ModelError(f"The file {folder / 'graph.json'} holds no layer graph. Build it again.")
    return graph


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = _narrowed(value)
        return {"array": key}
    if isinstance(value, tuple):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, np.integer):
        return int(value)
    if is_dataclass(value) and type(value).__name__ in _classes():
        content = {f.name: _encode(getattr(value, f.name), arrays) for f in fields(value)}
        return {"class": type(value).__name__, **content}
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _narrowed(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.int64 or not array.size:
        return array
    return array.astype(IntType(int(array.min()), int(array.max())).dtype)


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def _decode(value: Any, arrays: dict[str, np.ndarray], folder: Path) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, arrays, folder) for item in value)
    if not isinstance(value, dict):
        return value
    try:
        if "array" in value:
            return arrays[value["array"]]
        name = value["class"]
        content = {k: _decode(v, arrays, folder) for k, v in value.items() if k != "class"}
        return _classes()[name](**content)
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"The layer graph in {folder} has a part that this version does not know ({error}). Build it again."
        ) from error
