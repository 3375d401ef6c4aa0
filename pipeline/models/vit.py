"""Vision transformers (arXiv 2010.11929): patches of an image as tokens, a class token, and blocks of attention and a
perceptron, each after a normalisation and added to what came in.

Quantized, both operands of every product are integers: tokens before each linear layer, queries, keys and values, and
the shares that attention gives them. Normalisations, softmax, GELU and the sums of a block are computed in float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.layers import ImageNetwork, Layers, channels
from pipeline.models.quantization import Quantization

if TYPE_CHECKING:
    from pipeline.models.names import Preprocessing

__all__ = ["ViT"]


class _Shape(NamedTuple):
    patch: int  # pixels of a side
    size: int  # of a token
    heads: int


_SHAPES = {4: _Shape(4, 64, 4), 12: _Shape(32, 768, 12)}  # by the number of blocks: for CIFAR-10, and ViT-B/32
_EXPANSION = 4  # of a token in a perceptron
_EPSILON = 1e-6


class _Attention(nn.Module):
    """Attention of tokens (N, T, `size`) to each other, in `heads` parts of a token."""

    def __init__(self, layers: Layers, size: int, heads: int) -> None:
        super().__init__()
        self.size, self.heads = size, heads
        self.input_operand = layers.operand()
        self.qkv = layers.linear(size, 3 * size, bias=True)
        self.query, self.key, self.value = (layers.operand() for _ in range(3))
        self.share = layers.operand(signed=False)
        self.output_operand = layers.operand()
        self.output = layers.linear(size, size, bias=True)

    def forward(self, tokens: Tensor) -> Tensor:
        count, length = tokens.size(0), tokens.size(1)
        parts = self.qkv(self.input_operand(tokens)).reshape(count, length, 3, self.heads, self.size // self.heads)
        parts = parts.permute(2, 0, 3, 1, 4)
        query, key, value = (
            _plain(operand(parts[index])) for index, operand in enumerate((self.query, self.key, self.value))
        )
        products = query @ key.transpose(2, 3) * (self.size // self.heads) ** -0.5
        mixed = _plain(self.share(products.softmax(dim=3))) @ value
        return self.output(self.output_operand(mixed.transpose(1, 2).reshape(count, length, self.size)))


class _Block(nn.Module):
    def __init__(self, layers: Layers, size: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size, _EPSILON)
        self.attention = _Attention(layers, size, heads)
        self.norm2 = nn.LayerNorm(size, _EPSILON)
        self.perceptron = nn.Sequential(
            layers.operand(),
            layers.linear(size, _EXPANSION * size, bias=True),
            nn.GELU(),
            layers.operand(),
            layers.linear(_EXPANSION * size, size, bias=True),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.perceptron(self.norm2(tokens))


class ViT(ImageNetwork):
    """A vision transformer of `blocks` blocks: 4, of patches of 4×4 pixels and 64 numbers a token, or 12, ViT-B/32.

    `width` multiplies the numbers of a token, and with them those of a head.
    """

    aliases = (
        (r"^conv_proj\.", "patches."),
        (r"^encoder\.pos_embedding$", "positions"),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
        (r"\.self_attention\.in_proj_", ".attention.qkv."),
        (r"\.self_attention\.out_proj\.", ".attention.output."),
        (r"\.ln_([12])\.", r".norm\1."),
        (r"\.mlp\.(0|linear_1)\.", ".perceptron.1."),
        (r"\.mlp\.(3|linear_2)\.", ".perceptron.4."),
        (r"^encoder\.ln\.", "norm."),
        (r"^heads\.head\.", "head."),
    )
    without_hardware = ("LayerNormalization", "Softmax", "Gelu", "MatMul of two activations")

    def __init__(
        self,
        blocks: int,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        quantization: Quantization | None = None,
        width: float = 1.0,
        normalization: Preprocessing | None = None,
    ) -> None:
        super().__init__(
            num_classes=num_classes, input_shape=input_shape, quantization=quantization, normalization=normalization
        )
        patch, size, heads = _SHAPES[blocks]
        size = heads * channels(size // heads, width)
        inputs, height, width_pixels = input_shape
        if height % patch or width_pixels % patch:
            raise ModelError(
                f"Images of {height}×{width_pixels} pixels are not whole patches of {patch}×{patch}. Choose another size."
            )
        layers = Layers(quantization)
        self.patches = layers.conv(inputs, size, patch, stride=patch, place="first")
        self.patches.register_parameter("bias", nn.Parameter(torch.zeros(size)))
        self.class_token = nn.Parameter(torch.zeros(1, 1, size))
        self.positions = nn.Parameter(torch.empty(1, height * width_pixels // patch**2 + 1, size))
        self.blocks = nn.Sequential(*(_Block(layers, size, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(size, _EPSILON)
        self.head_operand = layers.operand()
        self.head = layers.linear(size, num_classes, place="last")
        nn.init.normal_(self.positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(self.input_quant(self.normalize(images)))
        tokens = _plain(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(tokens.size(0), -1, -1), tokens], dim=1) + self.positions
        return self.head(self.head_operand(self.norm(self.blocks(tokens)[:, 0])))


def _plain(values: Tensor) -> Tensor:
    """The numbers of `values`, which a quantizer may have given its type."""
    return values.value if isinstance(values, QuantTensor) else values
