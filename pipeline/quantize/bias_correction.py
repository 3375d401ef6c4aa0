"""Biases corrected for what rounding shifts, kept only where a network gets better by it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.quantize.calibration import quantized_layers
from pipeline.quantize.observe import observe

__all__ = ["correct_biases"]


def correct_biases(network: nn.Module, reference: nn.Module, batches: Sequence[Tensor], held_out: Tensor) -> bool:
    """Shift each bias of `network` by the mean error of its channel against the float `reference`; whether it stays so.

    Layer by layer, each on what the corrected layers before it give (sequential bias correction of arXiv 1906.04721).
    It stays where the outputs for the images `held_out` come closer to the reference's, by the mean squared error.
    """
    before = copy.deepcopy(network.state_dict())
    error = _error(network, reference, held_out)
    layers = quantized_layers(network)
    names = dict(reference.named_modules())
    wanted = _means(reference, [names[layer.name] for layer in layers], batches)
    for layer, mean in zip(layers, wanted, strict=True):
        with torch.no_grad():
            layer.module.bias.add_(mean - _means(network, [layer.module], batches)[0])
    if _error(network, reference, held_out) < error:
        return True
    network.load_state_dict(before)
    return False


def _means(network: nn.Module, layers: Sequence[nn.Module], batches: Sequence[Tensor]) -> list[Tensor]:
    """The mean output of each of `layers` by channel, over `batches` of images."""
    sums: dict[nn.Module, Tensor] = {}
    images_in_all = sum(map(len, batches))

    def keep(layer: nn.Module, _arguments: tuple[Any, ...], output: Any) -> None:
        values = getattr(output, "value", output)
        channels = values.ndim - 1 if isinstance(layer, nn.Linear) else 1
        mean = values.mean(dim=[d for d in range(values.ndim) if d != channels]) * (len(values) / images_in_all)
        sums[layer] = sums[layer] + mean if layer in sums else mean

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    observe(network, batches, hooks)
    return [sums[layer] for layer in layers]


def _error(network: nn.Module, reference: nn.Module, images: Tensor) -> float:
    with torch.no_grad():
        outputs = network(images)
        return float((getattr(outputs, "value", outputs) - reference(images)).square().mean())
