"""A Brevitas network as a QONNX file that holds what the network computes, proven, and what is known of it besides.

What Brevitas 0.13.4's own export leaves to be wished for:

- From 0.12.1 on it writes the float weights of an accumulator-aware (A2Q) layer, not the projected ones, so that the
  file's integers break the bound that training kept. Here every weight in the file is replaced by what its layer
  computes, and then the file's integers are compared with the layers'.
- It writes every quantizer of 1 bit as BipolarQuant, whose integers are -1 and 1. An unsigned one has 0 and 1, which
  QONNX's Quant can say.
- By default it goes through torch.export, which names weights slice_1, slice_2 and so on. TorchScript keeps the
  modules' names.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import stat
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brevitas.config
import numpy as np
import onnx
import torch
from brevitas.export.onnx.qonnx.function import BrevitasQuantOp
from brevitas.export.onnx.qonnx.handler import BrevitasActQuantProxyHandler
from brevitas.export.onnx.qonnx.manager import QONNXManager
from brevitas.proxy import ActQuantProxyFromInjector
from brevitas.quant_tensor import QuantTensor
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from torch import Tensor, nn

from pipeline.errors import A2QError, ConfigError, ModelError, UnsupportedError, VerificationError
from pipeline.frontend.streamline.executor import (
    AT_ONCE,
    constants,
    gives_classes,
    graph_input,
    run_graph,
)
from pipeline.frontend.streamline.input_range import quantizer_range
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS, read_quantizer
from pipeline.frontend.streamline.reading import read_model
from pipeline.models.a2q import layer_bounds
from pipeline.models.golden import check_range, range_frames
from pipeline.models.integer_weights import quantized_weights, weight_names
from pipeline.models.network_record import LayerBound, NetworkRecord, write_record
from pipeline.text_file import count

__all__ = ["ExportResult", "compare_outputs", "compare_weights", "export_qonnx", "write_proven"]

_OPSET = 13
_BATCH = 64
_DRAWN = 16  # inputs on which an export is proven, beside the user's example
# relative to the largest of an output: two float32 evaluations of the same sums, of up to 2¹² terms, in different order
_OUTPUT_ROUNDING = 2.0**-12
_LEAST_ROUNDING = 2.0**-23  # of the largest of all outputs, where one is always near 0
_OPSETS = range(11, 21)  # of ONNX: what torch's TorchScript exporter writes and this project reads
_one_at_a_time = threading.Lock()  # Brevitas and torch keep the mode of an export for the whole process


@dataclass(frozen=True)
class ExportResult:
    """The proof of an export. `layers` weight tensors hold the network's integers; on `frames` inputs the largest of the
    outputs for classes is the network's, and no output differs by more than `largest_difference`. `bounds` has the accumulator
    width that each layer was trained for, by its name, and `input_is_known` says whether its range was given."""

    layers: int
    frames: int
    largest_difference: float
    bounds: dict[str, LayerBound]
    input_is_known: bool

    def __str__(self) -> str:
        bounds = ", ".join(
            f"{name} (P = {bound.accumulator_bits}, {bound.method})" for name, bound in self.bounds.items()
        )
        return (
            f"{count(self.layers, 'layer')} {'holds' if self.layers == 1 else 'hold'} the network's integers; outputs agree on {self.frames} inputs to "
            f"{self.largest_difference:.1g}; trained for an accumulator: {bounds or 'none'}"
            + (
                ""
                if self.input_is_known
                else "; the range of the input is not known: give mean and std, or input_range"
            )
        )


def export_qonnx(
    model: nn.Module,
    args: Tensor,
    export_path: str | os.PathLike[str],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_range: Sequence[float] | None = None,
    classes: Sequence[str] | None = None,
    opset_version: int = _OPSET,
) -> ExportResult:
    """Write the Brevitas network `model` as QONNX to `export_path`: `brevitas.export.export_qonnx`, proven.

    `args` is an example of its input, (N, ...) float32. The file keeps the names of modules, and it records the method
    and the accumulator width P of every A2Q and A2Q+ layer, and what is given of the input: `mean` and `std` by
    channel, if an 8-bit pixel becomes (pixel / 255 − mean) / std before the network takes it; else `input_range`, the
    least and the largest number that it takes; and the names of `classes`, in the order of the outputs. A build goes by
    this record, see `pipeline/models/network_record.py`.

    It is proven that the file's weights are the layers' integers, and that its outputs are the network's on `args`, on
    random inputs and on those that are everywhere at an end of the range. `model` is left as it was. Raises ModelError
    for a network that cannot be exported, VerificationError, naming layer and channel or input, where the file does not
    hold what the network computes; then nothing is written.
    """
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"What is to be exported is a {type(model).__name__}; expected a torch.nn.Module of Brevitas' layers."
        )
    if opset_version not in _OPSETS:
        raise ConfigError(f"opset_version is {opset_version!r}; expected {_OPSETS.start} to {_OPSETS.stop - 1}.")
    example, path = _example(args), _path(export_path)
    record = NetworkRecord.of(layer_bounds(model), mean=mean, std=std, input_range=input_range, classes=classes)
    _check_input(record, example)
    with _refusing("exported to QONNX"), _one_at_a_time, _on_cpu_in_evaluation(model), _scratch(path) as scratch:
        passing = Path(scratch, "model.onnx")
        _write(model, example[:1], passing, record, opset_version)
        inputs = _proof_inputs(onnx.load(passing), example, record)
        result, outputs = _proven(model, passing, inputs, record, batch=1)
        _check_classes(record, outputs)
        os.replace(passing, path)
    return result


def write_proven(
    network: nn.Module, inputs: np.ndarray, path: Path, record: NetworkRecord | None = None
) -> tuple[ExportResult, np.ndarray]:
    """Write `network` to `path`, proven on `inputs` (N, ...), which give the outputs that are returned.

    Of `record` what is said of the input counts; layers are the network's. Raises VerificationError as `export_qonnx`.
    """
    record = (record or NetworkRecord()).model_copy(update={"layers": layer_bounds(network)})
    images = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
    with _one_at_a_time, _on_cpu_in_evaluation(network):
        _write(network, images[:1], path, record, _OPSET)
        return _proven(network, path, images, record, batch=_BATCH)


class _ActivationHandler(BrevitasActQuantProxyHandler):
    def prepare_for_export(self, module: ActQuantProxyFromInjector) -> None:
        super().prepare_for_export(module)
        if module.is_quant_enabled and not module.is_signed:
            self.quant_op = BrevitasQuantOp


class _Manager(QONNXManager):
    handlers = (_ActivationHandler, *QONNXManager.handlers)  # the first that fits is taken


def _example(args: object) -> Tensor:
    if isinstance(args, tuple) and len(args) == 1 and not isinstance(args, QuantTensor):
        (args,) = args
    value = args.value if isinstance(args, QuantTensor) else args
    if not isinstance(value, Tensor) or value.ndim < 2 or not len(value) or not value.is_floating_point():
        kind = f"a tensor of {value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else repr(type(value))
        raise ModelError(
            f"The example of the network's input is {kind}; expected one float tensor with a batch of one or more in front."
        )
    return value.detach().float().cpu()


def _path(given: str | os.PathLike[str]) -> Path:
    try:
        path = Path(os.fsdecode(given))
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise ModelError(f"{path} cannot be written: it is a folder or a device. Name a file.")
    except (TypeError, ValueError, OSError) as error:
        raise ModelError(f"The file to write is {given!r}, which cannot be a path: {error}.") from None
    if not path.parent.is_dir():
        raise ModelError(f"{path} cannot be written: there is no folder {path.parent}. Make it first.")
    return path


@contextmanager
def _scratch(path: Path) -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent)
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror}. Name a file in another folder.") from None
    with folder as name:
        yield name


def _check_input(record: NetworkRecord, example: Tensor) -> None:
    """Raise ConfigError where what is said of the input does not fit the example of it."""
    channels = example.shape[1]
    if record.mean is not None and (example.ndim != 4 or len(record.mean) != channels):
        raise ConfigError(
            f"mean and std have {len(record.mean)} numbers for an input of shape {tuple(example.shape)}; expected one for "
            "each channel of images, (N, C, H, W)."
        )
    if record.ends is not None:
        check_range("The example", example.numpy(), record.ends, "what is said of it", spans=False)


def _check_classes(record: NetworkRecord, outputs: np.ndarray) -> None:
    count = outputs[0].size
    if record.classes is not None and (len(record.classes) != count or len(set(record.classes)) != count):
        raise ConfigError(f"classes has {len(set(record.classes))} different names; the network has {count} outputs.")


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """An error that the user's network raises becomes a ModelError, in one sentence."""
    try:
        yield
    except A2QError:
        raise
    except Exception as error:  # of the user's own code, or of torch, Brevitas or QONNX about it
        text = str(error).strip().partition("\n")[0] or "no reason is given"
        raise ModelError(f"The network cannot be {what}: {type(error).__name__}: {text}") from error


