"""The layers that networks are made of, in float or quantized, behind one interface.

A network is written once: it asks a `Layers` for each layer, and gets plain torch for a float network and Brevitas for
a quantized one. Parameters of convolutions, linear layers and normalisations have the same names in both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union

import brevitas
import brevitas.nn as qnn
import torch
from brevitas.core.stats import AbsPercentile
from brevitas.inject.enum import QuantType, RestrictValueType, ScalingImplType, ScalingPerOutputType, StatsOp
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    TruncTo8bit,
    Uint8ActPerTensorFloat,
)
from brevitas.quant.solver import WeightQuantSolver
from brevitas_examples.imagenet_classification.a2q.quant import (
    CommonIntAccumulatorAwareWeightQuant,
    CommonIntAccumulatorAwareZeroCenterWeightQuant,
)
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.a2q import norms_from_weights
from pipeline.models.quantization import FLOAT, Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = [
    "A2Q_WEIGHT_QUANTIZERS",
    "BipolarWeightPerChannel",
    "BipolarWeightPerTensor",
    "FixedWeightPerChannel",
    "FixedWeightPerTensor",
    "ImageNetwork",
    "Layers",
    "Normalize",
    "Place",
    "Size",
    "Uint8Pixels",
    "after",
    "channels",
    "is_small",
]

_LARGEST_SMALL_IMAGE = 64  # pixels; ImageNet stems take what is larger
_POOL_BITS = 8
_WIDEST_SIGNED = 8  # bits: one for the sign where activations leave it

A2Q_WEIGHT_QUANTIZERS = {
    "a2q": CommonIntAccumulatorAwareWeightQuant,
    "a2q_plus": CommonIntAccumulatorAwareZeroCenterWeightQuant,
}

Place = Literal["first", "hidden", "last"]
Size = int | tuple[int, int]  # of both sides, or (height, width)


class Uint8Pixels(Uint8ActPerTensorFloat):
    """An 8-bit unsigned input quantizer whose integers are the pixels themselves: real = pixel / 255."""

    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP
    scaling_init = 1.0


class _SignedInput(Int8ActPerTensorFloat):
    """8-bit signed integers from −127 to 127 for real numbers; `scaling_init` is the largest magnitude."""

    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP
    narrow_range = True


class _LargestPercentile(AbsPercentile):
    """Brevitas' percentile of all magnitudes, by the few that are above it: the same element.

    Brevitas asks for the k-th smallest, which a GPU looks for in one of its blocks: 0.15 s for the 33 million of a
    layer of ResNet-18 at a batch of 512, in each of the first 300 steps.
    """

    def forward(self, x: Tensor) -> Tensor:
        assert self.stats_reduce_dim is None
        k = math.floor(0.01 * self.q * x.numel() + 0.5)
        return x.abs().flatten().topk(x.numel() - k + 1, sorted=True).values[-1]


class _Activations(Uint8ActPerTensorFloat):
    """Unsigned integers with a learned scale for the tensor, which begins from the first images."""

    scaling_stats_impl = _LargestPercentile


class _SignedActivations(Int8ActPerTensorFloat):
    """The same, signed."""

    scaling_stats_impl = _LargestPercentile


class FixedWeightPerChannel(Int8WeightPerChannelFloat):
    """Weights whose scales are parameters, one for each channel: no weight changes them."""

    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_min_val = 1e-10  # of a channel of zeros


class FixedWeightPerTensor(Int8WeightPerTensorFloat):
    """The same with one scale for all channels."""

    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_min_val = 1e-10


class BipolarWeightPerChannel(WeightQuantSolver):
    """1-bit weights: −s or s, s being the mean magnitude of a channel's weights (XNOR-Net, arXiv 1603.05279)."""

    quant_type = QuantType.BINARY
    bit_width = 1
    narrow_range = True
    signed = True
    scaling_impl_type = ScalingImplType.STATS
    scaling_stats_op = StatsOp.AVE
    scaling_min_val = 1e-10
    restrict_scaling_type = RestrictValueType.FP
    scaling_per_output_type = ScalingPerOutputType.CHANNEL


class BipolarWeightPerTensor(BipolarWeightPerChannel):
    """1-bit weights with one scale for all channels."""

    scaling_per_output_type = ScalingPerOutputType.TENSOR


