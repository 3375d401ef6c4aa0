"""Integer weights instead of float ones in a checkpoint: 4-bit weights take an eighth of the space.

What is kept of a layer is its integers and the largest float weight of each scale, or what a scale that is a parameter says of
the largest integer. Weights are rebuilt from them so that Brevitas finds the same integers and scales, bit for bit. Where the scale is another statistic than the largest
weight, that cannot be, and the weights stay as they are.

A2Q's scale is a parameter, and its weights are a direction: the integers are one that gives themselves, with a norm a
little above their own, as A2Q rounds towards zero. A2Q+'s directions have a mean of zero, which integers that were
rounded towards zero have not, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from brevitas.core.scaling import ParameterFromStatsFromParameterScaling
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.a2q import has_bound, norms, pre_scaling
from pipeline.models.integer_weights import quantized_weights

if TYPE_CHECKING:
    from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
    from brevitas.quant_tensor import QuantTensor

__all__ = ["pack", "unpack"]

_KEYS = {"bits", "shape", "codes", "largest"}
_ABOVE = 2.0**-10  # by which share the norm of an A2Q channel is above that of its integers


def pack(network: nn.Module, input_shape: Sequence[int]) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """The state of the quantized `network` without the weights that could be packed, and those, by layer.

    Both are plain values and tensors. The network takes images of `input_shape` (C, H, W), and is left with the weights
    that `unpack` will give.
    """
    image = torch.zeros(1, *input_shape)
    before = quantized_weights(network, image)
    layers = dict(network.named_modules())
    given = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    entries = {}
    for name, (weight, _) in before.items():
        bounded = has_bound(layers[name])
        entries[name] = _a2q_entry(weight, layers[name]) if bounded else _entry(weight, layers[name])
        layers[name].weight.data = _weights(entries[name], name)
    after = quantized_weights(network, image)
    state = dict(network.state_dict())
    for name, (weight, _) in before.items():
        if torch.equal(weight.value, after[name][0].value) and torch.equal(weight.scale, after[name][0].scale):
            del state[f"{name}.weight"]
        else:
            del entries[name]
            for key in (key for key in state if key == f"{name}.weight" or key.startswith(f"{name}.weight_quant.")):
                state[key].copy_(given[key])
    return state, entries


def unpack(entries: object) -> dict[str, Tensor]:
    """The weights that `pack` packed, by the names that they have in a network's state. Raises ModelError."""
    if not isinstance(entries, dict):
        raise ModelError("its packed weights are damaged: they are no mapping of layers")
    return {f"{name}.weight": _weights(entry, name) for name, entry in entries.items()}


def _entry(weight: QuantTensor, layer: QuantWeightBiasInputOutputLayer) -> dict[str, Any]:
    integers = weight.int(float_datatype=False).long()
    scaling = getattr(layer.weight_quant.tensor_quant, "scaling_impl", None)
    if isinstance(scaling, ParameterFromStatsFromParameterScaling):  # whose value is the scale of the largest integer
        return _packed(integers, int(weight.bit_width), scaling.value.detach())
    floats = layer.weight.detach()
    dims = [d for d in range(floats.ndim) if weight.scale.ndim != floats.ndim or weight.scale.shape[d] == 1]
    return _packed(integers, int(weight.bit_width), floats.abs().amax(dim=dims, keepdim=True))


def _a2q_entry(weight: QuantTensor, layer: QuantWeightBiasInputOutputLayer) -> dict[str, Any]:
    """The entry of an A2Q layer, whose norms are set to those of its integers."""
    integers, bits = weight.int(float_datatype=False).long(), int(weight.bit_width)
    with torch.no_grad():
        flat = integers.flatten(1)
        empty = ~flat.any(dim=1)
        flat[empty, 0] = 1  # a direction; half a unit of it is rounded to zero
        sums = torch.where(empty, 0.5, flat.abs().sum(dim=1) * (1 + _ABOVE))
        _, scale = norms(layer)
        pre_scaling(layer).value.copy_((sums.reshape(scale.shape) * scale).log2())  # Brevitas keeps logarithms
    return _packed(integers, bits, torch.full([1] * integers.ndim, float(_end(bits))))


def _packed(integers: Tensor, bits: int, largest: Tensor) -> dict[str, Any]:
    codes = (integers.flatten() + 2 ** (bits - 1)).numpy().astype(np.uint8)
    digits = np.unpackbits(codes[:, None], axis=1, bitorder="little", count=bits)
    packed = torch.from_numpy(np.packbits(digits, bitorder="little"))
    return {"bits": bits, "shape": list(integers.shape), "codes": packed, "largest": largest}


def _end(bits: int) -> int:
    """The largest of the integers of so many bits."""
    return max(1, 2 ** (bits - 1) - 1)


def _weights(entry: object, name: str) -> Tensor:
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        raise ModelError(f"its packed weights are damaged: {name} needs {', '.join(sorted(_KEYS))}")
    bits, shape, codes, largest = entry["bits"], entry["shape"], entry["codes"], entry["largest"]
    count = int(np.prod(shape))
    if tuple(torch.broadcast_shapes(largest.shape, shape)) != tuple(shape) or not codes.is_contiguous():
        raise ModelError(f"its packed weights are damaged: {name} is not of the shape that it says")
    if not 1 <= bits <= 8 or codes.dtype != torch.uint8 or codes.numel() != -(-count * bits // 8):
        raise ModelError(f"its packed weights are damaged: {name} has {codes.numel()} bytes for {count} of {bits} bits")
    digits = np.unpackbits(codes.numpy(), bitorder="little", count=count * bits).reshape(count, bits)
    integers = np.packbits(digits, axis=1, bitorder="little")[:, 0].astype(np.int64) - 2 ** (bits - 1)
    end = _end(bits)
    whole = torch.from_numpy(integers).reshape(shape)
    # the largest themselves, as a product may be rounded
    return torch.where(whole.abs() == end, whole.sign() * largest, whole * (largest / end)).float()
