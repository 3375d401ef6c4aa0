from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int8WeightPerChannelFloat, Int32Bias, TruncTo8bit
from brevitas_examples.bnn_pynq.models.resnet import QuantBasicBlock, QuantResNet, make_quant_conv2d
from torch import nn

from pipeline.errors import ModelError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.models import export, mobilenetv2, registry, resnet
from pipeline.models.a2q import a2q_layers, largest_l1_norm
from pipeline.models.golden import from_photographs
from pipeline.models.integer_weights import integer_weights
from pipeline.models.layers import A2Q_WEIGHT_QUANTIZERS, Layers, Uint8Pixels
from pipeline.models.names import FAMILIES, Preprocessing, find, spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.resolve import drawn_frames
from pipeline.models.synthetic import fill

WIDTH = 1 / 8
CLASSIFIERS = ("resnet8", "resnet18", "resnet50", "vgg11", "cnv", "mobilenetv1", "mobilenetv2", "tfc")
OF_IMAGES = {
    "espcn_x2": (3, 16, 16),
    "espcn_x3": (3, 8, 12),
    "unet": (3, 16, 8),
    "tinyyolo": (3, 32, 16),
}  # with what they take
OF_SIGNALS = ("dscnn", "vgg10")
KINDS = (*CLASSIFIERS, *OF_IMAGES, *OF_SIGNALS)
SUFFIXES = (None, "w1a1", "w2a2", "w4a4", "w8a8", "w4a4_a2q_12b", "w3a2_a2q_plus_10b")
IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(family: str, suffix: str | None, **options):
    quantization = Quantization.parse(suffix) if suffix else None
    return spec_of(family, quantization, **{"width": WIDTH, **options})


def learned(model: nn.Module) -> dict[str, torch.Size]:
    """The shapes of what is not a quantizer's."""
    return {name: t.shape for name, t in model.state_dict().items() if "_quant." not in name}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("family", KINDS)
def test_a_network_takes_frames_and_gives_logits_or_an_image(family: str, suffix: str | None) -> None:
    sides = (
        {} if family in ("vgg11", "cnv", "tfc", *OF_SIGNALS) else {"input_shape": OF_IMAGES.get(family, (3, 16, 16))}
    )
    spec = small(family, suffix, num_classes=7, **sides)
    torch.manual_seed(0)
    model = registry.network(spec)
    images = torch.rand(2, *spec.input_shape)
    expected = {"espcn_x2": (3, 32, 32), "espcn_x3": (3, 24, 36), "unet": (7, 16, 8), "tinyyolo": (60, 2, 1)}
    expected = expected.get(family, (7,))
    with torch.no_grad():
        model.train()(images)
        outputs = model.eval()(images)
    assert outputs.shape == (2, *expected) and torch.isfinite(outputs).all()
    assert (model.input_shape, model.num_classes) == (spec.input_shape, 7)
    assert learned(model) == learned(registry.network(replace(spec, quantization=None)))


@pytest.mark.parametrize(
    ("family", "convolutions", "parameters"),
    [
        # as published: arXiv 1512.03385, table 6, with 1×1 convolutions for shortcuts; torchvision's without biases
        ("resnet20", 21, 272_474),
        ("resnet110", 111, 1_730_714),
        ("resnet18", 20, 11_173_962),
        ("resnet50", 53, 23_520_842),
        ("resnet152", 155, 58_156_618),
        ("vgg16", 13, 14_728_266 - 4224),
        ("mobilenetv1", 27, 3_217_226),
        ("mobilenetv2", 52, 2_236_682),  # torchvision's with 10 classes
        ("resnet8", 9, 78_666 - 336 - 4 * 240 + 2 * 336),  # MLPerf Tiny's, but for biases and where normalisations are
        ("cnv", 6, None),
        ("dscnn", 9, 2560 + 4 * (576 + 4096) + 9 * 128 + 780),  # arXiv 1711.07128: 64 channels, 4 blocks
        ("vgg10", 7, 384 + 6 * 12288 + 7 * 128 + 512 * 128 + 128 * 128 + 2 * 256 + 128 * 24 + 24),
        ("espcn_x2", 4, 63872),  # Brevitas' float network, less the biases of three convolutions
    ],
)
def test_sizes_are_those_of_the_papers(family: str, convolutions: int, parameters: int | None) -> None:
    with torch.device("meta"):
        model = registry.network(find(family))
    assert sum(isinstance(m, nn.Conv2d) for m in model.modules()) == convolutions
    if parameters is not None:
        assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("family", "before_pool", "parameters"),
    [
        ("resnet50", (2048, 7, 7), 25_557_032),
        ("resnet34", (512, 7, 7), 21_797_672),
        ("mobilenetv1", (1024, 7, 7), 4_231_976),
        ("mobilenetv2", (1280, 7, 7), 3_504_872),
    ],
)
def test_imagenet_networks(family: str, before_pool: tuple, parameters: int) -> None:
    with torch.device("meta"):
        model = registry.network(spec_of(family, None, input_shape=(3, 224, 224), num_classes=1000))
        seen = []
        model.final_pool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1:]))
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 1000)
    assert tuple(seen[0]) == before_pool
    assert sum(p.numel() for p in model.parameters()) == parameters  # as torchvision's and the paper's


