"""Weights rounded to integers of scales that are set: layer by layer, as is best for what each layer computes.

Layers come in the order in which the network computes them; each gets what the layers before it give with their weights
rounded. GPTQ, GPFQ, Qronos and AXE are Brevitas', but AXE for Qronos. Here the scales of each channel are searched, too: of
the range's, and a few around them, the one with the least error of the layer's output counts.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from brevitas.graph.calibrate import quantization_status_manager
from brevitas.graph.gpfq import GPFQ, gpfq_mode
from brevitas.graph.gptq import GPTQ, gptq_mode
from brevitas.graph.qronos import Qronos
from brevitas_examples.common.axe import A2GPFQ, A2GPTQ
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.quantize.calibration import QuantizedLayer, quantized_layers
from pipeline.quantize.method import Rounding
from pipeline.quantize.moments import joint_moments, output_errors

__all__ = ["round_weights"]

_FACTORS = (1.0, 0.85, 0.92, 1.08, 1.18)  # of scales
_SLACK = 0.01  # of a squared input, by which AdaRound's moments have an inverse
_DAMP = 1e-6  # of Qronos, as in Brevitas
_STEPS = 150  # of AdaRound, for each layer
_RATE = 0.05
_ENDS = (1.1, -0.1)  # of the stretched sigmoid, as in arXiv 2004.10568
_MOST_TURNS = 4  # of each weight
_LEAST_GAIN = 1e-12  # of an error, beside the mean of a squared input
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
    mode: Any = _MODES[rounding](network, layers, bounded, accumulator_bits)
    with torch.no_grad(), warnings.catch_warnings(), mode as greedy:
        warnings.filterwarnings("error", "Failed to compute")  # Brevitas would go on with the nearest integers
        for done in range(1, greedy.num_layers + 1):
            for images in batches:
                greedy.model(images)
            try:
                greedy.update()
            except UserWarning as warning:
                wider = ", a wider bound," if accumulator_bits else ","
                raise ModelError(
                    f"{rounding} cannot be done with these {sum(map(len, batches))} images: "
                    f"{str(warning).partition('Forward')[0].strip().rstrip('.')}. Give more images{wider} or take another method."
                ) from None
            step(done, greedy.num_layers)
    for layer in layers:
        if hasattr(layer.module, "weight_orig"):
            del layer.module.weight_orig  # Brevitas', which would be part of the checkpoint


class _ScaleSearch:
    """Brevitas' rounding of one layer for several scales of each channel, of which the best stays.

    Rows are rounded independently of each other. The error of a row q in place of the weights w is d H dᵀ, d being q − w and
    H Σ x xᵀ of the layer's inputs x. Methods that compare with the float network's inputs y have Σ y xᵀ, too: for them it is
    q H qᵀ − 2 w Σ y xᵀ qᵀ, but for what is the same for all q.
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
            errors = self._errors(rounded.flatten(1), weight.flatten(1), kept)
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

    def _errors(self, rounded: Tensor, weight: Tensor, kept: Mapping[str, Tensor]) -> Tensor:
        if "G" not in kept:
            return output_errors(rounded - weight, kept["H"])
        grouped = weight.reshape(len(kept["G"]), -1, weight.shape[1])
        shared = ((grouped @ self._with_float(kept["G"])) * rounded.reshape(grouped.shape)).sum(dim=2).flatten()
        return output_errors(rounded, kept["H"]) - 2 * shared

    def _with_float(self, moments: Tensor) -> Tensor:
        """Σ y xᵀ of what Brevitas keeps as G."""
        return moments


class _GPTQ(_ScaleSearch, GPTQ):
    pass


class _OfGPFQ(_ScaleSearch):
    def _with_float(self, moments: Tensor) -> Tensor:
        return moments.transpose(1, 2)


class _GPFQ(_OfGPFQ, GPFQ):
    pass


class _Qronos(_ScaleSearch, Qronos):
    pass


class _AXEGPTQ(_ScaleSearch, A2GPTQ):
    pass


class _AXEGPFQ(_OfGPFQ, A2GPFQ):
    pass


