"""Second moments of what layers multiply with their weights, by which errors of their outputs are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.quantize.observe import observe

__all__ = ["input_moments", "joint_moments", "output_errors"]


def input_moments(network: nn.Module, layers: Sequence[nn.Module], batches: Sequence[Tensor]) -> list[Tensor]:
    """Σ x xᵀ / N of the vectors x that each of `layers` multiplies with its weights: (groups, columns, columns)."""
    moments: dict[nn.Module, Tensor] = {}

    def add(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        vectors = _vectors(layer, getattr(arguments[0], "value", arguments[0]))
        these = vectors @ vectors.transpose(1, 2) / vectors.shape[2] / len(batches)
        moments[layer] = moments[layer] + these if layer in moments else these

    hooks = [layer.register_forward_pre_hook(add) for layer in layers]
    observe(network, batches, hooks)
    return [moments[layer] for layer in layers]


def joint_moments(
    network: nn.Module, layer: nn.Module, reference: nn.Module, same: nn.Module, batches: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Σ x xᵀ / N of what `layer` of `network` multiplies, and Σ y xᵀ / N, y being what the `same` layer of `reference` does."""
    seen: dict[nn.Module, Tensor] = {}

    def keep(of: nn.Module, arguments: tuple[Any, ...]) -> None:
        seen[of] = _vectors(of, getattr(arguments[0], "value", arguments[0]))

    hooks = [of.register_forward_pre_hook(keep) for of in (layer, same)]
    own, joint = [], []
    try:
        with torch.no_grad():
            for images in batches:
                network(images)
                reference(images)
                transposed = seen[layer].transpose(1, 2) / seen[layer].shape[2] / len(batches)
                own.append(seen[layer] @ transposed)
                joint.append(seen[same] @ transposed)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(own).sum(dim=0), torch.stack(joint).sum(dim=0)


def output_errors(rows: Tensor, moments: Tensor) -> Tensor:
    """d H dᵀ for each of `rows` d (outputs, columns), H being that of its group in `moments` (groups, columns, columns).

    It is the mean squared error of an output whose weights are wrong by d.
    """
    grouped = rows.reshape(len(moments), -1, rows.shape[1])
    return ((grouped @ moments.to(rows.dtype)) * grouped).sum(dim=2).flatten()


def _vectors(layer: Any, values: Tensor) -> Tensor:
    """(groups, columns, N): the windows of a convolution, or the rows of a batch."""
    if isinstance(layer, nn.Linear):
        return values.flatten(0, -2).T[None]
    groups = values.chunk(layer.groups, dim=1)
    windows = [
        nn.functional.unfold(part, layer.kernel_size, layer.dilation, layer.padding, layer.stride) for part in groups
    ]
    return torch.stack([window.transpose(0, 1).flatten(1) for window in windows])