def test_imagenet_vgg_has_three_linear_layers() -> None:
    with torch.device("meta"):
        model = registry.network(spec_of("vgg11", None, input_shape=(3, 224, 224), num_classes=1000))
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 1000)
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert [m.in_features for m in linear] == [512 * 7 * 7, 4096, 4096]


@pytest.mark.parametrize("family", ["resnet18", "resnet8", "mobilenetv1", "vgg11"])
def test_imagenet_stems_quantized(family: str) -> None:
    model = registry.network(small(family, "w4a4", input_shape=(3, 96, 96), width=1 / 32)).train()
    with torch.no_grad():
        assert model(torch.rand(2, 3, 96, 96)).shape == (2, 10)
    assert model.features[0].stride == (1, 1) if family == "vgg11" else model.conv1.stride == (2, 2)


def test_images_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match="cnv takes images of 32×32 pixels, the input shape is"):
        registry.network(small("cnv", "w2a2", input_shape=(1, 28, 28)))
    with pytest.raises(ModelError, match="The images are too small for this network: 1×1 pixels are left"):
        registry.network(small("vgg11", None, input_shape=(3, 16, 16)))
    with pytest.raises(
        ModelError, match=r"A2Q\+ makes a channel's weights sum to 0, and this network has channels of a"
    ):
        registry.network(small("resnet8", "w4a4_a2q_plus_12b", width=1 / 16))
    with pytest.raises(ModelError, match="unet halves images 2 times .* multiples of 4"):
        registry.network(small("unet", "w4a4", input_shape=(3, 16, 18)))
    with pytest.raises(ModelError, match=r"vgg10 takes signals, images of one row; the input shape is \(2, 2, 64\)"):
        registry.network(small("vgg10", "w4a4", input_shape=(2, 2, 64)))
    with pytest.raises(ModelError, match="The normalization is one of pixels, and this network takes numbers from -1"):
        registry.network(small("dscnn", "w4a4", normalization=Preprocessing((0.5,), (0.5,))))
    with pytest.raises(ModelError, match="has 3 means and 3 standard deviations; .* the 1 channels"):
        registry.network(small("tfc", None, normalization=IMAGENET))


@pytest.mark.parametrize("act_bits", range(1, 9))
@pytest.mark.parametrize("kernel", [2, 4, 7, 8, (3, 5)])
def test_the_average_pool_drops_low_bits(kernel: int | tuple[int, int], act_bits: int) -> None:
    layers = Layers(Quantization(4, act_bits))
    size = (kernel, kernel) if isinstance(kernel, int) else kernel
    act, pool = layers.activation().train(), layers.average_pool(kernel)
    images = torch.rand(3, 2, *size) * 1.2
    images[0] = 10.0  # the largest sum that there is
    with torch.no_grad():
        act(images)
        quantized = act.eval()(images)
        pooled = pool.eval()(quantized)
    sums = quantized.int(float_datatype=False).long().sum(dim=(2, 3), keepdim=True)
    dropped = max((2**act_bits - 1) * size[0] * size[1], 1).bit_length() - 8
    assert torch.equal(pooled.int(float_datatype=False).long(), sums >> max(dropped, 0))
    assert sums[0].min() == (2**act_bits - 1) * size[0] * size[1]