class _QronosStart(A2GPTQ):
    """Qronos (arXiv 2505.11695) with AXE, which Brevitas has for GPTQ.

    Qronos begins with other weights than the float ones: the first column is the best beside the float others, and these
    then the best beside it. From there on it goes on as GPTQ does, where AXE limits each column.
    """

    update_batch = Qronos.update_batch

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.G = torch.zeros_like(self.H)  # of float and quantized inputs
        self.quant_input = None

    def single_layer_update(self, *arguments: Any, **options: Any) -> None:
        weight = self.layer.weight.data
        rows = weight.flatten(1).reshape(self.groups, -1, int(self.columns))
        moments, with_float = self.H.double(), self.G.double()
        damp = _DAMP * torch.linalg.matrix_norm(moments, 2)  # of each group
        begun = map(_begun, rows.double(), moments, with_float, damp)
        weight.copy_(torch.stack(list(begun)).to(weight.dtype).reshape(weight.shape))
        mean = moments.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        super().single_layer_update(*arguments, percdamp=float((damp / mean).max()), **options)


class _AXEQronos(_ScaleSearch, _QronosStart):
    pass


def _begun(weight: Tensor, moments: Tensor, with_float: Tensor, damp: Tensor) -> Tensor:
    """The weights (rows, columns) that Qronos begins to round, of those of the float layer."""
    columns = len(moments)
    first = int(moments.diagonal().argmax())
    rest = torch.arange(columns) != first
    wanted = weight @ with_float
    begun = weight.clone()
    if moments[first, first] > 0:
        begun[:, first] = (wanted[:, first] - weight[:, rest] @ moments[rest, first]) / moments[first, first]
    damped = damp * torch.eye(columns, dtype=moments.dtype)
    others = (weight @ (with_float + damped))[:, rest] - begun[:, [first]] * moments[[first]][:, rest]
    begun[:, rest] = torch.linalg.lstsq((moments + damped)[rest][:, rest], others.T).solution.T
    return begun


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


class _QronosMode(_Bounded, gpfq_mode):
    plain, axe = _Qronos, _AXEQronos
    num_blocks = 1


_MODES: dict[str, type[_Bounded]] = {"gptq": _GPTQMode, "gpfq": _GPFQMode, "qronos": _QronosMode}


def _adaround(
    network: nn.Module, batches: Sequence[Tensor], layers: Sequence[QuantizedLayer], step: Callable[[int, int], None]
) -> None:
    reference = copy.deepcopy(network)
    with quantization_status_manager(
        reference, disable_act_quant=True, disable_weight_quant=True, disable_bias_quant=True
    ):
        for done, layer in enumerate(layers, 1):
            same = reference.get_submodule(layer.name)
            moments, with_float = joint_moments(network, layer.module, reference, same, batches)
            decided = _decided(layer, _wanted(layer.module.weight.detach(), moments, with_float), moments)
            with torch.no_grad():
                layer.module.weight.copy_(decided)
                layer.module.weight.copy_(layer.module.quant_weight().value)  # of the very scales that Brevitas keeps
            step(done, len(layers))


def _wanted(weight: Tensor, moments: Tensor, with_float: Tensor) -> Tensor:
    """The weights whose output for quantized inputs is nearest to the float network's: `weight` + `weight` (G − H) H⁻¹."""
    rows = weight.reshape(len(moments), -1, weight[0].numel()).double()
    own = moments.double()
    mean = own.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    damped = own + _SLACK * mean[:, None, None] * torch.eye(own.shape[1], dtype=own.dtype)
    change = torch.linalg.solve(damped, (rows @ (with_float.double() - own)).transpose(1, 2)).transpose(1, 2)
    return (rows + change).reshape(weight.shape).to(weight.dtype)


