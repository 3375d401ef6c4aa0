"""Scales put into a quantized network: of its weights, and of its activations by what it computes on some images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from brevitas.graph.calibrate import quantization_status_manager
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjector
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.quantize.scales import Range, activation_scale, weight_scales

__all__ = [
    "ActivationQuantizer",
    "QuantizedLayer",
    "activation_quantizers",
    "quantized_layers",
    "set_scales_of_activations",
    "set_scales_of_weights",
]


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer whose weights have fixed scales: its name, its module and the bits of its weights."""

    name: str
    module: QuantWeightBiasInputOutputLayer
    bits: int

    @property
    def scaling(self) -> Any:
        """Brevitas' module that holds the scales."""
        return self.module.weight_quant.tensor_quant.scaling_impl

    @property
    def scales(self) -> Tensor:
        """The step of the integers, for each channel or the layer, as `weight_scales` gives it."""
        return self.scaling.value.data / self.last

    def set_scales(self, scales: Tensor) -> None:
        """Make `scales` the step of the integers."""
        self.scaling.value.data.copy_((scales * self.last).reshape(self.scaling.value.shape))
        self.scaling.init_done = True

    @property
    def last(self) -> int:
        """The largest integer."""
        return 2 ** (self.bits - 1) - 1


@dataclass(frozen=True)
class ActivationQuantizer:
    """A quantizer of activations whose scale is a parameter."""

    name: str
    module: ActQuantProxyFromInjector
    bits: int
    signed: bool

    def set_scale(self, scale: float) -> None:
        scaling = self.module.fused_activation_quant_proxy.tensor_quant.scaling_impl
        scaling.counter = scaling.collect_stats_steps + 1  # nothing is collected any more
        scaling.value.data.fill_(scale * (2 ** (self.bits - 1) if self.signed else 2**self.bits - 1))


def quantized_layers(network: nn.Module) -> list[QuantizedLayer]:
    """The layers of `network` whose weights are quantized, in the order of their names."""
    return [
        QuantizedLayer(name, module, int(module.weight_quant.tensor_quant.msb_clamp_bit_width_impl()))
        for name, module in network.named_modules()
        if isinstance(module, QuantWeightBiasInputOutputLayer) and module.weight_quant.is_quant_enabled
    ]


def activation_quantizers(network: nn.Module) -> list[ActivationQuantizer]:
    """The quantizers of activations of `network`, one that is shared once; the input's, which is constant, is none."""
    found: dict[nn.Module, ActivationQuantizer] = {}
    for name, module in network.named_modules():
        if isinstance(module, ActQuantProxyFromInjector) and module.is_quant_enabled and module not in found:
            quantizer = module.fused_activation_quant_proxy.tensor_quant
            if hasattr(quantizer.scaling_impl, "init_scale"):
                bits = int(quantizer.msb_clamp_bit_width_impl())
                found[module] = ActivationQuantizer(name, module, bits, bool(module.is_signed))
    return list(found.values())


def set_scales_of_weights(network: nn.Module, method: Range) -> None:
    """Give each layer of `network` the scales of its weights. Raises ModelError for weights that are no numbers."""
    for layer in quantized_layers(network):
        weight = layer.module.weight.data
        if not weight.isfinite().all():
            raise ModelError(f"Layer {layer.name} has weights that are no finite numbers; they cannot be quantized.")
        layer.set_scales(weight_scales(weight, layer.bits, method, layer.scaling.value.ndim > 0))


def set_scales_of_activations(network: nn.Module, batches: Iterable[Tensor], method: Range) -> None:
    """Give each quantizer of activations the scale of what comes to it, with nothing quantized, for `batches` of images."""
    quantizers = activation_quantizers(network)
    seen: dict[nn.Module, list[Tensor]] = {quantizer.module: [] for quantizer in quantizers}

    def keep(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        values = arguments[0]
        seen[module].append(getattr(values, "value", values).detach().flatten().clone())

    hooks = [quantizer.module.register_forward_pre_hook(keep) for quantizer in quantizers]
    try:
        with (
            torch.no_grad(),
            quantization_status_manager(
                network, disable_act_quant=True, disable_weight_quant=True, disable_bias_quant=True
            ),
        ):
            for images in batches:
                network(images)
    finally:
        for hook in hooks:
            hook.remove()
    for quantizer in quantizers:
        values = torch.cat(seen[quantizer.module])
        values = values if quantizer.signed else values.clamp_min(0)
        quantizer.set_scale(activation_scale(values, quantizer.bits, quantizer.signed, method))
