"""Biases corrected for what rounding shifts, kept only where a network gets better by it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.quantize.calibration import quantized_layers

__all__ = ["correct_biases"]


def correct_biases(network: nn.Module, reference: nn.Module, batches: Sequence[Tensor], held_out: Tensor) -> bool:
    """Shift each bias of `network` by the mean error of its channel against the float `reference`; whether it stays so.

    Layer by layer, each on what the corrected layers before it give (sequential bias correction of arXiv 1906.04721).
    It stays where the outputs for the images `held_out` come closer to the reference's, by the mean squared error.
    """
    before = copy.deepcopy(network.state_dict())
    names = dict(reference.named_modules())
    error = _error(network, reference, held_out)
    for layer in quantized_layers(network):
        wanted = _means(reference, names[layer.name], batches)
        with torch.no_grad():
            layer.module.bias.add_(wanted - _means(network, layer.module, batches))
    if _error(network, reference, held_out) < error:
        return True
    network.load_state_dict(before)
    return False


def _means(network: nn.Module, layer: nn.Module, batches: Sequence[Tensor]) -> Tensor:
    """The mean output of `layer` by channel, over `batches` of images."""
    means: list[Tensor] = []

    def keep(_module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> None:
        values = getattr(output, "value", output)
        means.append(values.mean(dim=[d for d in range(values.ndim) if d != 1]))

    hook = layer.register_forward_hook(keep)
    try:
        with torch.no_grad():
            for images in batches:
                network(images)
    finally:
        hook.remove()
    return torch.stack(means).mean(dim=0)


def _error(network: nn.Module, reference: nn.Module, images: Tensor) -> float:
    with torch.no_grad():
        outputs = network(images)
        return float((getattr(outputs, "value", outputs) - reference(images)).square().mean())
