"""Float checkpoints, with which a float network is filled, or its quantized twin begun.

Both have the same names for the parameters of convolutions, linear layers and normalisations. What a quantizer learns
is in no float checkpoint: it begins from the weights, and activation scales from the first images.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.a2q import a2q_layers, norms_from_weights, weights_from_norms
from pipeline.models.layers import ImageNetwork
from pipeline.models.names import MODELS
from pipeline.models.registry import add_biases, checkpoint_record, read_state

__all__ = ["load_float"]

_QUANTIZER = re.compile(r"(^|\.)\w+_quant\.")  # in a parameter's name: weight_quant., act_quant., input_quant.
_NAMED = 4  # in an error


def load_float(model: nn.Module, path: Path) -> None:
    """Fill `model`, float or quantized, by name with the weights in `path`, a float or quantized checkpoint.

    A quantizer's parameters are taken where the file has them, but not its bit widths. Everything else must be in both
    with one shape, but a layer without a bias gets one where the file has it. `module.` before a name, as
    `DataParallel` writes it, is left out. Shortcuts that the file's network does without parameters (option A of arXiv
    1512.03385, as in https://github.com/akamaster/pytorch_resnet_cifar10) become the convolutions that compute the
    same.

    Raises ModelError that names what does not fit, for a file that is damaged or belongs to another network.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in read_state(path).items()}
    if isinstance(model, ImageNetwork):
        state = model.renamed(state)
    quantizers = {name: state.pop(name) for name in list(state) if _QUANTIZER.search(name)}
    add_biases(model, state)
    expected = {name: tensor for name, tensor in model.state_dict().items() if not _QUANTIZER.search(name)}
    state |= _parameterless_shortcuts(model, state)
    missing = [name for name in expected if name not in state and not name.endswith(".num_batches_tracked")]
    unknown = [name for name in state if name not in expected]
    shapes = [
        f"{name} is {tuple(tensor.shape)} in the file and {tuple(expected[name].shape)} in the network"
        for name, tensor in state.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    problems = [
        f"the file lacks {_some(missing)}" if missing else "",
        f"the network has no {_some(unknown)}" if unknown else "",
        _some(shapes),
    ]
    if any(problems):
        raise ModelError(
            f"The checkpoint {path} is not of this network: {'; '.join(part for part in problems if part)}. "
            "Check family, width, input shape and number of classes."
        )
    _check_norms(model, quantizers, path)
    taken = {name: tensor for name, tensor in quantizers.items() if not name.endswith("bit_width")}
    model.load_state_dict({**state, **taken}, strict=False)
    if any(".pre_scaling_impl." in name for name in taken):
        weights_from_norms(model)
    else:
        norms_from_weights(model)


def _check_norms(model: nn.Module, quantizers: dict[str, Tensor], path: Path) -> None:
    """A2Q's weights have a direction only, their norm and scale are the quantizer's: of no use to another one."""
    constrained = [name.partition(".weight_quant.")[0] for name in quantizers if ".pre_scaling_impl." in name]
    if not constrained:
        return
    layers = a2q_layers(model)
    first = constrained[0]
    if first not in layers:
        raise ModelError(
            f"The checkpoint {path} has weights of A2Q, such as {first}'s, whose size is known to A2Q only; the "
            "network's are not. Begin with a checkpoint that was trained without accumulator_method."
        )
    bits = int(layers[first].weight_quant.tensor_quant.msb_clamp_bit_width_impl())
    record = checkpoint_record(path)
    if not record.get("quantization") and path.stem.partition("-")[0] in MODELS:
        record = MODELS[path.stem.partition("-")[0]].as_record()
    other = (record.get("quantization") or {}).get("weight_bits", bits)
    if other != bits:
        raise ModelError(
            f"The checkpoint {path} has A2Q's scales for weights of {other} bits, the network weights of {bits}. Begin "
            "with one of as many bits, or that was trained without accumulator_method."
        )


def _parameterless_shortcuts(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights for shortcuts of `model` if `state` has none at all: every second pixel, zeros for the added channels.

    They are a 1×1 convolution with one 1 a channel, and a normalisation that does nothing. Half of the added channels
    come before the others and half after.
    """
    made: dict[str, Tensor] = {}
    if any("downsample" in name or "shortcut" in name for name in state):
        return made
    for name, module in model.named_modules():
        if not name.endswith(".downsample") or not isinstance(module, nn.Sequential) or len(module) < 2:
            continue
        convolution, norm = module[0], module[1]
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)  # so all ResNets here have it
        outputs, inputs = convolution.weight.shape[:2]
        weight = torch.zeros(outputs, inputs, 1, 1)
        first = (outputs - inputs) // 2
        weight[first : first + inputs, :, 0, 0] = torch.eye(inputs)
        made[f"{name}.0.weight"] = weight
        made[f"{name}.1.weight"] = torch.ones(outputs)
        made[f"{name}.1.bias"] = torch.zeros(outputs)
        made[f"{name}.1.running_mean"] = torch.zeros(outputs)
        made[f"{name}.1.running_var"] = torch.full((outputs,), 1 - norm.eps)
        made[f"{name}.1.num_batches_tracked"] = torch.tensor(0)
    return made


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