@contextmanager
def _on_cpu_in_evaluation(model: nn.Module) -> Iterator[None]:
    training = {module: module.training for module in model.modules()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        model.cpu().eval()
        yield
    finally:
        _Manager.set_export_mode(model, enabled=False)  # which an export that fails leaves as it is
        for module, mode in training.items():
            module.training = mode
        model.to(device)
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in buffers and buffer.shape == buffers[name].shape:
                    buffer.copy_(buffers[name])  # what a forward pass counts is none of the export's


def _write(network: nn.Module, image: Tensor, path: Path, record: NetworkRecord, opset: int) -> None:
    """The file as Brevitas writes it, with the integers of its layers and `record`."""
    if brevitas.config.JIT_ENABLED:  # by who imported it before this package
        raise ModelError("Brevitas was loaded with its JIT, which exports nothing: set BREVITAS_JIT=0.")
    names = weight_names(network)
    hook = network.register_forward_hook(lambda module, arguments, output: _plain(output))
    try:
        with (
            _refusing("exported to QONNX"),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),  # where torch prints a graph that it cannot write
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")  # the tracer's, about constants that are meant to be
            weights = quantized_weights(network, image)
            options = {"dynamo": False, "opset_version": opset, "input_names": [_input_name(network)]}
            model = _Manager.export(network, image, None, **options, output_names=_output_names(network, image))
    finally:
        hook.remove()
    if not weights:
        raise ModelError(
            "The network has no layer with quantized weights that it uses: it is a float network, or none of Brevitas'. "
            "Build it from brevitas.nn."
        )
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for layer, (weight, _) in weights.items():
        finite = weight.value.isfinite().flatten(1).all(dim=1)
        if not finite.all():
            raise ModelError(
                f"Layer {layer}, channel {int((~finite).nonzero()[0])}, computes weights that are no numbers: an A2Q channel "
                "of zeros has no direction. Give it other weights."
            )
        tensor = tensors.get(names[layer])
        if tensor is None:
            raise VerificationError(f"layer {layer}: the exported file has no tensor {names[layer]}.")
        tensor.CopyFrom(numpy_helper.from_array(weight.value.detach().numpy(), tensor.name))
    write_record(model, record)
    onnx.save(model, path)


def _input_name(network: nn.Module) -> str:
    return next(iter(inspect.signature(network.forward).parameters), "input")


def _proven(
    network: nn.Module, path: Path, inputs: Tensor, record: NetworkRecord, *, batch: int
) -> tuple[ExportResult, np.ndarray]:
    """The proof of the file `path` on `inputs`, and the network's outputs for them, `batch` at a time."""
    names = weight_names(network)
    weights = {names[name]: weight for name, (weight, _) in quantized_weights(network, inputs[:1]).items()}
    model = onnx.load(path)
    compare_weights(model.graph, weights)
    outputs = _run(network, inputs, batch)
    difference = compare_outputs(_executed(path, inputs.numpy()), outputs)
    known = record.ends is not None
    return ExportResult(len(weights), len(inputs), difference, record.layers, known), outputs


def _executed(path: Path, inputs: np.ndarray) -> np.ndarray:
    """What the file gives: by this project's executor, which sums as torch does, or for operators that it does not
    have by QONNX's, a frame at a time."""
    try:
        return run_graph(read_model(path), inputs, batch=_BATCH)
    except UnsupportedError:
        wrapper = ModelWrapper(str(path)).transform(InferShapes())
        source, targets = graph_input(wrapper.graph).name, [value.name for value in wrapper.graph.output]
        frames = [execute_onnx(wrapper, {source: frame[None]}) for frame in inputs]
        if len(targets) == 1:
            return np.concatenate([frame[targets[0]] for frame in frames])
        return np.stack([np.concatenate([frame[name].ravel() for name in targets])[None] for frame in frames])


def _proof_inputs(model: onnx.ModelProto, example: Tensor, record: NetworkRecord) -> Tensor:
    """The example; numbers drawn over the input's range; and its ends everywhere, and by turns."""
    known = record.ends or quantizer_range(model) or (example.numpy().min(), example.numpy().max())
    frames = range_frames(known, tuple(example.shape[1:]), _DRAWN, seed=0)
    return torch.cat([example, torch.from_numpy(frames)])


def compare_weights(graph: onnx.GraphProto, weights: Mapping[str, QuantTensor]) -> None:
    """Raise VerificationError, naming layer and channel, unless `graph` quantizes each tensor of `weights`, by its name,
    to the integers of what is given for it."""
    arrays = constants(graph)
    for name, weight in weights.items():
        layer = name.removesuffix(".weight")
        readers = [node for node in graph.node if node.op_type in QUANTIZER_OPS and node.input[0] == name]
        if not readers:
            raise VerificationError(f"layer {layer}: the exported file does not quantize its weights.")
        for node in readers:
            quantizer = read_quantizer(node, [arrays.get(operand) for operand in node.input[1:]])
            exported = quantizer.integers(torch.from_numpy(arrays[name].copy())).long()
            expected = (weight.int(float_datatype=True) - weight.zero_point).round().long()
            if torch.equal(exported, expected):
                continue
            channel = int((exported != expected).flatten(1).any(dim=1).nonzero()[0])
            raise VerificationError(
                f"layer {layer}, channel {channel}: the integers in the exported file are not the ones that Brevitas "
                f"computes; ‖w‖₁ is {int(exported[channel].abs().sum())}, expected "
                f"{int(expected[channel].abs().sum())}."
            )


def compare_outputs(exported: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of outputs (N, ...) that agree. Raises VerificationError, naming the input."""
    if exported.shape != expected.shape:
        raise VerificationError(
            f"the exported file gives outputs of shape {exported.shape}, Brevitas {expected.shape}."
        )
    if not (np.isfinite(exported).all() and np.isfinite(expected).all()):
        raise VerificationError(
            "The network's outputs are not finite on every input of its range. Look at its functions."
        )
    difference = np.abs(exported - expected)
    exported, flat = (y.reshape(len(y), -1) for y in (exported, expected))
    wrong = np.flatnonzero(exported.argmax(axis=1) != flat.argmax(axis=1))
    if gives_classes(expected) and len(wrong):
        raise VerificationError(
            f"input {wrong[0]}: the exported file says {exported[wrong[0]].argmax()}, Brevitas "
            f"{flat[wrong[0]].argmax()} ({len(wrong)} of {len(flat)} inputs differ)."
        )
    allowed = _OUTPUT_ROUNDING * np.abs(flat).max(axis=0) + _LEAST_ROUNDING * np.abs(flat).max()
    if (difference.reshape(flat.shape) > allowed).any():
        index = int(difference.reshape(len(flat), -1).max(axis=1).argmax())
        raise VerificationError(
            f"input {index}: an output of the exported file differs from Brevitas by {difference.max():.3g}, more "
            f"than float32 rounding of outputs up to {np.abs(expected).max():.3g} explains."
        )
    return float(difference.max())


def _run(network: nn.Module, images: Tensor, size: int) -> np.ndarray:
    def run(batch: Tensor) -> Tensor:
        with torch.no_grad():  # of each thread
            return _joined(network(batch))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return torch.cat(list(pool.map(run, images.split(size)))).numpy()  # type: ignore[no-untyped-call]  # of torch


def _plain(output: Any) -> Any:
    """A tensor of floats, or a tuple of those of several outputs."""
    if isinstance(output, QuantTensor):
        return output.value
    if isinstance(output, tuple | list):
        return tuple(map(_plain, output))
    if not isinstance(output, Tensor):
        raise ModelError(
            f"The network gives a {type(output).__name__}; expected a tensor, or a tuple of tensors where it has several "
            "outputs."
        )
    return output


def _joined(output: Any) -> Tensor:
    """The output of a network, or several as `read_model` joins them: (N, 1, elements), one behind the other."""
    plain = _plain(output)
    return torch.cat([part.flatten(1) for part in plain], dim=1)[:, None] if isinstance(plain, tuple) else plain


def _output_names(network: nn.Module, image: Tensor) -> list[str]:
    """`output`, or of several those that the network has as `output_names`, or output_0, output_1 and so on."""
    with torch.no_grad():
        plain = _plain(network(image))
    if not isinstance(plain, tuple):
        return ["output"]
    names = list(getattr(network, "output_names", [f"output_{index}" for index in range(len(plain))]))
    if len(names) != len(plain):
        raise ModelError(f"The network gives {len(plain)} outputs, and its output_names are {', '.join(names)}.")
    return names
