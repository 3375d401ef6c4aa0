"""Weights rounded to integers of scales that are set: layer by layer, as is best for what each layer computes.

Layers come in the order in which the network computes them; each gets what the layers before it give with their weights
rounded. GPTQ, GPFQ and AXE are Brevitas'. Here the scales of each channel are searched, too: of the range's, and a few
around them, the one with the least error of the layer's output counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from brevitas.graph.gpfq import GPFQ, gpfq_mode
from brevitas.graph.gptq import GPTQ, gptq_mode
from brevitas_examples.common.axe import A2GPFQ, A2GPTQ
from torch import Tensor, nn

from pipeline.quantize.calibration import QuantizedLayer, quantized_layers
from pipeline.quantize.method import Rounding

__all__ = ["round_weights"]

_FACTORS = (1.0, 0.85, 0.92, 1.08, 1.18)  # of scales
_STEPS = 800  # of AdaRound, for each layer
_RATE = 0.02
_ENDS = (1.1, -0.1)  # of the stretched sigmoid, as in arXiv 2004.10568
_SHARE_WITHOUT = 0.2  # of the steps, in which nothing pushes weights to a decision


def round_weights(
    network: nn.Module,
    batches: Sequence[Tensor],
    rounding: Rounding,
    *,
    accumulator_bits: int | None = None,
    free: Collection[str] = (),
    step: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Round the weights of `network` for `batches` of images, so that they are multiples of their scales.

    With `accumulator_bits` every sum of a layer's products fits so many bits, for all inputs, but in the layers `free`.
    `step` is told how many layers are done, and of how many, where that takes seconds.
    """
    layers = quantized_layers(network)
    with torch.no_grad():
        network(batches[0][:1])
        if rounding == "nearest":
            for layer in layers:
                layer.module.weight.copy_(layer.module.quant_weight().value)
            return
    if rounding == "adaround":
        _adaround(network, batches, layers, step)
        return
    bounded = {layer.name for layer in layers if accumulator_bits and layer.name not in free}
    mode = (_GPTQMode if rounding == "gptq" else _GPFQMode)(network, layers, bounded, accumulator_bits)
    with torch.no_grad(), mode as greedy:
        for done in range(1, greedy.num_layers + 1):
            for images in batches:
                greedy.model(images)
            greedy.update()
            step(done, greedy.num_layers)
    for layer in layers:
        if hasattr(layer.module, "weight_orig"):
            del layer.module.weight_orig  # Brevitas', which would be part of the checkpoint


class _ScaleSearch:
    """Brevitas' rounding of one layer for several scales of each channel, of which the best stays.

    Rows are rounded independently of each other. The error of a row is d H dᵀ, d being the error of its weights and H
    Σ x xᵀ of the layer's inputs x.
    """

    quantized: QuantizedLayer

    def single_layer_update(self, *arguments: Any, **options: Any) -> None:
        layer, module = self.quantized, self.quantized.module
        scales, weight = layer.scales.clone(), module.weight.data.clone()
        kept = {name: getattr(self, name).clone() for name in ("H", "G") if hasattr(self, name)}
        factors = _FACTORS if scales.ndim > 0 else _FACTORS[:1]
        best: tuple[Tensor, Tensor, Tensor] | None = None
        for factor in factors:
            module.weight.data.copy_(weight)
            layer.set_scales(scales * factor)
            for name, matrix in kept.items():
                setattr(self, name, matrix.clone())
            self.B = None  # of Brevitas', which deletes it
            super().single_layer_update(*arguments, **options)  # type: ignore[misc]  # of the class beside this one
            rounded = module.quant_weight().value.detach().clone()
            errors = _errors((rounded - weight).flatten(1), kept["H"])
            if best is None:
                best = errors, rounded, layer.scales.clone()
                continue
            better = errors < best[0]
            best = (
                torch.where(better, errors, best[0]),
                torch.where(_like(better, rounded), rounded, best[1]),
                torch.where(_like(better, layer.scales), layer.scales, best[2]),
            )
        assert best is not None
        layer.set_scales(best[2])
        module.weight.data.copy_(best[1])


class _GPTQ(_ScaleSearch, GPTQ):
    pass


class _GPFQ(_ScaleSearch, GPFQ):
    pass


class _AXEGPTQ(_ScaleSearch, A2GPTQ):
    pass


class _AXEGPFQ(_ScaleSearch, A2GPFQ):
    pass


