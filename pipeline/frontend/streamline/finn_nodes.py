"""A model of FINN's hardware nodes becomes QONNX: the same integers, by operators and quantizers of ONNX and QONNX.

Streams of FINN are (N, H, W, C) of integers; here images are (N, C, H, W) from the input on, and a Quant of scale 1 says which
integers come in. Windows and what reads them become one node again. FIFOs and width converters do nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.dataflow.finn_node import DOMAIN, today
from pipeline.dataflow.types import IntType
from pipeline.errors import ModelError, UnsupportedError
from pipeline.frontend.streamline.nodes import attributes, describe
from pipeline.frontend.streamline.obstacles import Obstacles
from pipeline.text_file import either

__all__ = ["convert_finn", "finn_folding", "is_finn"]

_QONNX = "qonnx.custom_op.general"
_TYPE = re.compile(r"(U?)INT([1-9][0-9]?)", re.ASCII)
_KEY = "a2q_finn_folding"  # in metadata_props
_FOLDED = ("PE", "SIMD", "ram_style", "resType", "mem_mode")
_OF_WINDOWS = ("MVAU", "VVAU", "Pool", "DuplicateStreams", "StreamingFIFO", "StreamingDataWidthConverter")
# attributes that say how many channels a stream has
_OF_CHANNELS = {"NumChannels": "output", "Channels": "output", "IFMChannels": "input", "Labels": "input"}
_OUTPUT_TYPES = ("outputDataType", "OutputDataType", "out_dtype")  # without any, a node gives what it takes, or more
_FIRST, _LAST = [0, 3, 1, 2], [0, 2, 3, 1]  # where the channels go


@dataclass(frozen=True)
class _Windows:
    """What a ConvolutionInputGenerator makes of `source`."""

    node: onnx.NodeProto
    source: str
    kernel: list[int]
    options: dict[str, list[int]]


def is_finn(node: onnx.NodeProto) -> bool:
    """Whether `node` is a hardware node of FINN, before or after it was made one of HLS or RTL."""
    return node.domain == DOMAIN or node.domain.startswith(f"{DOMAIN}.")


def convert_finn(model: onnx.ModelProto, obstacles: Obstacles) -> bool:
    """Make QONNX of the FINN nodes of `model`, in place; whether there were any.

    What has no counterpart is noted as `obstacles`. Raises ModelError for a model without shapes, or one of which only some
    nodes are FINN's.
    """
    graph = model.graph
    kept = [entry for entry in model.metadata_props if entry.key != _KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)  # what a file says of it counts for nothing
    if not any(is_finn(node) for node in graph.node):
        return False
    others = [node for node in graph.node if not is_finn(node)]
    if others:
        raise ModelError(
            f"{describe(others[0])} is no hardware node of FINN's, and {describe(next(filter(is_finn, graph.node)))} is one. "
            "Give the model of the dataflow partition alone, which step_create_dataflow_partition of FINN saves."
        )
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise ModelError(
            f"It has {len(graph.input)} inputs and {len(graph.output)} outputs; a model of FINN's nodes has one each."
        )
    conversion = _Conversion(model, obstacles)
    conversion.run()
    model.metadata_props.add(key=_KEY, value=json.dumps(conversion.folding))
    imported = [entry for entry in model.opset_import if entry.domain != _QONNX]
    del model.opset_import[:]
    model.opset_import.extend([*imported, helper.make_opsetid(_QONNX, 2)])
    return True


def finn_folding(model: onnx.ModelProto) -> dict[str, dict[str, dict[str, Any]]] | None:
    """The folding of the FINN nodes that `model` was converted from, by FINN's attributes: by the name that layers have as their
    source, and by operator. None where `model` was none of FINN's."""
    text = next((entry.value for entry in model.metadata_props if entry.key == _KEY), None)
    return None if text is None else dict(json.loads(text))


