from __future__ import annotations

import torch

from pipeline.models.integer_weights import IntegerWeights, hidden_sparsity, largest_l1


def test_a_network_of_two_layers_has_no_hidden_ones() -> None:
    ends = {name: IntegerWeights(torch.ones(2, 3, dtype=torch.long), 4, False, "") for name in ("first", "last")}
    assert (hidden_sparsity(ends), largest_l1(ends)) == (0, 0)