class Normalize(nn.Module):
    """(image − mean) / std on images (N, C, H, W). Its numbers are the network's definition, not in its state."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class _Shift(brevitas.jit.ScriptModule):
    """The divisor 2^shift of a truncation.

    Brevitas' own takes it from the bits of the sum, where it counts one too few if the largest sum is a power of two.
    """

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.divisor = brevitas.jit.Attribute(float(2**shift), float)

    @brevitas.jit.script_method
    def forward(
        self,
        scaling_input: Tensor,
        input_bit_width: Tensor,
        output_bit_width: Tensor,
        signed: Union[bool, Tensor],  # noqa: UP007  TorchScript reads no other form
    ) -> Tensor:
        return torch.ones_like(input_bit_width) * self.divisor


class Layers:
    """Makes the layers of one network, which is quantized as `quantization` says, or float where that is None."""

    def __init__(self, quantization: Quantization | None) -> None:
        self.quantization = quantization
        # of activations, those of the network's input included
        self._activations = None if quantization is None or quantization.act_bits == FLOAT else quantization

    @property
    def _whole_end(self) -> bool:
        """Whether the last layer computes with integers, so that its bias can be one."""
        return self._activations is not None and self._activations.last_layer_bits != FLOAT

    def input(self, normalization: Preprocessing | None, input_range: tuple[float, float] | None = None) -> nn.Module:
        """Images in [0, 1] as the pixels they were made from; normalised ones, and numbers of `input_range`, as 8-bit
        signed integers."""
        if self._activations is None:
            return nn.Identity()
        if input_range is not None:
            largest = max(map(abs, input_range))
            return qnn.QuantIdentity(_SignedInput.let(scaling_init=largest), return_quant_tensor=True)
        if normalization is None:
            return qnn.QuantIdentity(Uint8Pixels, return_quant_tensor=True)
        ends = [
            abs(end - mean) / std
            for mean, std in zip(normalization.mean, normalization.std, strict=True)
            for end in (0.0, 1.0)
        ]
        return qnn.QuantIdentity(_SignedInput.let(scaling_init=max(ends)), return_quant_tensor=True)

    def conv(
        self,
        inputs: int,
        outputs: int,
        kernel: Size,
        *,
        stride: int = 1,
        padding: Size = 0,
        groups: int = 1,
        place: Place = "hidden",
    ) -> nn.Module:
        """A convolution without bias; depthwise with `groups` = `inputs`."""
        if self.quantization is None:
            return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=False)
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        weights = _weights(self.quantization, place, inputs // groups * height * width)
        layer = qnn.QuantConv2d(
            inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=False, **weights
        )
        return self._placed(layer, place)

    def linear(self, inputs: int, outputs: int, *, place: Place = "hidden", bias: bool = False) -> nn.Module:
        """A fully connected layer; the last one has a bias, others a normalisation after them, or a `bias`."""
        last = place == "last"
        if self.quantization is None:
            return nn.Linear(inputs, outputs, bias=last or bias)
        quantized = {"bias_quant": Int32Bias} if last and self._whole_end else {}
        layer = qnn.QuantLinear(
            inputs, outputs, bias=last or bias, **quantized, **_weights(self.quantization, place, inputs)
        )
        return self._placed(layer, place)

    def like(self, layer: nn.Conv1d | nn.Conv2d | nn.Linear, *, place: Place) -> nn.Module:
        """What computes as the float `layer` does, and has its weights, quantized."""
        assert self.quantization is not None
        has_bias = layer.bias is not None
        options: dict[str, Any] = _weights(self.quantization, place, layer.weight[0].numel())
        if place == "last" and has_bias and self._whole_end:
            options["bias_quant"] = Int32Bias
        made: nn.Module
        if isinstance(layer, nn.Linear):
            made = qnn.QuantLinear(layer.in_features, layer.out_features, bias=has_bias, **options)
        else:
            made = (qnn.QuantConv2d if isinstance(layer, nn.Conv2d) else qnn.QuantConv1d)(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,
                stride=layer.stride,
                padding=layer.padding,
                dilation=layer.dilation,
                groups=layer.groups,
                bias=has_bias,
                **options,
            )
        made.load_state_dict(layer.state_dict(), strict=False)  # which has no quantizers
        return self._placed(made, place)

    def _placed(self, layer: Any, place: Place) -> nn.Module:
        """`layer`, which says its place, and the accumulator that AXE rounds its weights for; A2Q's is in its quantizer."""
        assert self.quantization is not None
        layer.place = place
        if self.quantization.accumulator_method == "axe" and place == "hidden":
            layer.axe_accumulator_bits = self.quantization.accumulator_bits
        return layer

    def classifier(self, inputs: int, hidden: Sequence[int], num_classes: int) -> nn.Sequential:
        """Fully connected layers of `hidden` outputs, normalised and activated, and the last one."""
        layers: list[nn.Module] = []
        for outputs in hidden:
            layers += [self.linear(inputs, outputs), nn.BatchNorm1d(outputs), self.activation()]
            inputs = outputs
        return nn.Sequential(*layers, self.linear(inputs, num_classes, place="last"))

    def activation(self) -> nn.Module:
        """ReLU; quantized, unsigned integers of `act_bits` with a learned scale for the tensor."""
        if self._activations is None:
            return nn.ReLU()
        return qnn.QuantReLU(_Activations, bit_width=self._activations.act_bits, return_quant_tensor=True)

    def linear_end(self) -> nn.Module:
        """The end of a branch without a ReLU; quantized, signed integers of `act_bits` with a learned scale."""
        return nn.Identity() if self._activations is None else _signed(self._activations.act_bits)

    def operand(self, *, signed: bool = True) -> nn.Module:
        """What a product takes that no activation gives; quantized, integers of `act_bits` with a scale for the tensor."""
        if signed or self._activations is None:
            return self.linear_end()
        return qnn.QuantIdentity(_Activations, bit_width=self._activations.act_bits, return_quant_tensor=True)

    def image(self) -> nn.Module:
        """The end of a network that gives images: numbers from 0 to 1; quantized, those of 8-bit pixels."""
        if self._activations is None:
            return nn.Hardtanh(0.0, 1.0)
        return qnn.QuantReLU(Uint8Pixels)

    def branch_end(self, shared: nn.Module | None = None) -> nn.Module:
        """The end of a branch of a residual addition; `shared` is what ends the other branch.

        Quantized, both branches are integers of one quantizer, so that integers can be added: unsigned, or signed as
        `residual` says. A float network adds as published: it has a ReLU after the sum only.
        """
        if self._activations is None:
            return nn.Identity()
        if shared is not None:
            return shared
        if not self.signed_residual:
            return self.activation()
        return _signed(min(self._activations.act_bits + 1, _WIDEST_SIGNED))

    @property
    def signed_residual(self) -> bool:
        """Whether what comes out of an activation has to be quantized anew before it is added to a branch."""
        return self._activations is not None and self._activations.residual == "signed"

    def average_pool(self, kernel: Size) -> nn.Module:
        """The average of a window; quantized, its sum without the lowest bits, 8 bits or as many as the sum has."""
        if self._activations is None:
            return nn.AvgPool2d(kernel)
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        bits = (height * width * (2**self._activations.act_bits - 1)).bit_length()
        result_bits = min(bits, _POOL_BITS)
        truncation = TruncTo8bit.let(bit_width=result_bits, trunc_scaling_impl=_Shift(bits - result_bits))
        return qnn.TruncAvgPool2d(kernel_size=kernel, trunc_quant=truncation, float_to_int_impl_type="FLOOR")

    def final_pool(self, pixels: tuple[int, int]) -> nn.Module:
        """The average of all pixels; nothing where there is one."""
        if pixels == (1, 1):
            return nn.Identity()
        return self.average_pool(pixels[0] if pixels[0] == pixels[1] else pixels)


