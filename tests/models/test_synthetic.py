from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models.a2q import a2q_layers, largest_l1_norm, layer_bounds
from pipeline.models.golden import from_photographs
from pipeline.models.integer_weights import integer_weights
from pipeline.models.names import find, spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.registry import load_checkpoint, network
from pipeline.models.resolve import drawn_frames
from pipeline.models.synthetic import SPARSITY, draw_row, fill, usual_sparsity

INPUT_BITS = 4


@settings(max_examples=60)
@given(
    size=st.integers(9, 700),
    bits=st.integers(12, 16),
    centred=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_drawn_row_fits_its_accumulator(size: int, bits: int, centred: bool, seed: int) -> None:
    method = "a2q_plus" if centred else "a2q"
    bound = math.floor(largest_l1_norm(method, bits, INPUT_BITS))
    row = draw_row(np.random.default_rng(seed), size, bound, SPARSITY[method][bits], centred=centred)
    assert row.shape == (size,) and np.abs(row).max() <= 7
    assert 0 < np.abs(row).sum() <= bound
    assert not centred or row.sum() == 0
    largest = 2**INPUT_BITS - 1
    highest, lowest = largest * row[row > 0].sum(), largest * row[row < 0].sum()
    assert -(2 ** (bits - 1)) <= lowest and highest < 2 ** (bits - 1)


def test_bounds_are_those_of_the_papers() -> None:
    assert largest_l1_norm("a2q", 12, 4) == 2047 / 16  # 127.9
    assert largest_l1_norm("a2q", 12, 4, signed_input=True) == 2047 / 8
    assert largest_l1_norm("a2q_plus", 12, 4) == 4094 / 15


@pytest.mark.parametrize("method", ["a2q", "a2q_plus"])
def test_a_network_computes_what_was_drawn(method: str, tmp_path) -> None:
    spec = spec_of("resnet8", Quantization.parse(f"w4a4_{method}_12b"), width=0.25)
    images = from_photographs(spec.input_shape, spec.preprocessing, 8, seed=1).frames
    model = network(spec)
    fill(model, images, seed=1)  # raises if a layer computes other integers than were drawn
    with torch.no_grad():
        outputs = model(torch.from_numpy(images))
    assert outputs.std(dim=0).min() > 0, "an output that never changes: activations are dead"

    torch.save(model.state_dict(), tmp_path / "w.pth")
    again = network(spec)
    load_checkpoint(again, tmp_path / "w.pth")
    with torch.no_grad():
        assert torch.equal(again(torch.from_numpy(images)), outputs)

    repeated = network(spec)
    fill(repeated, images, seed=1)
    states = model.state_dict(), repeated.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(("method", "bits"), [("a2q", 12), ("a2q", 16), ("a2q_plus", 12), ("a2q_plus", 16)])
def test_sparsity_is_that_of_such_training(method: str, bits: int) -> None:
    bound = math.floor(largest_l1_norm(method, bits, INPUT_BITS))
    generator = np.random.default_rng(0)
    wanted = SPARSITY[method][bits]
    for size in (576, 1152, 2304, 4608):  # inputs of a sum in ResNet-18
        rows = [draw_row(generator, size, bound, wanted, centred=method == "a2q_plus") for _ in range(8)]
        share = np.mean([np.mean(row == 0) for row in rows])
        densest = bound * 2 // 3 / size  # large sums are sparser, because the bound forbids so many non-zeros
        assert share == pytest.approx(max(wanted, 1 - densest), abs=0.01)


def test_sparsity_where_none_is_published() -> None:
    assert usual_sparsity("a2q", 14, 4) == usual_sparsity("a2q", 12, 2) == 0.917
    assert usual_sparsity("a2q", 8, 4) == 0.947 and usual_sparsity("a2q_plus", 32, 8) == 0.504


@pytest.mark.parametrize(
    ("family", "suffix", "width"),
    [
        ("resnet8", "w8a8_a2q_plus_10b", 1 / 8),
        ("resnet8", "w2a2_a2q_4b", 1 / 8),
        ("vgg11", "w1a1", 1 / 16),
        ("vgg11", "w3a5_a2q_20b", 1 / 32),
        ("cnv", "w2a2_a2q_4b", 1 / 16),
        ("mobilenetv1", "w8a8_a2q_plus_10b", 1 / 16),
        ("tfc", "w2a2_a2q_plus_4b", 1.0),
        ("tfc", "w1a2", 1.0),
        ("espcn_x2", "w8a8_a2q_16b", 1 / 8),
        ("unet", "w4a4_a2q_plus_12b", 1 / 8),
        ("dscnn", "w4a4_a2q_12b", 1 / 8),
        ("tinyyolo", "w4a4_a2q_12b", 1 / 8),
        ("vgg10", "w3a3_a2q_plus_10b", 1 / 8),
    ],
)
def test_every_family_can_be_filled(family: str, suffix: str, width: float) -> None:
    spec = spec_of(family, Quantization.parse(suffix), width=width)
    images = drawn_frames(spec, 1, 8).frames
    model = network(spec)
    fill(model, images, seed=1)
    with torch.no_grad():
        assert torch.isfinite(model(torch.from_numpy(images))).all()
    for layer in a2q_layers(model).values():
        assert (layer.weight.flatten(1).abs().sum(dim=1) > 0).all(), "a channel without weights"


@pytest.mark.parametrize("name", ["quant_espcn_x2_w4a4_a2q_13b", "quant_espcn_x2_w8a8_a2q_plus_16b"])
def test_layers_of_a_release_each_meet_their_own_bound(name: str) -> None:
    """Its first layer has 8-bit inputs and a bound of 32 bits, others less, and it quantizes its inputs itself."""
    spec = replace(find(name), input_shape=(3, 8, 8))
    model, images = network(spec), drawn_frames(spec, 1, 4).frames
    fill(model, images, seed=1)
    bounds = layer_bounds(model)
    widths = [bounds[layer].accumulator_bits for layer in ("conv1", "conv2", "conv3")]
    assert widths == [32, spec.accumulator_bits, spec.accumulator_bits]
    weights = integer_weights(model, torch.from_numpy(images))
    for layer, bound in bounds.items():
        assert 0 < weights[layer].sum_bits().max() <= bound.accumulator_bits
    assert [weights[layer].input_bits for layer in bounds] == [8, *[spec.quantization.act_bits] * 2]


def test_float_networks_are_not_filled() -> None:
    with pytest.raises(ModelError, match="this is a float network"):
        fill(network(find("cnv")), np.zeros((1, 3, 32, 32), np.float32), seed=0)
