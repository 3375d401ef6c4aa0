"""export: a Brevitas network, or someone's QONNX file, to a QONNX file proven to hold what the network computes.

Brevitas from 0.12.1 on writes the float weights of an accumulator-aware (A2Q) layer into the file, not the projected
ones, so that the file's integers break the bound that training kept. Here every weight is replaced in the file by what
the layer computes, and then the file's integers are compared with the layers'.
"""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from brevitas.quant_tensor import QuantTensor
from onnx import numpy_helper
from torch import Tensor, nn

from pipeline.errors import ModelError, VerificationError
from pipeline.models.integer_weights import quantized_weights
from pipeline.models.qonnx_export import export_qonnx
from pipeline.streamline.executor import AT_ONCE, constants, graph_input, run_graph
from pipeline.streamline.quantizers import QUANTIZER_OPS, read_quantizer
from pipeline.streamline.reading import read_model

__all__ = ["ExportResult", "Golden", "export_brevitas", "take_qonnx"]

_OPSET = 13
_BATCH = 64
# relative to the largest output: two float32 evaluations of the same sums, of up to 2¹² terms, in different order
_OUTPUT_ROUNDING = 2.0**-12


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


@dataclass(frozen=True)
class ExportResult:
    """What the export proved. `layers` weight tensors hold the network's integers; on `frames` golden inputs every
    largest output is the network's, and no output differs by more than `largest_difference`."""

    layers: int
    frames: int
    largest_difference: float

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def export_brevitas(
    network: nn.Module, inputs: np.ndarray, folder: Path
) -> tuple[onnx.ModelProto, Golden, ExportResult]:
    """Write `folder`/model.onnx, golden.npz and export.json for a Brevitas `network` and golden `inputs` (N, C, H, W).

    Raises VerificationError, naming layer and channel or image, where the file does not hold what the network computes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = network.eval()
    images = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
    weights = {name: weight for name, (weight, _) in quantized_weights(network, images[:1]).items()}
    path = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about constants that are meant to be
        export_qonnx(network, images[:1], str(path), dynamo=False, opset_version=_OPSET)
    model = onnx.load(path)
    _replace_weights(model.graph, weights)
    onnx.save(model, path)
    model = read_model(path)
    _compare_weights(model.graph, weights)
    outputs = _run(network, images)
    difference = _compare_outputs(run_graph(model, inputs, batch=_BATCH), outputs)
    golden = Golden(images.numpy(), outputs)
    result = ExportResult(len(weights), len(inputs), difference)
    golden.save(folder / "golden.npz")
    result.save(folder / "export.json")
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


def _replace_weights(graph: onnx.GraphProto, weights: dict[str, QuantTensor]) -> None:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for name, weight in weights.items():
        tensor = tensors.get(f"{name}.weight")
        if tensor is None:
            raise VerificationError(f"layer {name}: the exported file has no tensor {name}.weight.")
        tensor.CopyFrom(numpy_helper.from_array(weight.value.detach().numpy(), tensor.name))


def _compare_weights(graph: onnx.GraphProto, weights: dict[str, QuantTensor]) -> None:
    arrays = constants(graph)
    quantizers = {node.input[0]: node for node in graph.node if node.op_type in QUANTIZER_OPS}
    for name, weight in weights.items():
        node = quantizers.get(f"{name}.weight")
        if node is None:
            raise VerificationError(f"layer {name}: the exported file does not quantize its weights.")
        quantizer = read_quantizer(node, [arrays.get(operand) for operand in node.input[1:]])
        exported = quantizer.integers(torch.from_numpy(arrays[node.input[0]].copy())).long()
        expected = weight.int(float_datatype=False).long()
        if not torch.equal(exported, expected):
            channel = int((exported != expected).flatten(1).any(dim=1).nonzero()[0])
            raise VerificationError(
                f"layer {name}, channel {channel}: the integers in the exported file are not the ones that Brevitas "
                f"computes; ‖w‖₁ is {int(exported[channel].abs().sum())}, expected "
                f"{int(expected[channel].abs().sum())}."
            )


def _compare_outputs(exported: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, of outputs that agree."""
    difference = np.abs(exported - expected)
    exported, flat = (y.reshape(len(y), -1) for y in (exported, expected))
    wrong = np.flatnonzero(exported.argmax(axis=1) != flat.argmax(axis=1))
    if len(wrong):
        raise VerificationError(
            f"golden image {wrong[0]}: the exported file says {exported[wrong[0]].argmax()}, Brevitas "
            f"{flat[wrong[0]].argmax()} ({len(wrong)} of {len(flat)} images differ)."
        )
    if difference.max() > _OUTPUT_ROUNDING * np.abs(expected).max():
        image = int(difference.reshape(len(flat), -1).max(axis=1).argmax())
        raise VerificationError(
            f"golden image {image}: an output of the exported file differs from Brevitas by "
            f"{difference.max():.3g}, more "
            f"than float32 rounding of outputs up to {np.abs(expected).max():.3g} explains."
        )
    return float(difference.max())


def _run(network: nn.Module, images: Tensor) -> np.ndarray:
    def run(batch: Tensor) -> Tensor:
        with torch.no_grad():  # of each thread
            return _plain(network(batch))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return torch.cat(list(pool.map(run, images.split(_BATCH)))).numpy()


def _plain(output: Tensor | QuantTensor) -> Tensor:
    return output.value if isinstance(output, QuantTensor) else output
