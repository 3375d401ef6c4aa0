"""The residual networks of the A2Q papers, on the blocks of the Brevitas model zoo.

Every residual addition joins two unsigned activations of one shared quantizer, which is what a streaming adder in
hardware needs.
"""

from __future__ import annotations

import brevitas.nn as qnn
from brevitas.inject.enum import RestrictValueType, ScalingImplType
from brevitas.quant import Int8WeightPerChannelFloat, Int32Bias, TruncTo8bit, Uint8ActPerTensorFloat
from brevitas_examples.bnn_pynq.models.resnet import QuantBasicBlock, QuantResNet, make_quant_conv2d
from brevitas_examples.imagenet_classification.a2q.quant import (
    CommonIntAccumulatorAwareWeightQuant,
    CommonIntAccumulatorAwareZeroCenterWeightQuant,
)
from torch import Tensor, nn

__all__ = ["A2Q_WEIGHT_QUANTIZERS", "QuantResNet8", "Uint8Pixels"]

A2Q_WEIGHT_QUANTIZERS = {
    "a2q": CommonIntAccumulatorAwareWeightQuant,
    "a2q_plus": CommonIntAccumulatorAwareZeroCenterWeightQuant,
}


class Uint8Pixels(Uint8ActPerTensorFloat):
    """An 8-bit unsigned input quantizer whose integers are the pixels themselves: real = pixel / 255."""

    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP
    scaling_init = 1.0


class QuantResNet8(QuantResNet):
    """ResNet-8 for 32×32 images: three stages of one block, 16/32/64 channels by default.

    Takes images of shape (N, 3, 32, 32) in [0, 1] and returns logits of shape (N, num_classes). Stem and classifier
    are 8-bit per channel; the hidden convolutions take `weight_quant` at `accumulator_bit_width`.
    """

    def __init__(
        self,
        *,
        weight_quant: type,
        accumulator_bit_width: int,
        widths: tuple[int, int, int] = (16, 32, 64),
        num_classes: int = 10,
        weight_bit_width: int = 4,
        act_bit_width: int = 4,
    ) -> None:
        nn.Module.__init__(self)
        weight_quant = weight_quant.let(accumulator_bit_width=accumulator_bit_width)
        self.input_quant = qnn.QuantIdentity(Uint8Pixels, return_quant_tensor=True)
        self.in_planes = widths[0]
        self.conv1 = make_quant_conv2d(
            3, widths[0], kernel_size=3, padding=1, weight_bit_width=8, weight_quant=Int8WeightPerChannelFloat
        )
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = shared = qnn.QuantReLU(bit_width=act_bit_width, return_quant_tensor=True)
        for index, (width, stride) in enumerate(zip(widths, (1, 2, 2), strict=True), start=1):
            stage, shared = self._make_layer(
                QuantBasicBlock, width, 1, stride, shared, weight_bit_width, act_bit_width, weight_quant
            )
            setattr(self, f"layer{index}", stage)
        # 8 × 8 pixels of 4 bits sum to 10 bits; dropping the lowest two is the division that hardware gets for free
        self.final_pool = qnn.TruncAvgPool2d(kernel_size=8, trunc_quant=TruncTo8bit, float_to_int_impl_type="FLOOR")
        self.linear = qnn.QuantLinear(
            widths[2],
            num_classes,
            bias=True,
            weight_bit_width=8,
            weight_quant=Int8WeightPerChannelFloat,
            bias_quant=Int32Bias,
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(self.input_quant(images))))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.final_pool(x)
        return self.linear(x.view(x.size(0), -1))
