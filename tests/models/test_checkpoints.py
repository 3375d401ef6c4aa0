"""The checkpoints that come with the project."""

from __future__ import annotations

import pytest
import torch

from pipeline.models.a2q import a2q_layers
from pipeline.models.integer_weights import hidden_sparsity, integer_weights, largest_l1
from pipeline.models.names import MODELS
from pipeline.models.registry import checkpoint_facts, trained_network

LARGEST = {"resnet8": 400_000, "tfc": 400_000, "cnv": 500_000}  # bytes, at width 1; the weights grow with its square


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if not spec.url])
def test_a_checkpoint_is_what_its_record_says(name: str) -> None:
    spec, network, path = trained_network(name)  # its SHA-256 is checked
    assert path.stat().st_size <= LARGEST[spec.family] * spec.width**2
    facts = checkpoint_facts(spec)
    assert 0.7 < facts["top1"] < 1
    if spec.quantization is None:
        return
    layers = integer_weights(network, torch.zeros(1, *spec.input_shape))
    assert facts["sparsity"] == round(hidden_sparsity(layers), 4) and facts["largest_l1"] == largest_l1(layers)
    bounded = a2q_layers(network)
    assert bool(bounded) == bool(spec.method)
    for layer in bounded:
        assert int(layers[layer].sum_bits().max()) <= spec.accumulator_bits, layer