def _signed(bits: int) -> nn.Module:
    return qnn.QuantIdentity(_SignedActivations, bit_width=bits, return_quant_tensor=True)


def _weights(chosen: Quantization, place: Place, terms: int) -> dict[str, Any]:
    """Options of a Brevitas layer for the weights of sums with so many `terms`."""
    if place == "hidden":
        bits, scaling = chosen.weight_bits, chosen.weight_scaling
        if chosen.accumulator_method in A2Q_WEIGHT_QUANTIZERS:
            if chosen.accumulator_method == "a2q_plus" and terms < 2:
                raise ModelError(
                    "A2Q+ makes a channel's weights sum to 0, and this network has channels of a single weight. "
                    "Choose a larger width, or accumulator_method a2q."
                )
            quantizer = A2Q_WEIGHT_QUANTIZERS[chosen.accumulator_method]
            quantizer = quantizer.let(accumulator_bit_width=chosen.accumulator_bits)
            return {"weight_quant": quantizer, "weight_bit_width": bits}
    else:
        bits = chosen.first_layer_bits if place == "first" else chosen.last_layer_bits
        scaling = "channel"
    if bits == FLOAT:
        return {"weight_quant": None}
    if bits == 1:
        return {"weight_quant": BipolarWeightPerChannel if scaling == "channel" else BipolarWeightPerTensor}
    if chosen.weight_scales == "fixed":
        quantizer = FixedWeightPerChannel if scaling == "channel" else FixedWeightPerTensor
    else:
        quantizer = Int8WeightPerChannelFloat if scaling == "channel" else Int8WeightPerTensorFloat
    return {"weight_quant": quantizer, "weight_bit_width": bits}