class _Conversion:
    def __init__(self, model: onnx.ModelProto, obstacles: Obstacles) -> None:
        self._model, self._graph, self._obstacles = model, model.graph, obstacles
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self._graph.initializer}
        self._shapes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*self._graph.input, *self._graph.value_info, *self._graph.output)
        }
        self._names: dict[str, str] = {}  # of FINN's streams here
        self._windows: dict[str, _Windows] = {}
        self.folding: dict[str, dict[str, dict[str, Any]]] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._types: dict[str, str] = {}  # of FINN's streams, as the nodes that write them say

    def run(self) -> None:
        graph = self._graph
        given, output = graph.input[0].name, graph.output[0].name
        first = next((node for node in graph.node if given in node.input), None)
        if first is None or not any(output in node.output for node in graph.node):
            raise ModelError(f"No node reads the input {given}, or none gives the output {output}.")
        self._begin(given, _type(first, next(_input_types(_options(first)), "")))
        for node in graph.node:
            if _converter(node) is None:
                self._obstacles.add(
                    node, UnsupportedError(f"{describe(node)} of FINN's cannot be read: there is no such layer here.")
                )
            elif self._obstacles.reads_unknown(node):
                self._obstacles.unknown.update(node.output)
            else:
                self._obstacles.attempt(node, partial(self._convert, node))
        if output in self._windows:
            raise UnsupportedError(
                f"The output {output} is windows of a ConvolutionInputGenerator, which only a matrix or a Pool can read."
            )
        if self._obstacles:
            return  # the graph as it is names them
        last = next(node for node in graph.node if output in node.output)
        label = today(last.op_type) == "LabelSelect"
        end = self._names[output]
        if not label and self._rank(output) == 4:
            end = self._add("Transpose", [end], f"{output}_channels_last", perm=_LAST)
        kind, shape = (TensorProto.INT64, [1] * 4) if label else (TensorProto.FLOAT, self._shapes[output])
        if label and self._rank(output) != 4:
            shape = [1, 1]
        kept = graph.input[0]
        del graph.node[:], graph.initializer[:], graph.value_info[:], graph.output[:], graph.quantization_annotation[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in self._arrays.items())
        graph.output.append(helper.make_tensor_value_info(end, kind, shape))
        kept.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, self._shapes[given]))

    # -- the graph --------------------------------------------------------------------------------------------------

    def _begin(self, name: str, type_: IntType) -> None:
        self._names[name] = self._quantized(name, type_, f"{name}_integers")
        if self._rank(name) == 4:
            self._names[name] = self._add("Transpose", [self._names[name]], f"{name}_channels_first", perm=_FIRST)

    def _rank(self, name: str) -> int:
        shape = self._shapes.get(name, [])
        if len(shape) not in (2, 4) or min(shape) < 1:
            raise ModelError(
                f"The tensor {name} has the shape {tuple(shape)}; a stream of FINN's is (1, C) or (1, H, W, C)."
            )
        return len(shape)

    def _add(self, op: str, inputs: Sequence[str], output: str, domain: str = "", **options: Any) -> str:
        self._nodes.append(helper.make_node(op, list(inputs), [output], output, domain=domain, **options))
        return output

    def _constant(self, name: str, values: Any, kind: type = np.float32) -> str:
        self._arrays[name] = np.asarray(values, kind)
        return name

    def _quantized(self, tensor: str, type_: IntType, output: str) -> str:
        """`tensor`, of integers of `type_`, by a quantizer that changes none and says so."""
        parameters = [
            self._constant(f"{output}_{name}", value)
            for name, value in (("scale", 1.0), ("zero", 0.0), ("bits", float(type_.bits)))
        ]
        options = {"signed": int(type_.signed), "narrow": 0, "rounding_mode": "ROUND"}
        return self._add("Quant", [tensor, *parameters], output, _QONNX, **options)

    # -- nodes ------------------------------------------------------------------------------------------------------

    def _convert(self, node: onnx.NodeProto) -> None:
        operator, convert = today(node.op_type), _converter(node)
        assert convert is not None  # as `run` has seen
        names = [name for name in node.input if name and name not in self._constants]
        for name in names:
            if name in self._windows and operator not in _OF_WINDOWS:
                raise UnsupportedError(f"{describe(node)} reads windows; only {either(_OF_WINDOWS)} can.")
            if name not in self._names and name not in self._windows:
                raise ModelError(f"{describe(node)} reads {name}, which no node before it gives.")
        try:
            self._check_claims(node, _options(node))
            convert(self, node, _options(node))
            self._fold(node.output[0] if operator != "LabelSelect" else self._names[node.input[0]], node)
        except (KeyError, ValueError, TypeError, IndexError) as error:  # what FINN's nodes have in any case
            raise UnsupportedError(f"{describe(node)} is not as FINN writes it: {error!r}.") from None

    def _check_claims(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        """Raise UnsupportedError where `node` says of its streams what they are not: FINN's hardware is made of what it says."""
        for name, tensors in _OF_CHANNELS.items():
            shape = self._shapes.get(getattr(node, tensors)[0])
            if name in options and shape and options[name] != shape[-1]:
                raise UnsupportedError(
                    f"{describe(node)} has {name} = {options[name]!r}, and its {tensors} has {shape[-1]} channels."
                )
        for name in ("dynamic_input", "runtime_writeable_weights"):
            if options.get(name):
                raise UnsupportedError(
                    f"{describe(node)} has weights that can change ({name}); only those that are constants can be built."
                )
        for tensor, claimed in zip(node.input, _input_types(options), strict=False):
            written, read = (_TYPE.fullmatch(name) for name in (self._types.get(tensor, ""), claimed))
            if (
                written
                and read
                and not _int_type(read).contains(np.array([_int_type(written).lo, _int_type(written).hi]))
            ):
                raise UnsupportedError(
                    f"{describe(node)} takes {tensor} as {claimed}, and the node before gives {self._types[tensor]}."
                )
        given = next((str(options[name]) for name in _OUTPUT_TYPES if name in options), "")
        self._types.update(dict.fromkeys(node.output, given or next(_input_types(options), "")))

    def _fold(self, source: str, node: onnx.NodeProto) -> None:
        """Note the folding of `node` for the layer whose source will be `source`."""
        operator, options = today(node.op_type), _options(node)
        streams = [name for name in node.input if name not in self._constants]
        if operator == "ElementwiseAdd" and len(streams) == 2:
            operator = "AddStreams"
        for name in ("PE", "SIMD"):
            if name in options and (not isinstance(options[name], int) or options[name] < 1):
                raise UnsupportedError(f"{describe(node)} has {name} = {options[name]!r}; expected a number from 1 on.")
        values = {name: options[name] for name in _FOLDED if options.get(name)}
        if values:
            self.folding.setdefault(source, {})[operator] = values

    def _matrix(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        if options.get("binaryXnorMode"):
            raise UnsupportedError(f"{describe(node)} counts XNORs (binaryXnorMode); only products can be built.")
        weights, output, held_type = self._values(node, 1), node.output[0], _type(node, options["weightDataType"])
        if not held_type.contains(weights):
            raise UnsupportedError(f"{describe(node)} has weights that are no integers of {options['weightDataType']}.")
        claimed = options.get("MW", weights.shape[0]), options.get("MH", weights.shape[-1])
        if today(node.op_type) == "MVAU" and claimed != weights.shape:
            raise UnsupportedError(
                f"{describe(node)} has weights of {weights.shape}, and says that they are (MW, MH) = {claimed}."
            )
        activates = not options.get("noActivation", 0)
        if not activates:
            self._check_sums(node, weights, options)
        name = f"{output}_sums" if activates else output
        kernel = self._constant(f"{node.name or output}.weight", 0)
        self._fold(kernel, node)
        source, windows = node.input[0], self._windows.get(node.input[0])
        if today(node.op_type) == "VVAU":
            if windows is None:
                raise UnsupportedError(f"{describe(node)} reads no windows of a ConvolutionInputGenerator.")
            shape, groups = (len(weights), 1, *windows.kernel), len(weights)
            matrix = weights.reshape(shape)
        elif windows is not None and _options(windows.node).get("depthwise"):
            raise UnsupportedError(
                f"{describe(node)} reads windows channel by channel (depthwise), which only a VVAU or a Pool can."
            )
        elif windows is not None or self._rank(output) == 4:
            size = windows.kernel if windows is not None else [1, 1]
            matrix, groups = weights.T.reshape(weights.shape[1], *size, -1).transpose(0, 3, 1, 2), 1
        else:
            matrix, groups = weights, 1
        self._constant(kernel, matrix)
        held = self._quantized(kernel, held_type, f"{kernel}_integers")
        if matrix.ndim == 2:
            self._add("MatMul", [self._flat(source), held], name)
        else:
            if windows is not None:
                self._fold(name, windows.node)
                source = windows.source
            window: dict[str, Any] = {} if windows is None else windows.options
            window = {"kernel_shape": matrix.shape[2:], "pads": [0] * 4, "group": groups, **window}
            self._add("Conv", [self._names[source], held], name, **window)
        self._names[output] = name
        if activates:
            self._levels(node, name, self._values(node, 2), options)

    def _check_sums(self, node: onnx.NodeProto, weights: np.ndarray, options: Mapping[str, Any]) -> None:
        """Raise UnsupportedError unless the sums of `node` fit the type that it says it gives."""
        taken, given = (_type(node, options[name]) for name in ("inputDataType", "outputDataType"))
        columns = weights.T if weights.ndim == 2 else weights.reshape(len(weights), -1)
        ends = np.sort(columns[..., None] * np.array([taken.lo, taken.hi]), axis=-1).sum(axis=1)
        low, high = ends[:, 0].min(), ends[:, 1].max()
        if not given.contains(np.array([low, high])):
            raise UnsupportedError(
                f"{describe(node)} gives sums from {low:.0f} to {high:.0f}, which its outputDataType, {options['outputDataType']}, does "
                "not hold."
            )

    def _flat(self, source: str) -> str:
        """The stream `source` with one axis behind the batch, in FINN's order."""
        if self._rank(source) == 2:
            return self._names[source]
        moved = self._add("Transpose", [self._names[source]], f"{source}_in_order", perm=_LAST)
        return self._add(
            "Reshape", [moved, self._constant(f"{source}_flat_shape", [1, -1], np.int64)], f"{source}_flat"
        )

    def _thresholding(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        self._levels(node, self._names[node.input[0]], self._values(node, 1), options)

    def _levels(self, node: onnx.NodeProto, source: str, thresholds: np.ndarray, options: Mapping[str, Any]) -> None:
        output, bipolar = node.output[0], options["outputDataType"] == "BIPOLAR"
        steps, least = thresholds.shape[-1], int(options.get("ActVal", 0))
        if options.get("numSteps", steps) != steps:
            raise UnsupportedError(
                f"{describe(node)} has {steps} thresholds a channel, and says that they are {options['numSteps']} (numSteps)."
            )
        fits = (
            steps == 1 if bipolar else _type(node, options["outputDataType"]).contains(np.array([least, least + steps]))
        )
        if not fits:
            raise UnsupportedError(
                f"{describe(node)} counts {steps} thresholds from {least} on (ActVal), which its outputDataType, "
                f"{options['outputDataType']}, does not hold."
            )
        layout = "NCHW" if self._rank(output) == 4 else "NC"
        self._names[output] = self._add(
            "MultiThreshold",
            [source, self._constant(f"{output}_thresholds", thresholds)],
            output,
            _QONNX,
            out_dtype=options["outputDataType"],
            out_scale=2.0 if bipolar else 1.0,
            out_bias=-1.0 if bipolar else float(least),
            data_layout=layout,
        )

    def _generator(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        steps = {"strides": list(options["Stride"]), "dilations": list(options.get("Dilation", [1, 1]))}
        self._windows[node.output[0]] = _Windows(node, node.input[0], list(options["ConvKernelDim"]), steps)

    def _padding(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        top, left, bottom, right = options["Padding"]
        output = node.output[0]
        pads = self._constant(f"{output}_pads", [0, 0, top, left, 0, 0, bottom, right], np.int64)
        self._names[output] = self._add("Pad", [self._names[node.input[0]], pads], output)

    def _pool(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        windows, output, function = self._windows.get(node.input[0]), node.output[0], options["Function"]
        if windows is None:
            raise UnsupportedError(f"{describe(node)} reads no windows of a ConvolutionInputGenerator.")
        window: dict[str, Any] = {
            "kernel_shape": windows.kernel,
            "pads": [0] * 4,
            "strides": windows.options["strides"],
        }
        source = self._names[windows.source]
        last = {"MaxPool": output, "AccPool": f"{output}_mean"}.get(function, f"{output}_sum_mean")
        self._fold(last, windows.node)
        self._fold(last, node)
        if function == "MaxPool":
            self._names[output] = self._add("MaxPool", [source], output, **window)
            return
        size = windows.kernel[0] * windows.kernel[1]
        if function == "AccPool":
            self._sum(source, output, size, "AveragePool", window)
            return
        if function != "QuantAvgPool":
            raise UnsupportedError(
                f"{describe(node)} has the function {function}; expected MaxPool, AccPool or QuantAvgPool."
            )
        # its output has the upper bits of what the sum may take
        inputs, outputs = (_type(node, options[name]) for name in ("InputDataType", "OutputDataType"))
        bits = (((1 << inputs.bits) - 1) * size).bit_length()
        shift = max(bits - outputs.bits, 0)
        total = self._sum(source, f"{output}_sum", size, "AveragePool", window)
        if not shift:
            self._names[output] = total
            return
        numbers = {
            "scale": 1.0,
            "zero": 0.0,
            "bits": float(bits + inputs.signed),
            "step": float(1 << shift),
            "left": float(outputs.bits),
        }
        parameters = [self._constant(f"{output}_{name}", value) for name, value in numbers.items()]
        cut = self._add(
            "Trunc",
            [total, *parameters],
            f"{output}_steps",
            _QONNX,
            rounding_mode="FLOOR",
            signed=int(outputs.signed),
            narrow=0,
        )
        self._names[output] = self._add("Mul", [cut, self._constant(f"{output}_one", 0.5**shift)], output)

    def _sum(self, source: str, output: str, size: int, op: str, window: Mapping[str, Any]) -> str:
        mean = self._add(op, [source], f"{output}_mean", **window)
        self._names[output] = self._add("Mul", [mean, self._constant(f"{output}_size", float(size))], output)
        return output

    def _whole_image(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        _, height, width, _ = self._shapes[node.input[0]]
        self._sum(self._names[node.input[0]], node.output[0], height * width, "GlobalAveragePool", {})

    def _square_pool(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        size = list(options["PoolDim"])
        window: dict[str, Any] = {"kernel_shape": size, "strides": size, "pads": [0] * 4}
        self._names[node.output[0]] = self._add("MaxPool", [self._names[node.input[0]]], node.output[0], **window)

    def _add_streams(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        output = node.output[0]
        self._names[output] = self._add("Add", [self._names[name] for name in node.input], output)

    def _elementwise(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        function = re.sub(r"_(hls|rtl)$", "", node.op_type).removeprefix("Elementwise")
        if function not in ("Add", "Sub", "Mul"):
            raise UnsupportedError(f"{describe(node)} of FINN's cannot be read: only ElementwiseAdd, Sub and Mul can.")
        output = node.output[0]
        operands = [self._operand(name, self._rank(output)) for name in node.input]
        self._names[output] = self._add(function, operands, output)

    def _operand(self, name: str, rank: int) -> str:
        if name not in self._constants:
            return self._names[name]
        values = self._constants[name]
        if rank == 4:
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(_FIRST)
        return self._constant(name, values)

    def _copies(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        source = node.input[0]
        names: dict[str, Any] = self._windows if source in self._windows else self._names
        names.update(dict.fromkeys(node.output, names[source]))

    def _concat(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        output = node.output[0]
        self._names[output] = self._add("Concat", [self._names[name] for name in node.input], output, axis=1)

    def _upsample(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        output = node.output[0]
        (_, height, width, _), (_, up, across, _) = self._shapes[node.input[0]], self._shapes[output]
        scales = self._constant(f"{output}_scales", [1, 1, up / height, across / width])
        self._names[output] = self._add(
            "Resize", [self._names[node.input[0]], "", scales], output,
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def _crop(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        output = node.output[0]
        _, height, width, _ = self._shapes[node.input[0]]
        ends = {
            "starts": [options["CropNorth"], options["CropWest"]],
            "ends": [height - options["CropSouth"], width - options["CropEast"]],
            "axes": [2, 3],
        }
        parameters = [self._constant(f"{output}_{name}", values, np.int64) for name, values in ends.items()]
        self._names[output] = self._add("Slice", [self._names[node.input[0]], *parameters], output)

    def _label(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
        output = node.output[0]
        if options.get("K", 1) != 1 or output != self._graph.output[0].name:
            raise UnsupportedError(
                f"{describe(node)} gives {options.get('K', 1)} labels; only one, as the output, can be built."
            )
        self._names[output] = self._add("ArgMax", [self._names[node.input[0]]], output, axis=1, keepdims=1)

    def _values(self, node: onnx.NodeProto, index: int) -> np.ndarray:
        """The constant that `node` reads, as it lies in FINN's file."""
        name = node.input[index] if index < len(node.input) else ""
        if name not in self._constants:
            raise UnsupportedError(f"{describe(node)} takes input {index} from a stream; only constants can be built.")
        return self._constants[name]


_CONVERSIONS: dict[str, Callable[[_Conversion, onnx.NodeProto, Mapping[str, Any]], None]] = {
    "MVAU": _Conversion._matrix,
    "VVAU": _Conversion._matrix,
    "Thresholding": _Conversion._thresholding,
    "ConvolutionInputGenerator": _Conversion._generator,
    "FMPadding": _Conversion._padding,
    "Pool": _Conversion._pool,
    "StreamingMaxPool": _Conversion._square_pool,
    "GlobalAccPool": _Conversion._whole_image,
    "AddStreams": _Conversion._add_streams,
    "DuplicateStreams": _Conversion._copies,
    "StreamingFIFO": _Conversion._copies,
    "StreamingDataWidthConverter": _Conversion._copies,
    "StreamingConcat": _Conversion._concat,
    "UpsampleNearestNeighbour": _Conversion._upsample,
    "Crop": _Conversion._crop,
    "LabelSelect": _Conversion._label,
}


def _converter(node: onnx.NodeProto) -> Callable[[_Conversion, onnx.NodeProto, Mapping[str, Any]], None] | None:
    operator = today(node.op_type)
    return _Conversion._elementwise if operator.startswith("Elementwise") else _CONVERSIONS.get(operator)


def _options(node: onnx.NodeProto) -> dict[str, Any]:
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in attributes(node).items()
    }


def _input_types(options: Mapping[str, Any]) -> Iterator[str]:
    """The types of what a node with these `options` reads, by FINN's attributes, which have several names."""
    if "inputDataTypes" in options:
        yield from (name.decode(errors="replace") for name in options["inputDataTypes"])
        return
    names = ("inputDataType", "InputDataType", "lhs_dtype", "dataType", "DataType")
    first = next((str(options[name]) for name in names if name in options), None)
    if first is not None:
        yield first
    if "rhs_dtype" in options:
        yield str(options["rhs_dtype"])


def _type(node: onnx.NodeProto, name: str) -> IntType:
    match = _TYPE.fullmatch({"BINARY": "UINT1", "TERNARY": "INT2"}.get(name, name))
    if match is None:
        raise UnsupportedError(
            f"{describe(node)} has the data type {name or '(none)'}; only INT and UINT can be built."
        )
    return _int_type(match)


def _int_type(match: re.Match[str]) -> IntType:
    return IntType.of_bits(int(match[2]), signed=not match[1])