def test_bipolar_weights() -> None:
    for scaling in ("channel", "tensor"):
        conv = Layers(Quantization(1, 2, scaling)).conv(3, 4, 3)
        weight = conv.quant_weight()
        assert set(weight.int(float_datatype=False).unique().tolist()) == {-1, 1}
        mean = conv.weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        expected = mean if scaling == "channel" else mean.mean()
        assert weight.scale.numel() == expected.numel() and torch.allclose(weight.scale, expected)


def test_stem_and_classifier_have_their_own_bits() -> None:
    quantization = Quantization(4, 4, "channel", 8, 2, "a2q", 14)
    model = registry.network(spec_of("cnv", quantization, width=WIDTH))
    with torch.no_grad():
        model.train()(torch.rand(2, 3, 32, 32))
    layers = integer_weights(model.eval(), torch.rand(1, 3, 32, 32))
    largest = [int(layer.weights.abs().max()) for layer in layers.values()]
    assert largest[0] == 127 and largest[-1] == 1 and max(largest[1:-1]) <= 7
    assert set(a2q_layers(model)) == set(list(layers)[1:-1])


@pytest.mark.parametrize("method", ["a2q", "a2q_plus"])
@pytest.mark.parametrize("family", KINDS)
def test_accumulators_hold_every_sum(family: str, method: str) -> None:
    spec = spec_of(family, Quantization(4, 3, accumulator_method=method, accumulator_bits=9), width=WIDTH)
    model = registry.network(spec).train()
    with torch.no_grad():
        for layer in a2q_layers(model).values():
            layer.weight.mul_(20)
        model(torch.rand(2, *spec.input_shape))
    layers = integer_weights(model.eval(), torch.rand(1, *spec.input_shape))
    bounded = a2q_layers(model)
    assert len(bounded) == len(layers) - 2
    for name in bounded:
        layer = layers[name]
        assert layer.input_bits == 3 and (not layer.input_signed or family == "mobilenetv2")
        assert int(layer.sum_bits().max()) <= 9, name
        bound = largest_l1_norm(method, 9, 3, signed_input=layer.input_signed)
        assert int(layer.l1.max()) <= bound, name


@pytest.mark.parametrize("family", OF_SIGNALS)
def test_numbers_that_are_no_pixels_are_8_bits_signed(family: str) -> None:
    spec = small(family, "w4a4")
    model = registry.network(spec)
    low, high = FAMILIES[family].input_range
    assert model.input_range == (low, high)
    quantized = model.input_quant(torch.linspace(low, high, 255))
    assert quantized.signed and quantized.int().tolist() == list(range(-127, 128))


def test_normalised_input_is_8_bits_signed() -> None:
    model = registry.network(small("tfc", "w4a4", normalization=Preprocessing((0.25,), (0.125,))))
    black, white = torch.zeros(1, 1, 28, 28), torch.ones(1, 1, 28, 28)
    for image, value in ((black, -2.0), (white, 6.0)):
        quantized = model.input_quant(model.normalize(image))
        assert quantized.signed and quantized.bit_width == 8
        assert torch.allclose(quantized.value, torch.tensor(value), atol=6 / 127 / 2)
    assert not [name for name in model.state_dict() if name.startswith("normalize")]