class ImageNetwork(nn.Module):
    """The base of all networks: images (N, *`input_shape`) in [0, 1] in, logits (N, `num_classes`) out.

    A network that takes other numbers than pixels says so in `input_range`, and what it gives in its own text. `grids` has,
    for each output of a detector, its anchors: width and height in cells. `aliases` are patterns of the names that
    torchvision's networks have for the same parameters, and what takes their place. `without_hardware` are the ONNX operators
    that the network has and that become no hardware.
    """

    input_range: ClassVar[tuple[float, float] | None] = None
    grids: ClassVar[tuple[tuple[tuple[float, float], ...], ...]] = ()
    aliases: ClassVar[tuple[tuple[str, str], ...]] = ()
    without_hardware: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        quantization: Quantization | None,
        normalization: Preprocessing | None,
    ) -> None:
        super().__init__()
        given = normalization and (len(normalization.mean), len(normalization.std))
        if given and given != (input_shape[0], input_shape[0]):
            raise ModelError(
                f"The normalization has {given[0]} means and {given[1]} standard deviations; expected one of each for "
                f"the {input_shape[0]} channels of the input."
            )
        if given and self.input_range is not None:
            raise ModelError(
                f"The normalization is one of pixels, and this network takes numbers from {self.input_range[0]:g} to "
                f"{self.input_range[1]:g}. Leave it out."
            )
        self.input_shape = tuple(input_shape)
        self.num_classes = num_classes
        self.quantization = quantization
        self.normalization = normalization
        self.normalize = Normalize(normalization.mean, normalization.std) if normalization else nn.Identity()
        self.input_quant = Layers(quantization).input(normalization, self.input_range)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state`, a network's parameters by name, with the names of this network for those of torchvision's."""
        result = {}
        for name, tensor in state.items():
            for pattern, replacement in self.aliases:
                name = re.sub(pattern, replacement, name)
            result[name] = tensor
        return result

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        norms_from_weights(self)


def channels(count: int, width: float) -> int:
    """`count` channels times the multiplier `width`, rounded; at least one."""
    return max(1, round(count * width))


def is_small(input_shape: tuple[int, ...]) -> bool:
    """Whether images are of CIFAR's kind, and not of ImageNet's, which begin with strides."""
    return max(input_shape[1:]) <= _LARGEST_SMALL_IMAGE


def after(pixels: tuple[int, int], kernel: Size, *, stride: int = 1, padding: Size = 0) -> tuple[int, int]:
    """Height and width after a window of `kernel`. Raises ModelError where nothing is left."""
    window, border = ((size, size) if isinstance(size, int) else size for size in (kernel, padding))
    height, width = (
        (size + 2 * outside - inside) // stride + 1
        for size, inside, outside in zip(pixels, window, border, strict=True)
    )
    if min(height, width) < 1:
        raise ModelError(
            f"The images are too small for this network: {pixels[0]}×{pixels[1]} pixels are left where a window of "
            f"{window[0]}×{window[1]} follows. Use larger images."
        )
    return height, width
