"""Holds the operands and attributes of every node against what its operator takes, where ONNX' inference does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import TensorProto

from pipeline.errors import ModelError, UnsupportedError
from pipeline.frontend.streamline.checking import is_quantizer
from pipeline.frontend.streamline.nodes import attributes, describe
from pipeline.frontend.streamline.operators import CLASSIFIER_ENDS, ELEMENTWISE_FUNCTIONS
from pipeline.frontend.streamline.quantizers import read_quantizer
from pipeline.frontend.streamline.resizing import Resizing, on_host, repeats
from pipeline.frontend.streamline.several_outputs import joins_outputs
from pipeline.frontend.streamline.tensors import Tensors

__all__ = ["check_operands"]

_MAX_WINDOWS = 1 << 25  # elements of all windows of one frame
_MAX_BITS = 32
_LARGEST = 2.0**60  # of a constant: the product of two is far from the end of float32
_SOFTMAX_OF_ONE_AXIS = 13  # the version of ONNX' operators from which it is
_WIDTHS = (np.float32, np.int32, np.int64)  # types of bit widths; in narrower integers QONNX's executor overflows


@dataclass(frozen=True)
class _Site:
    """A node with its attributes and what is known of its tensors."""

    node: onnx.NodeProto
    options: dict[str, Any]
    tensors: Tensors
    last: bool

    def has(self, index: int) -> bool:
        return index < len(self.node.input) and bool(self.node.input[index])

    def shape(self, index: int) -> tuple[int, ...]:
        return self.tensors.shapes[self.node.input[index]]

    def constant(self, index: int) -> np.ndarray | None:
        """The value of an operand, None where there is none or where a node gives it."""
        return self.tensors.constants.get(self.node.input[index]) if self.has(index) else None

    def dynamic(self, index: int) -> bool:
        return self.has(index) and self.node.input[index] in self.tensors.dynamic

    @property
    def output(self) -> tuple[int, ...]:
        return self.tensors.shapes[self.node.output[0]]

    def wrong(self, reason: str) -> NoReturn:
        raise ModelError(f"{describe(self.node)} {reason}. Export the file again.")

    def refuse(self, reason: str) -> NoReturn:
        raise UnsupportedError(f"{describe(self.node)} {reason}.")


def check_operands(model: onnx.ModelProto, node: onnx.NodeProto, tensors: Tensors) -> None:
    """Raise if `node`, of `model`, which is in QCDQ no more, has an operand or an attribute that its operator does not take, or cannot be built.

    Axes that ONNX lets a node leave to a default which depends on the version of its operators, or on the batch, are
    written down.
    """
    graph = model.graph
    site = _Site(node, attributes(node), tensors, node.output[0] == graph.output[0].name)
    for name in node.output[1:] if node.op_type != "Split" else ():
        if name and any(name in other.input for other in graph.node):
            site.refuse(f"gives a second output, {name}, that is read; only the first can be built")
    if node.op_type != "Clip":  # whose largest number means that there is no bound
        _check_magnitudes(site)
    if is_quantizer(node):
        _check_quantizer(site)
    else:
        if node.op_type not in (*_JOINS, "Concat") and any(site.dynamic(i) for i in range(1, len(node.input))):
            site.refuse("takes a tensor that depends on the input where a constant must be; only its first operand may")
        if not joins_outputs(model, node):
            _check_operator(site)
    if node.output[0] in tensors.dynamic:
        _check_dynamic(site)


def _check_operator(site: _Site) -> None:
    """Whether layers, or the host behind the last of them, take the operands."""
    if site.node.output[0] not in site.tensors.on_host:
        _CHECKS[site.node.op_type](site)
        return
    try:
        check = _CHECKS.get(site.node.op_type, _check_host)
        check(site)
    except UnsupportedError:
        _check_host(site)


def _check_host(site: _Site) -> None:
    """What numpy takes of an operator of HOST_OPS: batch 1 as the first axis, which stays."""
    node, operator = site.node, site.node.op_type
    rank = len(site.shape(0))
    if operator in CLASSIFIER_ENDS:
        default = -1 if site.tensors.opset >= _SOFTMAX_OF_ONE_AXIS else 1
        axis = site.options.get("axis", default) % rank
        if not axis or (site.tensors.opset < _SOFTMAX_OF_ONE_AXIS and axis != rank - 1):
            site.refuse(f"is taken over several axes at once, or over the batch, of a tensor of shape {site.shape(0)}")
        _set(node, "axis", axis)
    elif operator in ("Concat", "Gather", "Split"):
        if not site.options.get("axis", 0) % max(rank, 1):
            site.refuse(f"is taken along the first axis of a tensor of shape {site.shape(0)}, which is the batch")
        constants = [name for i, name in enumerate(node.input) if name and not site.dynamic(i)]
        if operator == "Concat" and constants:
            site.refuse(f"joins the constant {constants[0]}; only tensors that depend on the input can be joined")
        if operator == "Gather" and (site.constant(1) is None or len(site.shape(1)) > 1):
            site.refuse(
                "takes places that depend on the input, or that have several axes; export it with a list of places"
            )
    elif operator == "Slice":
        if any(site.has(index) and site.constant(index) is None for index in range(1, len(node.input))):
            site.refuse("takes its ends from the input; export it with fixed ones")
    elif operator not in _JOINS:
        _CHECKS[operator](site)


def _check_magnitudes(site: _Site) -> None:
    for index in range(len(site.node.input)):
        value = site.constant(index)
        if value is not None and value.dtype.kind == "f" and value.size and np.abs(value).max() > _LARGEST:
            site.refuse(
                f"reads {site.node.input[index]}, with values up to {np.abs(value).max():g}, whose products overflow float32"
            )


def _check_dynamic(site: _Site) -> None:
    name = site.node.output[0]
    if site.tensors.types[name] != TensorProto.FLOAT:
        type_ = TensorProto.DataType.Name(site.tensors.types[name]).lower()
        site.refuse(f"gives {name}, a tensor of {type_}; only float32 can be built")
    if not site.output or site.output[0] != 1:
        site.refuse(f"gives {name} of shape {site.output}, without the batch of 1 as its first axis")


def _check_quantizer(site: _Site) -> None:
    node = site.node
    if not all(node.input):
        site.wrong("leaves an operand out; QONNX has all of them")
    if node.op_type == "MultiThreshold":
        _check_thresholds(site)
        return
    for name in (node.input[0], node.input[1]):
        if site.tensors.types[name] != TensorProto.FLOAT:
            type_ = TensorProto.DataType.Name(site.tensors.types[name]).lower()
            site.wrong(f"reads {name}, a tensor of {type_}; expected float32")
    for index in range(1, len(node.input)):
        value = site.constant(index)
        if value is None:
            continue  # read_quantizer has a sentence for it
        if value.dtype != np.float32 and value.dtype.kind not in "iu":
            site.wrong(f"reads {node.input[index]}, a tensor of {value.dtype}; expected float32 or integers")
        if not _broadcasts(site.shape(index), site.shape(0)):
            site.wrong(
                f"has an operand {node.input[index]} of shape {site.shape(index)} for a tensor of shape {site.shape(0)}; "
                "expected one that broadcasts to it"
            )
    _check_quantizer_values(site)
    read_quantizer(node, [site.constant(index) for index in range(1, len(node.input))])


def _check_thresholds(site: _Site) -> None:
    quantizer = read_quantizer(site.node, [site.constant(1)])
    thresholds = quantizer.thresholds
    assert thresholds is not None  # or it is no MultiThreshold
    if len(site.shape(0)) < 2 or len(thresholds) not in (1, site.shape(0)[quantizer.channel_axis]):
        site.wrong(
            f"has thresholds {site.node.input[1]} of shape {thresholds.shape} for a tensor of shape {site.shape(0)}; expected "
            "those of each channel, or of all"
        )


def _check_quantizer_values(site: _Site) -> None:
    """What QONNX's executor cannot calculate with, although the numbers say something."""
    node = site.node
    widths = [index for index in range(3, len(node.input)) if (node.op_type, len(node.input), index) != ("Trunc", 6, 4)]
    for index in widths:
        value = site.constant(index)
        if value is not None and value.dtype not in _WIDTHS:
            site.wrong(f"reads {node.input[index]}, a bit width of {value.dtype}; expected float32 or int32")
    zero_point = site.constant(2)
    width = site.constant(widths[-1]) if widths else None
    if zero_point is not None and width is not None:
        reach = 2.0 ** min(float(width.max()), _MAX_BITS)
        if (np.abs(zero_point.astype(np.float64)) > reach).any():
            site.refuse(f"has a zero point ({node.input[2]}) beyond {reach:g}, the reach of its bits")


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def _check_window(site: _Site, kernel: tuple[int, ...]) -> None:
    """Layer, strides, dilations and pads of a convolution or a pool over images or over one axis."""
    options, axes = site.options, len(kernel)
    if axes not in (1, 2):
        site.refuse(f"has a kernel of {axes} dimensions; one or two can be built")
    for name, count in (("strides", axes), ("dilations", axes), ("pads", 2 * axes)):
        if len(options.get(name, [1] * count)) != count:
            site.wrong(f"has {name} {options[name]}; expected {count} numbers")
    if site.node.op_type not in _DILATED and any(d != 1 for d in options.get("dilations", ())):
        site.refuse(f"has dilations {options['dilations']}; only 1 can be built")
    span = _dilated(options, kernel)
    _check_pads(site, kernel, span)
    if options.get("ceil_mode", 0) not in (0, 1) or options.get("count_include_pad", 0) not in (0, 1):
        site.wrong("has a ceil_mode or count_include_pad that is neither 0 nor 1")
    over = options.get("ceil_mode", 0) and any((n - 1) * s + k > size for n, s, k, size in _reach(site, span))
    if over and site.node.op_type != "MaxPool":
        site.refuse("has ceil_mode with windows that reach over the edge; pad explicitly")
    if site.node.op_type == "MaxPool" and not options.get("auto_pad", b"").startswith(b"SAME"):
        _check_elements(site, kernel)
    elements = math.prod(kernel) * site.shape(0)[1] * math.prod(site.output[2:])
    if elements > _MAX_WINDOWS:
        site.refuse(f"has windows of {elements} elements in all; at most {_MAX_WINDOWS} can be built")