def exact(spec, folder: Path, count: int = 3) -> None:
    """From synthetic weights through the stages to integers: labels or images of the layer graph are Brevitas'."""
    model = registry.network(spec)
    images = drawn_frames(spec, 1, 16).frames
    fill(model, images, seed=1)
    network, golden, _ = export.export_brevitas(model, images[:count], folder)
    streamlined = streamline.streamline(network, golden.inputs, golden.outputs)
    result = dataflow.convert(streamlined.model, golden.inputs, top1=None)
    graph = result.graph
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    outputs = graph.run(graph.input_transform.apply(images))
    assert result.top1 == (expected.ndim == 2)
    if result.top1:
        assert np.array_equal(outputs.ravel(), expected.argmax(axis=1))
    else:
        real = outputs * graph.output_transform.scale + graph.output_transform.bias
        np.testing.assert_allclose(real.transpose(0, 3, 1, 2), expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("family", "suffix", "options"),
    [
        ("resnet8", "w4a4", {}),
        ("resnet8", "w1a1", {"normalization": IMAGENET}),
        ("resnet50", "w2a2_a2q_plus_8b", {"width": 1 / 16, "input_shape": (3, 16, 16)}),
        ("resnet18", "w4a4_a2q_12b", {"input_shape": (3, 65, 66), "width": 1 / 32}),
        ("vgg11", "w4a4_a2q_12b", {}),
        ("vgg11", "w2a2", {"input_shape": (3, 66, 66), "width": 1 / 32}),
        ("cnv", "w1a1", {"input_shape": (1, 32, 32)}),
        ("cnv", "w8a8", {}),
        ("mobilenetv1", "w4a4_a2q_plus_12b", {"width": 1 / 16, "input_shape": (3, 16, 16)}),
        ("tfc", "w1a2", {}),
        ("tfc", "w4a1_a2q_10b", {"normalization": Preprocessing((0.25,), (0.125,))}),
        ("espcn_x2", "w4a4_a2q_13b", {"input_shape": (3, 9, 7)}),
        ("espcn_x3", "w8a8", {"input_shape": (1, 8, 8)}),
        ("unet", "w4a4_a2q_plus_12b", {"input_shape": (3, 16, 24)}),
        ("unet", "w2a2", {"input_shape": (1, 8, 8), "num_classes": 5}),
        ("dscnn", "w4a4", {}),
        ("mobilenetv2", "w4a4_a2q_plus_12b", {"input_shape": (3, 16, 16)}),
        ("tinyyolo", "w4a4_a2q_12b", {"input_shape": (3, 32, 16), "num_classes": 3}),
        ("vgg10", "w3a3_a2q_plus_10b", {}),
    ],
)
def test_what_is_exported_becomes_the_same_integers(
    family: str, suffix: str, options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(resnet._IMAGENET_BLOCKS, 50, (1, 1))  # the blocks are what is special in it
    monkeypatch.setattr(mobilenetv2, "_BLOCKS", ((1, 16, 1, 1), (6, 24, 3, 2)))
    exact(small(family, suffix, **options), tmp_path)


class BrevitasResNet8(QuantResNet):
    """ResNet-8 from the blocks of Brevitas' model zoo, as this project's first checkpoint was trained."""

    def __init__(self, weight_quant: type) -> None:
        nn.Module.__init__(self)
        self.input_quant = qnn.QuantIdentity(Uint8Pixels, return_quant_tensor=True)
        self.in_planes = 16
        self.conv1 = make_quant_conv2d(
            3, 16, kernel_size=3, padding=1, weight_bit_width=8, weight_quant=Int8WeightPerChannelFloat
        )
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = shared = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        for index, (width, stride) in enumerate(((16, 1), (32, 2), (64, 2)), start=1):
            stage, shared = self._make_layer(QuantBasicBlock, width, 1, stride, shared, 4, 4, weight_quant)
            setattr(self, f"layer{index}", stage)
        self.final_pool = qnn.TruncAvgPool2d(8, trunc_quant=TruncTo8bit, float_to_int_impl_type="FLOOR")
        self.linear = qnn.QuantLinear(
            64, 10, bias=True, weight_bit_width=8, weight_quant=Int8WeightPerChannelFloat, bias_quant=Int32Bias
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(self.input_quant(images))))
        x = self.final_pool(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(x.view(x.size(0), -1))


def test_the_trained_resnet8_computes_what_brevitas_blocks_do() -> None:
    spec, model, path = registry.trained_network("quant_resnet8_w4a4_a2q_14b")
    reference = BrevitasResNet8(A2Q_WEIGHT_QUANTIZERS["a2q"].let(accumulator_bit_width=14)).eval()
    registry.load_checkpoint(reference, path)
    assert list(reference.state_dict()) == list(model.state_dict())
    images = torch.from_numpy(from_photographs(spec.input_shape, spec.preprocessing, 16, seed=0).frames)
    with torch.no_grad():
        assert torch.equal(model(images), reference(images))