def _decided(layer: QuantizedLayer, weight: Tensor, moments: Tensor) -> Tensor:
    """`weight` as multiples of the scales of `layer`, each rounded down or up so that the error of its output is small.

    The scale of each channel is searched, the best by turning weights to their other side from the nearest integers, one by
    one for as long as that makes the error smaller. AdaRound relaxes the choice, and Adam goes down from where weights
    are; where it ends, weights are turned so, too, and a channel takes the better of both.
    """
    scales = layer.scales.clone()
    best: tuple[Tensor, Tensor, Tensor] | None = None
    for factor in _FACTORS if scales.ndim > 0 else _FACTORS[:1]:
        tried = (scales * factor).reshape(-1, *[1] * (weight.ndim - 1)) if scales.ndim > 0 else scales.reshape(())
        best = _better(best, _turned_from((weight / tried).round(), tried, weight, moments, layer.last), tried)
    assert best is not None
    chosen = best[2]
    best = _better(
        best, _turned_from(_relaxed(chosen, weight, moments, layer.last), chosen, weight, moments, layer.last), chosen
    )
    layer.set_scales(best[2].reshape(scales.shape))
    return best[1]


def _better(
    best: tuple[Tensor, Tensor, Tensor] | None, tried: tuple[Tensor, Tensor], scales: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Errors, weights and scales, of each channel the better ones."""
    errors, weights = tried
    if best is None:
        return errors, weights, scales
    better = errors < best[0]
    taken = torch.where(_like(better, scales), scales, best[2]) if scales.ndim > 0 else scales
    return torch.where(better, errors, best[0]), torch.where(_like(better, weights), weights, best[1]), taken


def _relaxed(scales: Tensor, weight: Tensor, moments: Tensor, last: int) -> Tensor:
    """The integers at which AdaRound's relaxation ends."""
    below = (weight / scales).floor()
    share = (weight / scales - below).clamp(0.01, 0.99)
    high, low = _ENDS
    undecided = torch.logit((share - low) / (high - low)).requires_grad_()
    optimizer = torch.optim.Adam([undecided], lr=_RATE)
    nearest = (below + share.round()).clamp(-last, last) * scales
    size = float(output_errors((nearest - weight).flatten(1), moments).sum()) or 1.0
    for step in range(_STEPS):
        up = (torch.sigmoid(undecided) * (high - low) + low).clamp(0, 1)
        rounded = (below + up).clamp(-last, last) * scales
        loss = output_errors((rounded - weight).flatten(1), moments).sum() / size
        progress = (step / _STEPS - _SHARE_WITHOUT) / (1 - _SHARE_WITHOUT)
        if progress > 0:
            sharpness = 20 - 18 * progress
            loss = loss + (1 - (2 * up - 1).abs().pow(sharpness)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return below + (undecided.detach() > 0)


def _turned_from(integers: Tensor, scales: Tensor, weight: Tensor, moments: Tensor, last: int) -> tuple[Tensor, Tensor]:
    """The error of each channel, and its weights, after weights of `integers` were turned to the other side of `weight`."""
    below = (weight / scales).floor()
    one, other = ((values.clamp(-last, last) * scales) for values in (integers, 2 * below + 1 - integers))
    turned = _turned(one, other, weight, moments)
    rounded = torch.where(turned, other, one)
    return output_errors((rounded - weight).flatten(1), moments), rounded


def _turned(one: Tensor, other: Tensor, weight: Tensor, moments: Tensor) -> Tensor:
    """Which weights are better as in `other` than as in `one`, where in each row the best is turned at a time."""
    rows = (len(moments), -1, weight[0].numel())
    step = (other - one).reshape(rows)
    turned = torch.zeros_like(step, dtype=torch.bool)
    gradient = (one - weight).reshape(rows) @ moments
    own = moments.diagonal(dim1=1, dim2=2)[:, None]
    for _ in range(_MOST_TURNS * rows[2]):
        change = 2 * step * gradient + step * step * own
        least, column = change.min(dim=2, keepdim=True)
        taken = torch.where(least < -_LEAST_GAIN * own.mean(), step.gather(2, column), 0.0)
        if not taken.any():
            break
        gradient += taken * torch.stack(
            [of_group[chosen.flatten()] for of_group, chosen in zip(moments, column, strict=True)]
        )
        turned.scatter_(2, column, turned.gather(2, column) ^ (taken != 0))
        step.scatter_(2, column, torch.where(taken != 0, -taken, step.gather(2, column)))
    return turned.reshape(weight.shape)


def _like(mask: Tensor, tensor: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (tensor.ndim - 1))
