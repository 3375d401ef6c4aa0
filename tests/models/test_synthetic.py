from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.golden import from_photographs
from pipeline.models.names import ModelSpec, Preprocessing
from pipeline.models.registry import load_checkpoint, network
from pipeline.models.synthetic import SPARSITY, draw_row, fill, largest_l1_norm

INPUT_BITS = 4


@settings(max_examples=60, deadline=None)
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
    spec = ModelSpec("tiny", "resnet8", method, accumulator_bits=12, preprocessing=Preprocessing())
    images = from_photographs(spec.input_shape, spec.preprocessing, 8, seed=1).frames
    model = network(spec)
    fill(model, method, 12, images, seed=1)  # raises if a layer computes other integers than were drawn
    with torch.no_grad():
        outputs = model(torch.from_numpy(images))
    assert outputs.std(dim=0).min() > 0, "an output that never changes: activations are dead"

    torch.save(model.state_dict(), tmp_path / "w.pth")
    again = network(spec)
    load_checkpoint(again, tmp_path / "w.pth")
    with torch.no_grad():
        assert torch.equal(again(torch.from_numpy(images)), outputs)

    repeated = network(spec)
    fill(repeated, method, 12, images, seed=1)
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
