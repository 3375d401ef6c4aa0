"""Integer weights instead of float ones in a checkpoint: 4-bit weights take an eighth of the space.

What is kept of a layer is its integers and the largest float weight of each scale. Weights are rebuilt from them so
that Brevitas finds the same integers and scales, bit for bit. Where the scale is another statistic than the largest
weight, or a parameter, as A2Q's is, that cannot be, and the weights stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.integer_weights import quantized_weights

if TYPE_CHECKING:
    from brevitas.quant_tensor import QuantTensor

__all__ = ["pack", "unpack"]

_KEYS = {"bits", "shape", "codes", "largest"}


def pack(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """The state of the quantized `network` without the weights that could be packed, and those, by layer.

    Both are plain values and tensors. `network` is left with the weights that `unpack` will give.
    """
    image = torch.zeros(1, *network.input_shape)
    before = quantized_weights(network, image)
    layers = dict(network.named_modules())
    entries = {}
    for name, (weight, _) in before.items():
        own = layers[name].weight.detach()
        entry = _entry(weight, own)
        entries[name] = entry
        layers[name].weight.data, entry["own"] = _weights(entry, name), own.clone()
    after = quantized_weights(network, image)
    state = dict(network.state_dict())
    for name, (weight, _) in before.items():
        own = entries[name].pop("own")
        if torch.equal(weight.value, after[name][0].value) and torch.equal(weight.scale, after[name][0].scale):
            del state[f"{name}.weight"]
        else:
            layers[name].weight.data = state[f"{name}.weight"] = own
            del entries[name]
    return state, entries


def unpack(entries: object) -> dict[str, Tensor]:
    """The weights that `pack` packed, by the names that they have in a network's state. Raises ModelError."""
    if not isinstance(entries, dict):
        raise ModelError("its packed weights are damaged: they are no mapping of layers")
    return {f"{name}.weight": _weights(entry, name) for name, entry in entries.items()}


def _entry(weight: QuantTensor, own: Tensor) -> dict[str, Any]:
    bits = int(weight.bit_width)
    codes = (weight.int(float_datatype=False).long().flatten() + 2 ** (bits - 1)).numpy().astype(np.uint8)
    digits = np.unpackbits(codes[:, None], axis=1, bitorder="little", count=bits)
    dims = [d for d in range(own.ndim) if weight.scale.ndim != own.ndim or weight.scale.shape[d] == 1]
    return {
        "bits": bits,
        "shape": list(own.shape),
        "codes": torch.from_numpy(np.packbits(digits, bitorder="little")),
        "largest": own.abs().amax(dim=dims, keepdim=True),
    }


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
    end = max(1, 2 ** (bits - 1) - 1)
    whole = torch.from_numpy(integers).reshape(shape)
    # the largest themselves, as a product may be rounded
    return torch.where(whole.abs() == end, whole.sign() * largest, whole * (largest / end)).float()
