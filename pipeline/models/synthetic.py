"""Weights that nobody trained: seeded draws that meet the A2Q or A2Q+ bound, as sparse as such training leaves them.
Networks without a bound get plain draws.

They stand in for a checkpoint that is not at hand where only hardware and not accuracy is asked for. Whoever uses them
says so: the build's record and reports call them synthetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from brevitas.nn import QuantReLU
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from pipeline.dataflow.random_rows import draw_row
from pipeline.errors import ModelError, VerificationError
from pipeline.models.a2q import a2q_layers, largest_l1_norm, layer_bounds
from pipeline.models.network_record import LayerBound

__all__ = ["SPARSITY", "fill", "usual_sparsity"]

# Share of zeros by accumulator width. A2Q+ table 3 (arXiv 2401.10432), ResNet-18 W4A4, gives 12, 14 and 16 bits; 13
# and 15 lie half-way.
SPARSITY = {
    "a2q": {12: 0.947, 13: 0.932, 14: 0.917, 15: 0.827, 16: 0.737},
    "a2q_plus": {12: 0.934, 13: 0.892, 14: 0.850, 15: 0.677, 16: 0.504},
}
_PUBLISHED_INPUT_BITS = 4
# A2Q rounds towards zero, so float weights are written this much larger than their integers.
_MARGIN = 1 / 64


def usual_sparsity(method: str, accumulator_bits: int, input_bits: int) -> float:
    """The share of zeros that training leaves; where none is published, that of the nearest bound that is."""
    published = SPARSITY[method]
    # an accumulator bit more or an input bit less are the same bound
    bits = accumulator_bits - (input_bits - _PUBLISHED_INPUT_BITS)
    return published[min(max(bits, min(published)), max(published))]


def fill(model: nn.Module, images: np.ndarray, seed: int) -> None:
    """Give `model` synthetic weights, in place: A2Q layers a drawn row for each channel, the others a seeded Gaussian.

    `images` (N, C, H, W), as the network takes them, are run once to set the statistics of normalisations and the scales
    of activations, so that no activation is dead. Raises ModelError for a float network, VerificationError if a layer
    computes other integers than were drawn.
    """
    if not any(isinstance(module, QuantReLU) for module in model.modules()):
        raise ModelError("Synthetic weights are for quantized networks, and this is a float network.")
    generator = np.random.default_rng(seed)
    torch_generator = torch.Generator().manual_seed(seed)
    hidden, bounds = a2q_layers(model), layer_bounds(model)
    types = _input_types(model, hidden, torch.from_numpy(images[:1]))
    drawn = {}
    with torch.no_grad():
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and name not in hidden:
                deviation = math.sqrt(2 / layer.weight[0].numel())
                layer.weight.normal_(0, deviation, generator=torch_generator)
                if layer.bias is not None:
                    layer.bias.normal_(0, deviation, generator=torch_generator)
        for name, layer in hidden.items():
            drawn[name] = _draw_layer(generator, layer, bounds[name], *types[name])
            _write_layer(layer, drawn[name])
    _settle(model, torch.from_numpy(images))
    if hidden:
        _check(model, hidden, drawn, torch.from_numpy(images[:1]))


def _draw_layer(
    generator: np.random.Generator,
    layer: QuantWeightBiasInputOutputLayer,
    trained_for: LayerBound,
    input_bits: int,
    signed_input: bool,
) -> Tensor:
    """Integers in the shape of the layer's weight, for inputs of `input_bits`."""
    rows, size = layer.weight.shape[0], layer.weight[0].numel()
    method, bits = trained_for.method, trained_for.accumulator_bits
    norm = largest_l1_norm(method, bits, input_bits, signed_input=signed_input)
    bound = math.floor(norm / (1 + _MARGIN))
    zeros = usual_sparsity(method, bits, input_bits)
    largest = 2 ** (int(layer.weight_quant.tensor_quant.msb_clamp_bit_width_impl()) - 1) - 1
    centred = method == "a2q_plus"
    drawn = [draw_row(generator, size, bound, zeros, centred=centred, largest=largest) for _ in range(rows)]
    return torch.from_numpy(np.stack(drawn)).reshape(layer.weight.shape)


def _input_types(
    model: nn.Module, layers: Mapping[str, QuantWeightBiasInputOutputLayer], image: Tensor
) -> dict[str, tuple[int, bool]]:
    """The bits of the input of each of `layers`, and whether it is signed."""
    types: dict[str, tuple[int, bool]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_quantizer: nn.Module, arguments: tuple[Any, ...]) -> None:
            quant_input = arguments[1]
            types[name] = int(quant_input.bit_width), bool(quant_input.signed)

        return hook

    hooks = [layer.weight_quant.register_forward_pre_hook(note(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            model.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
    return types


def _write_layer(layer: QuantWeightBiasInputOutputLayer, integers: Tensor) -> None:
    """Choose float weights, scale s and norm g so that w·g/(s·‖w‖₁) is each integer.

    Brevitas keeps s twice: one for the projection, one for the value of an integer; each number as its module stores it,
    often as a base-2 logarithm.
    """
    quantizer = layer.weight_quant.tensor_quant
    pre_scaling = quantizer.pre_scaling_impl
    norms = integers.abs().flatten(1).sum(dim=1).reshape(pre_scaling.value.shape).float()
    scale = torch.full_like(norms, 1 / 8)
    layer.weight.copy_(integers * scale)
    _store(pre_scaling.scaling_impl, scale)
    _store(quantizer.scaling_impl, scale)
    _store(pre_scaling, norms * scale * (1 + _MARGIN))


def _store(scaling: Any, value: Tensor) -> None:  # one of Brevitas' modules of a learned scale
    scaling.value.copy_(scaling.restrict_clamp_scaling.restrict_value_impl.restrict_init_tensor(value))


def _settle(model: nn.Module, images: Tensor) -> None:
    """One pass in training mode, in which normalisations take their statistics from `images` alone."""
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = None  # the plain average over batches, of which there is one
    with torch.no_grad():
        model.train()(images)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    model.eval()


def _check(
    model: nn.Module,
    hidden: dict[str, QuantWeightBiasInputOutputLayer],
    drawn: dict[str, Tensor],
    image: Tensor,
) -> None:
    def compare(name: str) -> Callable[..., None]:
        def hook(_quantizer: nn.Module, _arguments: tuple[Any, ...], weight: QuantTensor) -> None:
            if not torch.equal(weight.int(float_datatype=False).long(), drawn[name]):
                raise VerificationError(
                    f"layer {name}: Brevitas computes other integers than the synthetic weights drawn."
                )

        return hook

    hooks = [layer.weight_quant.register_forward_hook(compare(name)) for name, layer in hidden.items()]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