def _check_elements(site: _Site, kernel: tuple[int, ...]) -> None:
    """Every window must have an element of the input: ONNX has -inf for one without."""
    options, axes = site.options, len(kernel)
    strides, dilations = (options.get(name, [1] * axes) for name in ("strides", "dilations"))
    first = options.get("pads", [0] * 2 * axes)[:axes]
    for axis, size in enumerate(site.shape(0)[2:]):
        taps = [tap * dilations[axis] - first[axis] for tap in range(kernel[axis])]
        starts = (window * strides[axis] for window in range(site.output[2 + axis]))
        if any(all(not 0 <= start + tap < size for tap in taps) for start in starts):
            site.refuse("has windows without any element of its input; choose other pads, or no ceil_mode")


def _dilated(options: Mapping[str, Any], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The sides of a window over which the elements of `kernel` are spread."""
    dilations = options.get("dilations", [1] * len(kernel))
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))


def _reach(site: _Site, kernel: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """Windows, stride, kernel and padded size by axis."""
    axes = len(kernel)
    pads = site.options.get("pads", [0] * 2 * axes)
    sizes = (size + a + b for size, a, b in zip(site.shape(0)[2:], pads[:axes], pads[axes:], strict=True))
    return zip(site.output[2:], site.options.get("strides", [1] * axes), kernel, sizes, strict=True)


def _check_pads(site: _Site, kernel: tuple[int, ...], span: tuple[int, ...]) -> None:
    axes = len(kernel)
    pads, auto_pad = site.options.get("pads", [0] * 2 * axes), site.options.get("auto_pad", b"NOTSET").decode()
    if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        site.wrong(f"has auto_pad {auto_pad}; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if auto_pad != "NOTSET" and any(pads):
        site.wrong(f"has both pads and auto_pad {auto_pad}; expected one of them")
    padded = tuple(size + a + b for size, a, b in zip(site.shape(0)[2:], pads[:axes], pads[axes:], strict=True))
    if not auto_pad.startswith("SAME") and any(k > size for k, size in zip(span, padded, strict=True)):
        site.wrong(f"has windows {span} larger than its padded input {padded}")
    if site.node.op_type != "Conv" and any(p >= k for p, k in zip(pads, (*kernel, *kernel), strict=True)):
        site.wrong(f"has pads {pads}, with windows {kernel} that lie outside; expected pads below the kernel")


def _check_convolution(site: _Site) -> None:
    x, w, group = site.shape(0), site.shape(1), site.options.get("group", 1)
    if w[1] * group != x[1] or w[0] % group:
        site.wrong(f"has weights of shape {w} in {group} groups for {x[1]} channels; they do not divide")
    kernel = site.options.get("kernel_shape", list(w[2:]))
    if tuple(kernel) != w[2:]:
        site.wrong(f"has kernel_shape {kernel}; its weights have {w[2:]}")
    if site.has(2) and site.shape(2) != (w[0],):
        site.wrong(f"has a bias {site.node.input[2]} of shape {site.shape(2)}; expected ({w[0]},)")
    _check_window(site, w[2:])


def _check_pool(site: _Site) -> None:
    _check_window(site, tuple(site.options["kernel_shape"]))
    if site.options.get("storage_order", 0):
        site.refuse("has storage_order 1; only 0 can be built")


def _check_global_pool(site: _Site) -> None:
    if len(site.shape(0)) not in (3, 4):
        site.refuse(f"pools a tensor of shape {site.shape(0)}; only images, or one axis, can be built")


def _check_max_reduction(site: _Site) -> None:
    if len(site.shape(0)) != 4 or sorted(_check_axes(site, 4)) != [2, 3]:
        site.refuse("reduces other axes than height and width of images; only these can be built")


def _check_concat(site: _Site) -> None:
    rank = len(site.output)
    if rank not in (2, 3, 4) or site.options["axis"] % rank != 1:
        site.refuse(f"joins along axis {site.options['axis']} tensors of {rank} axes; only channels can be joined")
    for index, name in enumerate(site.node.input):
        if not site.dynamic(index):
            site.refuse(f"joins the constant {name}; only tensors that depend on the input can be joined")


def _check_resize(site: _Site) -> None:
    """Before the first quantizer the host takes any pixels, between layers only those are built that repeat."""
    options, size, out = site.options, site.shape(0), site.output
    old = site.node.op_type == "Upsample" or len(site.node.input) < 3  # before version 11 there was one way
    if len(size) != 4 or size[:2] != out[:2]:
        site.refuse(f"makes {out} of {size}; only height and width of images can be changed")
    if any(site.has(index) and site.constant(index) is None for index in range(1, len(site.node.input))):
        site.refuse("takes its size from the input; export it with a fixed one")
    resizing = Resizing.of(options, size, [site.constant(index) for index in range(1, len(site.node.input))], old=old)
    way = f"coordinates {resizing.coordinates}, rounding {resizing.rounding}"
    if options.get("antialias", 0) or resizing.outputs != out[2:]:
        site.refuse(f"makes {out} of {size} with antialias or a keep_aspect_ratio_policy; export it without")
    if repeats(resizing):
        return
    reason = on_host(resizing, old=old)
    if site.node.output[0] in site.tensors.before:
        if reason:
            site.refuse(
                f"makes {out} of {size} by {reason}; before the first quantizer nearest and linear can be computed, of all "
                "coordinates but half_pixel_symmetric and tf_crop_and_resize"
            )
    elif resizing.mode != "nearest":
        site.refuse(
            f"has mode {resizing.mode} for a tensor of shape {size}; only the nearest pixel of images can be taken, or, before "
            "the first quantizer, the linear mean of those around it"
        )
    else:
        site.refuse(
            f"makes {out} of {size} ({way}), which is no repetition of each "
            "pixel; only whole factors that repeat pixels can be built, such as those of asymmetric and floor"
        )


def _check_slice(site: _Site) -> None:
    if any(site.has(index) and site.constant(index) is None for index in range(1, len(site.node.input))):
        site.refuse("takes its ends from the input; export it with fixed ones")
    steps = site.constant(4)
    if steps is not None and steps.min() < 1:
        site.refuse(f"has steps {steps.tolist()}; only steps forwards can be built")
    if len(site.shape(0)) not in (2, 3, 4):
        site.refuse(f"takes a part of a tensor of shape {site.shape(0)}; only images and vectors can be cut")
    if steps is not None and len(site.shape(0)) == 2 and (steps > 1).any():
        site.refuse(f"has steps {steps.tolist()}; only rows and columns can be left out between others")


def _check_split(site: _Site) -> None:
    if len(site.shape(0)) not in (2, 3, 4) or site.options.get("axis", 0) % len(site.shape(0)) == 0:
        site.refuse(f"splits a tensor of shape {site.shape(0)} along axis {site.options.get('axis', 0)}; only channels, "
                    "height and width can be split")  # fmt: skip


def _check_pad(site: _Site) -> None:
    mode = site.options.get("mode", b"constant").decode()
    if mode != "constant" or len(site.shape(0)) != 4 or site.has(3):
        site.refuse(f"pads a tensor of shape {site.shape(0)} in mode {mode}; only a constant around images can be built, "
                    "with pads for all axes")  # fmt: skip
    operand = site.constant(1)
    if site.has(1) and operand is None or site.has(2) and site.constant(2) is None:
        site.refuse("takes its pads from the input; export it with fixed ones")
    pads = site.options.get("pads") if operand is None else operand.tolist()
    if pads is None or len(pads) != 8:
        site.wrong(f"has pads {pads}; expected 8 numbers")
    if min(pads) < 0 or any(pads[axis] for axis in (0, 1, 4, 5)):
        site.refuse(f"has pads {pads}; only rows and columns can be added")


def _check_squares(site: _Site) -> None:
    block = site.options["blocksize"]
    if len(site.shape(0)) != 4:
        site.wrong(f"reads a tensor of shape {site.shape(0)}; expected images")
    channels, height, width = site.shape(0)[1:]
    if site.node.op_type == "DepthToSpace" and channels % block**2:
        site.wrong(f"makes squares of {block} × {block} of {channels} channels, which they do not divide")
    if site.node.op_type == "SpaceToDepth" and (height % block or width % block):
        site.wrong(f"makes one pixel of {block} × {block} in images of {height} × {width}, which they do not divide")


def _check_transposed_convolution(site: _Site) -> None:
    x, w, group, options = site.shape(0), site.shape(1), site.options.get("group", 1), site.options
    if w[0] != x[1] or x[1] % group:
        site.wrong(f"has weights of shape {w} in {group} groups for {x[1]} channels; they do not divide")
    if site.has(2) and site.shape(2) != (w[1] * group,):
        site.wrong(f"has a bias {site.node.input[2]} of shape {site.shape(2)}; expected ({w[1] * group},)")
    kernel = options.get("kernel_shape", list(w[2:]))
    if tuple(kernel) != w[2:]:
        site.wrong(f"has kernel_shape {kernel}; its weights have {w[2:]}")
    elements = math.prod(w[1:]) * group * math.prod(x[1:])
    if elements > _MAX_WINDOWS:
        site.refuse(f"has windows of {elements} elements in all; at most {_MAX_WINDOWS} can be built")


def _check_gemm(site: _Site) -> None:
    x, w = site.shape(0), site.shape(1)
    if site.options.get("transA", 0):
        site.refuse("transposes its input; export it without transA")
    w = w[::-1] if site.options.get("transB", 0) else w
    if len(x) != 2 or len(w) != 2 or x[1] != w[0]:
        site.wrong(f"multiplies a tensor of shape {x} by weights of shape {w}; expected (1, K) by (K, N)")
    if site.has(2) and not _broadcasts(site.shape(2), (x[0], w[1])):
        site.wrong(f"has a bias {site.node.input[2]} of shape {site.shape(2)} for outputs of shape {(x[0], w[1])}")


def _check_batch_normalization(site: _Site) -> None:
    x = site.shape(0)
    if len(x) < 2:
        site.wrong(f"normalises a tensor of shape {x}; expected channels after the batch")
    if site.options.get("training_mode", 0) or not site.options.get("spatial", 1):
        site.refuse("is in training mode, or not one a channel; export the network in evaluation mode")
    for name, index in (("scale", 1), ("bias", 2), ("mean", 3), ("variance", 4)):
        if site.shape(index) != (x[1],):
            site.wrong(f"has a {name} {site.node.input[index]} of shape {site.shape(index)}; expected ({x[1]},)")
    variance, epsilon = site.constant(4), site.options.get("epsilon", 1e-5)
    if variance is not None and not (variance + np.float32(epsilon) > 0).all():
        channel = int(np.flatnonzero(~(variance + np.float32(epsilon) > 0))[0])
        site.wrong(
            f"has the variance {variance[channel]:g} ({site.node.input[4]}) and epsilon {epsilon:g} in channel {channel}; "
            "their sum must be positive"
        )


def _check_binary(site: _Site) -> None:
    """A constant must not enlarge the tensor that it meets, and only one number a channel another tensor."""
    gate = (*site.output[:2], *(1 for _ in site.output[2:]))
    for index in (0, 1):
        gates = site.node.op_type == "Mul" and site.dynamic(1 - index) and site.shape(index) == gate
        if site.dynamic(index) and site.shape(index) != site.output and not gates:
            site.refuse(
                f"broadcasts a tensor of shape {site.shape(index)} to {site.output}; the tensor that depends on the input "
                "must keep its shape, but for a factor of each channel in a Mul"
            )
    divisor = site.constant(1) if site.node.op_type == "Div" else None
    if divisor is not None and not divisor.all():
        site.wrong(f"divides by zero ({site.node.input[1]})")


def _check_reshape(site: _Site) -> None:
    if site.constant(1) is None:
        site.refuse(f"takes its shape {site.node.input[1]} from the input; export it with a fixed shape")
    if math.prod(site.shape(0)) != math.prod(site.output):
        site.wrong(f"gives {site.output} for a tensor of shape {site.shape(0)}, which has another number of elements")


def _check_flatten(site: _Site) -> None:
    if site.dynamic(0) and site.options.get("axis", 1) in (0, -len(site.shape(0))):
        _set(site.node, "axis", 1)  # the same for a batch of 1


def _check_transpose(site: _Site) -> None:
    axes = list(range(len(site.shape(0))))
    perm = site.options.get("perm", axes[::-1])
    if sorted(perm) != axes:
        site.wrong(f"has perm {perm} for a tensor of shape {site.shape(0)}; expected each of its axes once")
    if site.dynamic(0) and perm[:1] != [0]:
        site.refuse("moves the batch axis; only the axes after it can change")


def _check_axes(site: _Site, rank: int) -> list[int]:
    """The axes of a node, as numbers from 0, from its attribute or its second operand."""
    operand = site.constant(1)
    if site.has(1) and operand is None:
        site.refuse(f"takes its axes {site.node.input[1]} from the input; export it with fixed axes")
    axes = site.options.get("axes") if operand is None else operand.ravel().tolist()
    if axes is None or not axes:
        site.refuse("names no axes, so that the batch counts as one; export it with axes")
    axes = [axis % rank for axis in axes]
    if len(set(axes)) < len(axes):
        site.wrong(f"names an axis twice, in {axes}")
    if site.dynamic(0) and 0 in axes:
        site.refuse(f"has axes {sorted(axes)}, the batch among them; only the axes after it can change")
    return axes


def _check_squeeze(site: _Site) -> None:
    _check_axes(site, len(site.shape(0)))


def _check_unsqueeze(site: _Site) -> None:
    _check_axes(site, len(site.output))


def _check_softmax(site: _Site) -> None:
    shape = site.shape(0)
    axis = site.options.get("axis", -1)  # before version 13 the default was 1: the same for two axes
    if not site.last:
        site.refuse("stands between layers; only as the last node, after which the label is taken, can it be built")
    if len(shape) != 2 or axis % len(shape) != 1:
        site.refuse(f"is taken over axis {axis} of a tensor of shape {shape}; expected (1, classes) and axis 1")
    _set(site.node, "axis", 1)


def _check_clip(site: _Site) -> None:
    for index in (1, 2):
        if site.has(index) and site.shape(index) != ():
            site.wrong(
                f"has a bound {site.node.input[index]} of shape {site.shape(index)}; expected one number, of shape ()"
            )


def _check_celu(site: _Site) -> None:
    if site.options.get("alpha", 1.0) == 0:
        site.wrong("has alpha 0, by which it divides")


def _check_slope(site: _Site) -> None:
    if not _broadcasts(site.shape(1), site.shape(0)):
        site.wrong(
            f"has slopes {site.node.input[1]} of shape {site.shape(1)} for a tensor of shape {site.shape(0)}; expected one "
            "that broadcasts to it"
        )


def _check_power(site: _Site) -> None:
    exponent = site.constant(1)
    if exponent is None or exponent.size != 1 or len(site.shape(1)) > len(site.shape(0)):
        site.refuse("has exponents that differ, or depend on the input; only one constant can be built")


def _check_dropout(site: _Site) -> None:
    ratio = site.constant(1) if site.has(1) else np.asarray(site.options.get("ratio", 0.5))
    if ratio is None or ratio.shape != () or not 0 <= ratio < 1:
        site.wrong("has a ratio that is no number from 0 to 1, without 1")
    training = site.constant(2)
    if site.has(2) and (training is None or training.any()):
        site.refuse("is in training mode; export the network in evaluation mode")


def _check_nothing(site: _Site) -> None:
    """ONNX' inference says all."""


def _set(node: onnx.NodeProto, name: str, value: Any) -> None:
    others = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, onnx.helper.make_attribute(name, value)])


