"""A float network of the user's own class, traced, and the quantized network that computes the same with integers.

The trace is torch.fx's. Normalisations behind a convolution or linear layer are folded into it. The quantized network
has the layers of the families here: each ReLU gives unsigned integers, the operands of an addition or concatenation share
one quantizer, and what goes into a layer with weights is quantized in any case.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from pipeline.errors import ModelError
from pipeline.models.layers import Layers, Normalize, Place
from pipeline.models.names import Preprocessing
from pipeline.models.quantization import Quantization
from pipeline.quantize.batch_norm import fold

__all__ = ["TracedNetwork", "traced"]

_MATRICES = (nn.Conv1d, nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_PASSING = (nn.MaxPool1d, nn.MaxPool2d, nn.Flatten, nn.Identity)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_SHAPES = ("view", "reshape", "flatten", "size", "contiguous")
_ADDITIONS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
_CONCATENATIONS: tuple[Any, ...] = (torch.cat, torch.concat)
_RECTIFIERS: tuple[Any, ...] = (torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu_, "relu", "relu_")
_MEANS: tuple[Any, ...] = (torch.mean, "mean")
_KNOWN = (
    "convolutions, linear layers, batch normalisation, ReLU, max pooling, averages over whole windows side by side or the whole image, "
    "and additions and concatenations of what layers give"
)
_TOLERANCE = 1e-3  # of the largest output, that folding may change


@dataclass(frozen=True)
class TracedNetwork:
    """A float `network` (N, *`input_shape`) → (N, classes) of images from 0 to 1 whose layers can all be quantized."""

    network: nn.Module  # a GraphModule
    input_shape: tuple[int, ...]
    normalization: Preprocessing | None
    folded: int  # normalisations

    def quantized(self, quantization: Quantization) -> nn.Module:
        """The same with layers that `quantization` says, and the weights as they are."""
        return _Quantizer(self, quantization).network()


def traced(network: nn.Module, image: Tensor, normalization: Preprocessing | None, called: str) -> TracedNetwork:
    """`network`, which takes what `normalization` makes of images, with its normalisations folded; it stays as it is.

    `image` is a batch of images from 0 to 1, by which shapes are found. Raises ModelError for a network that cannot be
    traced or run, and with every layer that cannot be quantized, `called` what the user calls it.
    """
    network = copy.deepcopy(network).eval()
    normalize = Normalize(normalization.mean, normalization.std) if normalization else nn.Identity()
    shape = "×".join(map(str, image.shape[1:]))
    try:
        with torch.no_grad():
            expected = network(normalize(image))
    except Exception as error:  # of the user's code, or of torch about it
        raise ModelError(
            f"{called} cannot compute images of {shape}: {_said(error)}. Where it is for others, name their size (--input-shape) or "
            "another --dataset."
        ) from error
    try:
        graph = fx.symbolic_trace(network)
    except Exception as error:  # likewise
        raise ModelError(
            f"{called} cannot be traced: {_said(error)}. Its forward may take one tensor and branch on nothing that it computes."
        ) from error
    if not isinstance(expected, Tensor) or expected.ndim != 2:
        kind = (
            f"a tensor of {tuple(expected.shape)}" if isinstance(expected, Tensor) else f"a {type(expected).__name__}"
        )
        raise ModelError(f"{called} gives {kind}; expected (N, classes), a number for each class of each image.")
    placeholder = next(node for node in graph.graph.nodes if node.op == "placeholder")
    graph.add_submodule("normalize", normalize)
    with graph.graph.inserting_after(placeholder):
        first = graph.graph.call_module("normalize", (placeholder,))
    placeholder.replace_all_uses_with(first, delete_user_cb=lambda user: user is not first)
    _without_dropout(graph)
    ShapeProp(graph).propagate(image)
    _check(graph, called)
    folded = _fold_norms(graph)
    graph.graph.lint()
    graph.delete_all_unused_submodules()
    graph.recompile()
    if not expected.isfinite().all():
        raise ModelError(
            f"{called} gives values that are no finite numbers{_first_not_finite(graph, image)}; it cannot be quantized."
        )
    with torch.no_grad():
        difference = float((graph(image) - expected).abs().max())
    if not difference <= _TOLERANCE * float(expected.abs().max()):
        raise ModelError(
            f"{called} computes something else when it is traced: outputs differ by {difference:.3g}. Its forward may "
            "depend on nothing but its input and its state."
        )
    return TracedNetwork(graph, tuple(image.shape[1:]), normalization, folded)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip(".")


def _first_not_finite(graph: fx.GraphModule, image: Tensor) -> str:
    """Where numbers stop being finite, as the end of a sentence."""
    found: list[str] = []

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor) and not value.isfinite().all():
                found.append(str(n.target))
            return value

    with torch.no_grad():
        Watched(graph).run(image)
    return f", from {found[0]} on" if found else ""


def _module(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


def _without_dropout(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        if isinstance(_module(graph, node), _DROPOUTS) or node.target is nn.functional.dropout:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)


def _check(graph: fx.GraphModule, called: str) -> None:
    """Raise ModelError with all that cannot be quantized."""
    problems = list(_problems(graph))
    if problems:
        raise ModelError(f"{called} cannot be quantized: {'; '.join(problems)}. Known are {_KNOWN}.")


def _problems(graph: fx.GraphModule) -> Iterator[str]:
    seen: set[nn.Module] = set()
    if not any(isinstance(_module(graph, node), _MATRICES) for node in graph.graph.nodes):
        yield "it has no convolution or linear layer"
    for node in graph.graph.nodes:
        module = _module(graph, node)
        if isinstance(module, _MATRICES):
            if module in seen:
                yield f"{node.target} is computed twice"
            seen.add(module)
            if getattr(module, "padding_mode", "zeros") != "zeros":
                yield f"{node.target} pads with {module.padding_mode}"
        elif isinstance(module, _NORMS):
            if module.running_mean is None:
                yield f"{node.target} normalises by each batch"
        elif module is not None:
            if not isinstance(module, (nn.ReLU, Normalize, *_PASSING)) and _window(node, module) is None:
                yield f"{node.target} is {module!r}".partition("\n")[0]
        elif node.op == "get_attr":
            yield f"{node.target} is a constant of its own"
        elif node.op in ("call_function", "call_method") and not _is_known(node):
            yield f"{node.name} calls {getattr(node.target, '__name__', node.target)}"


def _is_known(node: fx.Node) -> bool:
    if node.target in (getattr, operator.getitem):
        return _is_shape(node)
    if node.target in _ADDITIONS:
        return all(isinstance(operand, fx.Node) for operand in node.args[:2]) and not node.kwargs
    if node.target in (nn.functional.max_pool2d, torch.flatten, *_SHAPES, *_RECTIFIERS, *_CONCATENATIONS):
        return True
    return _window(node, None) is not None


def _is_shape(node: fx.Node) -> bool:
    """Whether `node` is a size of a tensor and no tensor."""
    return "tensor_meta" not in node.meta


def _pixels(node: fx.Node) -> tuple[int, int]:
    shape = cast(fx.Node, node.args[0]).meta["tensor_meta"].shape
    return tuple(shape[2:]) if len(shape) == 4 else (0, 0)


def _window(node: fx.Node, module: nn.Module | None) -> tuple[int, int] | None:
    """The window of an average over whole windows side by side; None for what is no such average."""
    if module is None:
        if node.target not in (nn.functional.avg_pool2d, nn.functional.adaptive_avg_pool2d, *_MEANS):
            return None
        arguments = (*node.args[1:], *node.kwargs.values())
        if node.target in _MEANS:
            dims = arguments[0] if arguments else None
            spatial = isinstance(dims, tuple | list) and sorted(d % 4 for d in dims) == [2, 3]
            return _pixels(node) if spatial and _pixels(node) != (0, 0) else None
        if node.target is nn.functional.avg_pool2d:
            return _pair(arguments[0]) if len(arguments) == 1 and arguments[0] else None
        module = nn.AdaptiveAvgPool2d(cast(Any, arguments[0]))
    if isinstance(module, nn.AdaptiveAvgPool2d):
        whole = _pair(module.output_size) == (1, 1) and _pixels(node) != (0, 0)
        return _pixels(node) if whole else None
    if isinstance(module, nn.AvgPool2d):
        side_by_side = _pair(module.stride) == _pair(module.kernel_size) and _pair(module.padding) == (0, 0)
        return _pair(module.kernel_size) if side_by_side and not module.ceil_mode else None
    return None


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _fold_norms(graph: fx.GraphModule) -> int:
    """Fold each normalisation that is the only reader of a layer with weights into that layer; how many were folded.

    Layers without a bias get one of zeros, to be corrected.
    """
    folded = 0
    modules = [_module(graph, node) for node in graph.graph.nodes]
    for node in list(graph.graph.nodes):
        norm = _module(graph, node)
        before = node.args[0] if node.args else None
        if not isinstance(norm, _NORMS) or not isinstance(before, fx.Node) or modules.count(norm) > 1:
            continue
        layer = _module(graph, before)
        if isinstance(layer, _MATRICES) and len(before.users) == 1:
            fold(layer, norm)
            node.replace_all_uses_with(before)
            graph.graph.erase_node(node)
            folded += 1
    for layer in graph.modules():
        if isinstance(layer, _MATRICES) and layer.bias is None:
            layer.register_parameter("bias", nn.Parameter(torch.zeros(len(layer.weight))))
    return folded


class _Quantizer:
    """Makes the quantized twin of a traced `network`."""

    def __init__(self, network: TracedNetwork, quantization: Quantization) -> None:
        self.graph = cast(fx.GraphModule, copy.deepcopy(network.network))
        self.layers = Layers(quantization)
        self.input = self.layers.input(network.normalization)
        self.quantized: dict[fx.Node, bool] = {}  # whether what gives integers gives signed ones
        self.signed: dict[fx.Node, fx.Node] = {}  # by a node without integers, that of its quantizer
        self.normalization = network.normalization

    def network(self) -> nn.Module:
        graph = self.graph.graph
        places = self._places()
        for node in list(graph.nodes):
            module = _module(self.graph, node)
            if node.target == "normalize" and module is not None:
                self._input(node)
            elif isinstance(module, _MATRICES):
                node.args = (self._integers(node.args[0]), *node.args[1:])
                self._put(str(node.target), self.layers.like(module, place=places[node]))
            elif isinstance(module, nn.ReLU) or node.target in _RECTIFIERS:
                self._replace(node, self.layers.activation(), "relu")
                self.quantized[node] = False
            elif node.target in _ADDITIONS:
                first, second = self._shared(node, list(node.args[:2]), self.layers.branch_end())
                node.args = (first, second)
                node.target, node.op = operator.add, "call_function"
            elif node.target in _CONCATENATIONS:
                self._concatenate(node)
            elif (window := _window(node, module)) is not None:
                self._average(node, window)
            elif (
                node.args
                and isinstance(node.args[0], fx.Node)
                and node.args[0] in self.quantized
                and self._passes(node)
            ):
                self.quantized[node] = self.quantized[node.args[0]]
        graph.lint()
        self.graph.delete_all_unused_submodules()
        self.graph.recompile()
        return self.graph.eval()

    def _passes(self, node: fx.Node) -> bool:
        return not _is_shape(node) and not isinstance(_module(self.graph, node), _NORMS)

    def _places(self) -> dict[fx.Node, Place]:
        """The first layers are those that nothing with weights comes before, the last those that nothing comes after."""
        nodes = [node for node in self.graph.graph.nodes if isinstance(_module(self.graph, node), _MATRICES)]
        behind: dict[fx.Node, bool] = {}
        for node in self.graph.graph.nodes:
            behind[node] = any(behind[other] or other in nodes for other in node.all_input_nodes)
        ahead: dict[fx.Node, bool] = {}
        for node in reversed(self.graph.graph.nodes):
            ahead[node] = any(ahead[user] or user in nodes for user in node.users)
        return {node: "last" if not ahead[node] else "first" if not behind[node] else "hidden" for node in nodes}

    def _input(self, node: fx.Node) -> None:
        self.graph.add_submodule("input_quant", self.input)
        with self.graph.graph.inserting_after(node):
            integers = self.graph.graph.call_module("input_quant", (node,))
        node.replace_all_uses_with(integers, delete_user_cb=lambda user: user is not integers)
        integers.meta = dict(node.meta)
        self.quantized[integers] = self.normalization is not None

    def _integers(self, node: Any) -> fx.Node:
        """What quantizes `node`, itself where it gives integers."""
        if node in self.quantized:
            return cast(fx.Node, node)
        if node not in self.signed:
            self.signed[node] = self._behind(node, self._named(f"{node.name}_quant", self.layers.linear_end()))
            self.quantized[self.signed[node]] = True
        return self.signed[node]

    def _behind(self, node: fx.Node, name: str) -> fx.Node:
        with self.graph.graph.inserting_after(node):
            made = self.graph.graph.call_module(name, (node,))
        made.meta = dict(node.meta)
        return made

    def _shared(self, node: fx.Node, operands: list[Any], quantizer: nn.Module) -> list[fx.Node]:
        name = self._named(f"{node.name}_quant", quantizer)
        return [self._behind(operand, name) for operand in operands]

    def _concatenate(self, node: fx.Node) -> None:
        operands = list(cast(Any, node.args[0] if node.args else node.kwargs["tensors"]))
        unsigned = all(self.quantized.get(operand, True) is False for operand in operands)
        shared = self._shared(node, operands, self.layers.operand(signed=not unsigned))
        node.kwargs = {key: value for key, value in node.kwargs.items() if key != "tensors"}
        node.args = (shared, *node.args[1:])
        self.quantized[node] = not unsigned

    def _average(self, node: fx.Node, window: tuple[int, int]) -> None:
        before = cast(fx.Node, node.args[0])
        if self.quantized.get(before, True):
            raise ModelError(
                f"Layer {node.name} averages numbers with a sign, and averages here are of unsigned integers: put a ReLU "
                "before it."
            )
        keeps = node.meta["tensor_meta"].shape[2:] != ()
        self._replace(node, self.layers.average_pool(window[0] if window[0] == window[1] else window), "average")
        self.quantized[node] = False
        if not keeps:
            with self.graph.graph.inserting_after(node):
                flat = self.graph.graph.call_function(torch.flatten, (node, 1))
            node.replace_all_uses_with(flat, delete_user_cb=lambda user: user is not flat)
            flat.meta = dict(node.meta)
            self.quantized[flat] = False

    def _replace(self, node: fx.Node, module: nn.Module, kind: str) -> None:
        """Let `node` call `module`, of which there is one for each call."""
        given = str(node.target) if node.op == "call_module" else kind
        node.op, node.target = "call_module", self._named(f"{node.name if given == kind else given}_quant", module)
        node.args, node.kwargs = node.args[:1], {}

    def _named(self, name: str, module: nn.Module) -> str:
        known = dict(self.graph.named_modules())
        chosen, number = name, 2
        while chosen in known:
            chosen, number = f"{name}{number}", number + 1
        self.graph.add_submodule(chosen, module)
        return chosen

    def _put(self, name: str, module: nn.Module) -> None:
        parent, _, attribute = name.rpartition(".")
        setattr(self.graph.get_submodule(parent), attribute, module)
