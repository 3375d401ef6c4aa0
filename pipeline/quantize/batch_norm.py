"""Batch normalisations folded into the layers before them, as weights are rounded that way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["fold", "fold_batch_norms"]

_Norm = nn.BatchNorm1d | nn.BatchNorm2d


def fold_batch_norms(network: nn.Module, image: Tensor) -> int:
    """Fold what normalises the output of a convolution or linear layer of `network` into it; how many were folded.

    The normalisations stay, and do nothing. `image` is a batch on which the network is run to see what follows what.
    """
    made: dict[int, nn.Module] = {}
    kept: list[Tensor] = []  # so that no two have one id
    pairs: list[tuple[nn.Module, nn.Module]] = []

    def note(layer: nn.Module, _arguments: tuple[Any, ...], output: Tensor) -> None:
        made[id(output)] = layer
        kept.append(output)

    def find(norm: nn.Module, arguments: tuple[Any, ...]) -> None:
        layer = made.get(id(arguments[0]))
        if layer is not None:
            pairs.append((layer, norm))

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    norms = [m for m in network.modules() if isinstance(m, _Norm)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    hooks += [norm.register_forward_pre_hook(find) for norm in norms]
    try:
        with torch.no_grad():
            network.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
    for layer, norm in pairs:
        fold(layer, norm)
    return len(pairs)


def fold(layer: Any, norm: Any) -> None:
    """Let `layer`, a convolution or linear layer, compute what `norm` makes of its output, and `norm` nothing."""
    with torch.no_grad():
        scale, shift = (torch.ones_like(norm.running_mean), torch.zeros_like(norm.running_mean))
        if norm.weight is not None:
            scale, shift = norm.weight, norm.bias
        factor = scale / (norm.running_var + norm.eps).sqrt()
        layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
        bias = torch.zeros_like(norm.running_mean) if layer.bias is None else layer.bias
        shifted = (bias - norm.running_mean) * factor + shift
        if layer.bias is None:
            layer.register_parameter("bias", nn.Parameter(shifted))
        else:
            layer.bias.copy_(shifted)
        if norm.weight is not None:
            norm.weight.fill_(1)
            norm.bias.fill_(0)
        norm.running_mean.fill_(0)
        norm.running_var.fill_(1 - norm.eps)