class _Bounded:
    """What both modes add to Brevitas': AXE for the layers `bounded`, and the search of scales for all."""

    plain: type
    axe: type

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[QuantizedLayer],
        bounded: Collection[str],
        accumulator_bits: int | None,
        **options: Any,
    ) -> None:
        super().__init__(network, use_quant_activations=True, act_order=True, **options)  # type: ignore[call-arg]  # the mode's
        self._layers = {layer.name: layer for layer in layers}
        self._bounded, self._bits = bounded, accumulator_bits

    def initialize_module_optimizer(self, layer: nn.Module, name: str, **options: Any) -> Any:
        blocks = {"num_blocks": self.num_blocks} if hasattr(self, "num_blocks") else {}
        chosen, bound = self.plain, {}
        if name in self._bounded:
            chosen = self.axe
            bound = {"max_accumulator_bit_width": self._bits, "max_accumulator_tile_size": None}
        made = chosen(layer=layer, name=name, act_order=True, **options, **blocks, **bound)
        made.quantized = self._layers[name]
        return made


class _GPTQMode(_Bounded, gptq_mode):
    plain, axe = _GPTQ, _AXEGPTQ

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, create_weight_orig=False, num_blocks=1)


class _GPFQMode(_Bounded, gpfq_mode):
    plain, axe = _GPFQ, _AXEGPFQ


def _adaround(
    network: nn.Module, batches: Sequence[Tensor], layers: Sequence[QuantizedLayer], step: Callable[[int, int], None]
) -> None:
    for done, layer in enumerate(layers, 1):
        moments = _moments(network, batches, layer)
        decided = _decided(layer, moments)
        with torch.no_grad():
            layer.module.weight.copy_(decided)
        step(done, len(layers))


def _decided(layer: QuantizedLayer, moments: Tensor) -> Tensor:
    """The weights of `layer`, each rounded down or up so that the error of its output is as small as Adam finds it."""
    weight, scales = layer.module.weight.detach(), layer.scales
    scales = scales.reshape(-1, *[1] * (weight.ndim - 1)) if scales.ndim > 0 else scales.reshape(())
    below = (weight / scales).floor()
    share = (weight / scales - below).clamp(0.01, 0.99)
    high, low = _ENDS
    undecided = torch.logit((share - low) / (high - low)).requires_grad_()
    optimizer = torch.optim.Adam([undecided], lr=_RATE)
    size = float(_errors(weight.flatten(1), moments).sum()) or 1.0
    for step in range(_STEPS):
        up = (torch.sigmoid(undecided) * (high - low) + low).clamp(0, 1)
        rounded = (below + up).clamp(-layer.last, layer.last) * scales
        loss = _errors((rounded - weight).flatten(1), moments).sum() / size
        progress = (step / _STEPS - _SHARE_WITHOUT) / (1 - _SHARE_WITHOUT)
        if progress > 0:
            sharpness = 20 - 18 * progress
            loss = loss + 0.01 * (1 - (2 * up - 1).abs().pow(sharpness)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (below + (undecided.detach() > 0)).clamp(-layer.last, layer.last) * scales


def _moments(network: nn.Module, batches: Sequence[Tensor], layer: QuantizedLayer) -> Tensor:
    """Σ x xᵀ / N of the vectors x that `layer` multiplies with its weights: (groups, columns, columns)."""
    total: Tensor | None = None

    def add(module: Any, arguments: tuple[Any, ...]) -> None:
        nonlocal total
        values = getattr(arguments[0], "value", arguments[0])
        vectors = _vectors(module, values)
        moments = vectors @ vectors.transpose(1, 2) / vectors.shape[2] / len(batches)
        total = moments if total is None else total + moments

    hook = layer.module.register_forward_pre_hook(add)
    try:
        with torch.no_grad():
            for images in batches:
                network(images)
    finally:
        hook.remove()
    assert total is not None
    return total


def _vectors(module: Any, values: Tensor) -> Tensor:
    """(groups, columns, N): the windows of a convolution, or the rows of a batch."""
    if isinstance(module, nn.Linear):
        return values.flatten(0, -2).T[None]
    groups = values.chunk(module.groups, dim=1)
    windows = [
        nn.functional.unfold(part, module.kernel_size, module.dilation, module.padding, module.stride)
        for part in groups
    ]
    return torch.stack([window.transpose(0, 1).flatten(1) for window in windows])


def _errors(rows: Tensor, moments: Tensor) -> Tensor:
    """d H dᵀ for each of `rows` d (outputs, columns), H being that of its group in `moments` (groups, columns, columns)."""
    grouped = rows.reshape(len(moments), -1, rows.shape[1])
    return ((grouped @ moments.to(rows.dtype)) * grouped).sum(dim=2).flatten()


def _like(mask: Tensor, tensor: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (tensor.ndim - 1))
