"""export: a Brevitas network, or someone's QONNX file, to a QONNX file proven to hold what the network computes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from pipeline.errors import ModelError
from pipeline.frontend.streamline.executor import graph_input, run_graph
from pipeline.frontend.streamline.reading import read_model
from pipeline.frontend.streamline.several_outputs import several_outputs
from pipeline.models.network_record import NetworkRecord
from pipeline.models.qonnx_export import ExportResult, write_proven

__all__ = ["Golden", "export_brevitas", "take_qonnx"]


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs (N, *input shape) float32 and the outputs (N, *output shape) of the network for them."""

    inputs: np.ndarray
    outputs: np.ndarray

    def save(self, path: Path) -> None:
        np.savez(path, inputs=self.inputs, outputs=self.outputs)

    @classmethod
    def load(cls, path: Path) -> Golden:
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["inputs"], arrays["outputs"])


def export_brevitas(
    network: nn.Module, inputs: np.ndarray, folder: Path, record: NetworkRecord | None = None
) -> tuple[onnx.ModelProto, Golden, ExportResult]:
    """Write `folder`/model.onnx, golden.npz and export.json for a Brevitas `network` and golden `inputs` (N, C, H, W).

    `record` has what is known of its input. Raises VerificationError, naming layer and channel or input, where the file
    does not hold what the network computes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    result, outputs = write_proven(network, inputs, path, record)
    golden = Golden(np.ascontiguousarray(inputs, np.float32), outputs)
    golden.save(folder / "golden.npz")
    proven = {"layers": result.layers, "frames": result.frames, "largest_difference": result.largest_difference}
    (folder / "export.json").write_text(json.dumps(proven, indent=2) + "\n")
    model = read_model(path)
    if several_outputs(model) is not None:
        onnx.save(model, path)  # with all of them as one, which the stages behind go by
    return model, golden, result


def take_qonnx(source: Path, inputs: np.ndarray, folder: Path) -> tuple[onnx.ModelProto, Golden]:
    """Take a QONNX file as it is: read and check it whole, run it on golden `inputs`, and keep both in `folder`.

    Raises ModelError where an output is not finite.
    """
    model = read_model(source)
    shape = tuple(d.dim_value for d in graph_input(model.graph).type.tensor_type.shape.dim)[1:]
    if inputs.shape[1:] != shape:
        raise ModelError(
            f"The model {source} takes frames of shape {shape}, the golden inputs have {inputs.shape[1:]}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    inputs = np.ascontiguousarray(inputs, np.float32)
    golden = Golden(inputs, run_graph(model, inputs))
    wrong = np.flatnonzero(~np.isfinite(golden.outputs.reshape(len(inputs), -1)).all(axis=1))
    if len(wrong):
        raise ModelError(
            f"The model {source} gives NaN or infinity for golden frame {wrong[0]} ({len(wrong)} of {len(inputs)} frames): "
            "its constants overflow float32. Train it again with smaller scales."
        )
    onnx.save(model, folder / "model.onnx")
    golden.save(folder / "golden.npz")
    return model, golden
