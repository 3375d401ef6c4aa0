"""Channels scaled between a layer and those after it, so that they are quantized better: the float network stays the same.

What comes out of a ReLU, a pooling or an addition is scaled as what goes in, so a factor of a channel can be put into the
weights before it and taken out of the weights after it. Nothing is left to compute of it.

    cross_layer   both sides get the same range (arXiv 1906.04721), by Brevitas
    smoothquant   activations and the weights after them share their ranges (arXiv 2211.10438), by Brevitas
    awq           weights after large activations get finer steps: of 20 exponents of the activation's mean magnitude the
                  one by which rounding changes the output least (arXiv 2306.00978)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from brevitas.graph.base import ModuleInstanceTransformTensor
from brevitas.graph.equalize import EqualizeGraph, GraphActivationEqualization
from torch import Tensor, fx, nn

from pipeline.errors import ModelError
from pipeline.quantize.method import Equalization
from pipeline.quantize.moments import input_moments, output_errors
from pipeline.quantize.observe import observe
from pipeline.quantize.scales import Range, quantized, weight_scales

__all__ = ["equalize", "scale_for_activations"]

_ITERATIONS = 20
_MIGRATION = 0.5  # the share of a range that SmoothQuant moves into weights
_EXPONENTS = tuple(step / 20 for step in range(20))  # 0 first: no scaling, if none is better


def equalize(network: nn.Module, batches: Sequence[Tensor], equalization: Equalization) -> int:
    """Scale the channels of the float `network`, whose normalisations are folded; how many groups of layers share some.

    Raises ModelError where nothing can be scaled.
    """
    graph = _graph(network)
    if equalization == "cross_layer":
        _, regions = EqualizeGraph(iterations=_ITERATIONS, return_regions=True).apply(graph)
    else:
        smooth = GraphActivationEqualization(graph)
        smooth.setup()
        with torch.no_grad():
            for images in batches:
                graph(images)
        smooth.apply(_MIGRATION)
        regions = smooth.regions
    return _counted(regions, equalization)


def scale_for_activations(network: nn.Module, batches: Sequence[Tensor], bits: Mapping[str, int], method: Range) -> int:
    """The same by AWQ, for weights of `bits` by the name of their layer and ranges of each channel by `method`."""
    graph = _graph(network)
    _, regions = EqualizeGraph(iterations=0, return_regions=True).apply(graph)
    sinks_of = [{name.split("$")[0]: sink for name, sink in region.sinks.items()} for region in regions]
    names = list(dict.fromkeys(name for sinks in sinks_of for name in sinks))
    layers = [network.get_submodule(name) for name in names]
    moments = dict(zip(names, input_moments(network, layers, batches), strict=True))
    means = dict(zip(names, _magnitudes(network, layers, batches), strict=True))
    for region, sinks in zip(regions, sinks_of, strict=True):
        if not _whole(region, sinks, means):
            continue
        magnitudes = torch.stack([means[name] for name in sinks]).mean(dim=0)
        errors = [
            sum(_error(wrapper, factors, bits[name], method, moments[name]) for name, wrapper in sinks.items())
            for factors in (_factors(magnitudes, exponent) for exponent in _EXPONENTS)
        ]
        best = min(range(len(errors)), key=errors.__getitem__)
        inverse = 1 / _factors(magnitudes, _EXPONENTS[best])
        for wrapper in chain(region.srcs.values(), region.sinks.values()):
            for rewriter in wrapper.instantiate_rewriters(ModuleInstanceTransformTensor, inverse):
                rewriter.apply(graph)
    return _counted(regions, "awq")


def _whole(region: Any, sinks: Mapping[str, Any], means: Mapping[str, Tensor]) -> bool:
    """Whether all layers of `region` have all of its channels: those of a concatenation have some."""
    channels = region.max_shape_srcs
    sources = region.srcs.values()
    return (
        all(source.equalization_indexes.end == channels for source in sources)
        and all(len(means[name]) == channels for name in sinks)
        and all(wrapper.weight_axis is not None for wrapper in chain(sources, sinks.values()))
    )


def _graph(network: nn.Module) -> fx.GraphModule:
    """`network` as a graph of its own modules, without normalisations that do nothing."""
    try:
        graph = fx.symbolic_trace(network.eval())
    except Exception as error:  # noqa: BLE001  whatever the code of a network raises
        raise ModelError(
            f"{type(network).__name__} cannot be traced ({error}), so the layers that share channels are not known. Leave "
            "out equalization and awq."
        ) from None
    for name, module in list(graph.named_modules()):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and _does_nothing(module):
            graph.set_submodule(name, nn.Identity())
    return graph


def _does_nothing(norm: Any) -> bool:
    return all(
        bool((tensor == value).all())
        for tensor, value in (
            (norm.weight, 1),
            (norm.bias, 0),
            (norm.running_mean, 0),
            (norm.running_var, 1 - norm.eps),
        )
    )


def _counted(regions: Sequence[Any], what: str) -> int:
    if not regions:
        raise ModelError(f"{what} finds no two layers of this network that share channels. Leave it out.")
    return len(regions)


def _magnitudes(network: nn.Module, layers: Sequence[nn.Module], batches: Sequence[Tensor]) -> list[Tensor]:
    """The mean magnitude of each channel that comes into each of `layers`."""
    sums: dict[nn.Module, Tensor] = {}

    def add(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        values = arguments[0].abs()
        channels = values.ndim - 1 if isinstance(layer, nn.Linear) else 1
        mean = values.mean(dim=[d for d in range(values.ndim) if d != channels])
        sums[layer] = sums[layer] + mean if layer in sums else mean

    hooks = [layer.register_forward_pre_hook(add) for layer in layers]
    observe(network, batches, hooks)
    return [sums[layer] / len(batches) for layer in layers]


def _factors(magnitudes: Tensor, exponent: float) -> Tensor:
    """By what weights are multiplied: magnitude^`exponent`, around 1; 1 for a channel that is always zero."""
    factors = torch.where(magnitudes > 0, magnitudes, 1.0).pow(exponent)
    alive = factors[magnitudes > 0]
    if not alive.numel():
        return torch.ones_like(magnitudes)
    return torch.where(magnitudes > 0, factors / (alive.max() * alive.min()).sqrt(), 1.0)


def _error(wrapper: Any, factors: Tensor, bits: int, method: Range, moments: Tensor) -> float:
    """What rounding the weights of a layer, multiplied by `factors` by input channel, changes of its output."""
    weight = wrapper.weight.detach()
    shape = [-1 if axis == wrapper.weight_axis else 1 for axis in range(weight.ndim)]
    scaled = weight * factors.reshape(shape)
    last = 2 ** (bits - 1) - 1
    rounded = quantized(scaled, weight_scales(scaled, bits, method, per_channel=True), -last, last)
    return float(output_errors((rounded / factors.reshape(shape) - weight).flatten(1), moments).sum())
