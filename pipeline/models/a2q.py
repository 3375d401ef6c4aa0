"""A2Q's layers, whose weights have a direction v, and for each channel a norm g and a scale s that are learned.

A channel's integers are v · min(g / s, T) / ‖v‖₁, rounded towards zero, T being the bound (arXiv 2308.13504); A2Q+
(arXiv 2401.10432) has v − μ(v) in place of v.
"""

from __future__ import annotations

from typing import Literal

import torch
from brevitas.core.scaling import AccumulatorAwareParameterPreScaling
from brevitas.function import abs_binary_sign_grad
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from pydantic import ValidationError
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.integer_weights import weight_names
from pipeline.models.network_record import LayerBound

__all__ = [
    "a2q_layers",
    "has_bound",
    "largest_l1_norm",
    "layer_bounds",
    "norms",
    "norms_from_weights",
    "pre_scaling",
    "weights_from_norms",
]

_NOISE = 1e-3  # of a channel without a direction, as a share of the layer's mean magnitude


def largest_l1_norm(method: str, accumulator_bits: int, input_bits: int, *, signed_input: bool = False) -> float:
    """The bound on a row's ‖w‖₁: A2Q (arXiv 2308.13504), or A2Q+ (arXiv 2401.10432) for rows that sum to zero."""
    if method == "a2q_plus":
        return (2**accumulator_bits - 2) / (2**input_bits - 1)
    return (2 ** (accumulator_bits - 1) - 1) / 2 ** (input_bits - int(signed_input))


def a2q_layers(model: nn.Module) -> dict[str, QuantWeightBiasInputOutputLayer]:
    """The layers of `model` whose weights are trained for an accumulator width, by their names."""
    return {name: layer for name, layer in model.named_modules() if has_bound(layer)}


def layer_bounds(model: nn.Module) -> dict[str, LayerBound]:
    """The bounds of the layers of `a2q_layers`, and of those that AXE has rounded, by name; of layers that share their
    weights, the first one's.

    Raises ModelError as `weight_names` does.
    """
    bounds: dict[str, LayerBound] = {}
    names = weight_names(model)
    for name, layer in model.named_modules():
        method: Literal["a2q", "a2q_plus", "axe"]
        if has_bound(layer):
            module = pre_scaling(layer)
            method = "a2q" if getattr(module, "pre_zero_point", None) is None else "a2q_plus"
            bits = int(module.accumulator_bit_width())
        elif hasattr(layer, "axe_accumulator_bits"):
            method, bits = "axe", layer.axe_accumulator_bits
        else:
            continue
        try:
            bounds.setdefault(names[name].removesuffix(".weight"), LayerBound(method=method, accumulator_bits=bits))
        except ValidationError:
            raise ModelError(f"Layer {name} is trained for an accumulator of {bits} bits; expected 2 to 64.") from None
    return bounds


def has_bound(layer: nn.Module) -> bool:
    """Whether the weights of `layer` are trained for an accumulator width."""
    quantizer = getattr(getattr(layer, "weight_quant", None), "tensor_quant", None)
    return isinstance(getattr(quantizer, "pre_scaling_impl", None), AccumulatorAwareParameterPreScaling)


def pre_scaling(layer: QuantWeightBiasInputOutputLayer) -> AccumulatorAwareParameterPreScaling:
    """Brevitas' module with the norm g and the scale s of the weights of an A2Q layer."""
    return layer.weight_quant.tensor_quant.pre_scaling_impl


def norms(layer: QuantWeightBiasInputOutputLayer) -> tuple[Tensor, Tensor]:
    """g and s of each channel of an A2Q layer, positive, of shape (channels, 1, ...); gradients reach both."""
    module = pre_scaling(layer)
    return abs_binary_sign_grad(module.restrict_clamp_scaling(module.value)), module.scaling_impl(layer.weight)


def norms_from_weights(model: nn.Module) -> None:
    """Let g and s of the A2Q layers of `model` be those of weights that were put there.

    A channel of zeros, or for A2Q+ of one number throughout, has no direction and computes nothing but NaN: it gets a
    little noise, the same each time.
    """
    generator = torch.Generator().manual_seed(0)
    for layer in a2q_layers(model).values():
        with torch.no_grad():
            flat = layer.weight.flatten(1)
            without = _centred(layer).flatten(1).abs().sum(dim=1) <= 1e-6 * flat.abs().sum(dim=1)
            noise = torch.randn(flat.shape, generator=generator) * _NOISE * (float(flat.abs().mean()) or 1.0)
            layer.weight[without] = noise[without].reshape(-1, *layer.weight.shape[1:]).to(layer.weight)
        layer.weight_quant.init_tensor_quant()


def weights_from_norms(model: nn.Module) -> None:
    """Give the directions of the A2Q layers of `model` the size that their norms say; they compute the same.

    EP-init needs it: it projects the weights as they are, and A2Q leaves the size of a direction to chance.
    """
    with torch.no_grad():
        for layer in a2q_layers(model).values():
            direction = _centred(layer)
            length = direction.flatten(1).abs().sum(dim=1)
            norm, _ = norms(layer)
            layer.weight.copy_(direction * norm / length.reshape(norm.shape))


def _centred(layer: QuantWeightBiasInputOutputLayer) -> Tensor:
    """The weights of an A2Q layer, less each channel's mean for A2Q+."""
    zero_point = getattr(pre_scaling(layer), "pre_zero_point", None)
    return layer.weight if zero_point is None else layer.weight + zero_point.get_zero_center(layer.weight)