_JOINS = ("Add", "Sub", "Mul", "Div")
_DILATED = ("Conv", "MaxPool")
_CHECKS: dict[str, Callable[[_Site], None]] = {
    **dict.fromkeys(_JOINS, _check_binary),
    **dict.fromkeys(CLASSIFIER_ENDS, _check_softmax),
    **dict.fromkeys((*ELEMENTWISE_FUNCTIONS, "Neg", "Identity", "Cast", "MatMul"), _check_nothing),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _check_squares),
    **dict.fromkeys(("Resize", "Upsample"), _check_resize),
    "AveragePool": _check_pool,
    "BatchNormalization": _check_batch_normalization,
    "Celu": _check_celu,
    "Clip": _check_clip,
    "Concat": _check_concat,
    "Conv": _check_convolution,
    "ConvTranspose": _check_transposed_convolution,
    "Dropout": _check_dropout,
    "Flatten": _check_flatten,
    "Gemm": _check_gemm,
    "GlobalAveragePool": _check_global_pool,
    "GlobalMaxPool": _check_global_pool,
    "PRelu": _check_slope,
    "Pow": _check_power,
    "MaxPool": _check_pool,
    "Pad": _check_pad,
    "ReduceMax": _check_max_reduction,
    "ReduceMean": _check_squeeze,
    "Reshape": _check_reshape,
    "Slice": _check_slice,
    "Split": _check_split,
    "Squeeze": _check_squeeze,
    "Transpose": _check_transpose,
    "Unsqueeze": _check_unsqueeze,
}
