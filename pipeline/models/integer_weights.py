"""The weights of a Brevitas network as integers, as its layers compute them from the input they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from pipeline.errors import ModelError

__all__ = ["IntegerWeights", "hidden_sparsity", "integer_weights", "largest_l1", "quantized_weights", "weight_names"]


@dataclass(frozen=True)
class IntegerWeights:
    """A layer's integer weights, of shape (output channels, K), and the input they are multiplied by. `place` is first, hidden
    or last, see `Layers`, and empty in networks that are not made of those."""

    weights: Tensor
    input_bits: int | None  # None for an input that is not quantized
    input_signed: bool
    place: str = ""

    @property
    def l1(self) -> Tensor:
        """‖w‖₁ of each channel, of shape (output channels,)."""
        return self.weights.abs().sum(dim=1)

    @property
    def sparsity(self) -> float:
        """The share of zeros."""
        return float((self.weights == 0).double().mean())

    def sum_bits(self) -> Tensor:
        """The bits of the signed accumulator that holds every sum of each channel, of shape (output channels,).

        Exact: the range of Σ w·x over inputs x of the layer's type, see `pipeline/dataflow/bounds.py`.
        """
        if self.input_bits is None:
            raise ValueError("an input without integers has sums without bounds")
        low, high = (-(2 ** (self.input_bits - 1)), 2 ** (self.input_bits - 1) - 1)
        if not self.input_signed:
            low, high = 0, 2**self.input_bits - 1
        ends = torch.stack((self.weights * low, self.weights * high))
        smallest, largest = ends.amin(dim=0).sum(dim=1), ends.amax(dim=0).sum(dim=1)
        magnitudes = torch.maximum(largest, -smallest - 1)
        return torch.tensor([int(m).bit_length() + 1 for m in magnitudes])


def quantized_weights(network: nn.Module, image: Tensor) -> dict[str, tuple[QuantTensor, QuantTensor | None]]:
    """The quantized weight of each layer by its name, and the quantized input of the layer if it is quantized.

    `image` is a batch of one or more: an A2Q layer's weights depend on the type of its input.
    """
    result: dict[str, tuple[QuantTensor, QuantTensor | None]] = {}
    computed: dict[nn.Module, QuantTensor | Tensor] = {}

    def keep(proxy: nn.Module, _arguments: tuple[Any, ...], tensor: QuantTensor | Tensor) -> None:
        computed[proxy] = tensor

    def record(name: str) -> Callable[..., None]:
        def hook(layer: QuantWeightBiasInputOutputLayer, arguments: tuple[Any, ...], _output: object) -> None:
            weight, quant_input = computed.pop(layer.weight_quant), computed.pop(layer.input_quant, arguments[0])
            if isinstance(weight, QuantTensor):
                result[name] = weight, quant_input if isinstance(quant_input, QuantTensor) else None

        return hook

    layers = [(n, m) for n, m in network.named_modules() if isinstance(m, QuantWeightBiasInputOutputLayer)]
    hooks = [layer.weight_quant.register_forward_hook(keep) for _, layer in layers]
    hooks += [
        layer.input_quant.register_forward_hook(keep) for _, layer in layers if layer.input_quant.is_quant_enabled
    ]
    hooks += [layer.register_forward_hook(record(name)) for name, layer in layers]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(image)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return result


def weight_names(network: nn.Module) -> dict[str, str]:
    """By the name of each layer that quantizes its weights, the name of the parameter that holds them.

    Raises ModelError for weights that are no parameter, as those of a parametrization.
    """
    names = {id(parameter): name for name, parameter in network.named_parameters()}  # of a shared one, the first
    result = {}
    for name, layer in network.named_modules():
        if not isinstance(layer, QuantWeightBiasInputOutputLayer):
            continue
        if id(layer.weight) not in names:
            raise ModelError(
                f"Layer {name} calculates its weights instead of holding them as a parameter. Remove the parametrization "
                "before export: torch.nn.utils.parametrize.remove_parametrizations."
            )
        result[name] = names[id(layer.weight)]
    return result


def integer_weights(network: nn.Module, image: Tensor) -> dict[str, IntegerWeights]:
    """`quantized_weights` as integers."""
    result, modules = {}, dict(network.named_modules())
    for name, (weight, quant_input) in quantized_weights(network, image).items():
        integers = weight.int(float_datatype=False).long().flatten(1).cpu()
        bits = int(quant_input.bit_width) if quant_input is not None else None
        signed = bool(quant_input.signed) if quant_input is not None else True
        result[name] = IntegerWeights(integers, bits, signed, getattr(modules[name], "place", ""))
    return result


def hidden_sparsity(layers: dict[str, IntegerWeights]) -> float:
    """The share of zeros among the weights of all `layers` but the first and the last of each output, which carry no bound; 0
    where there are no others."""
    hidden = _hidden(layers)
    return float(sum((x == 0).sum() for x in hidden)) / max(sum(x.numel() for x in hidden), 1)


def largest_l1(layers: dict[str, IntegerWeights]) -> int:
    """The largest ‖w‖₁ of a channel in all `layers` but the first and the last of each output; 0 where there
    are no others."""
    return max((int(x.abs().sum(dim=1).max()) for x in _hidden(layers)), default=0)


def _hidden(layers: dict[str, IntegerWeights]) -> list[Tensor]:
    hidden = [layer.weights for layer in layers.values() if layer.place == "hidden"]
    return hidden or [layer.weights for layer in list(layers.values())[1:-1]]
