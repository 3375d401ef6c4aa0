from __future__ import annotations

from typing import get_args

import pytest

from pipeline.accumulators.methods import (
    METHOD_CHOICES,
    METHODS,
    SUFFIXES,
    TRAINED_METHODS,
    AccumulatorMethod,
    BoundMethod,
    TrainedAccumulatorMethod,
)
from pipeline.models.layers import A2Q_WEIGHT_QUANTIZERS
from pipeline.models.quantization import Quantization
from pipeline.training.benchmark import _MARKS


def test_all_that_is_known_by_method_knows_every_method():
    assert tuple(METHODS) == get_args(BoundMethod) == get_args(AccumulatorMethod)[1:]
    assert TRAINED_METHODS == get_args(TrainedAccumulatorMethod)[1:]
    assert set(TRAINED_METHODS) == A2Q_WEIGHT_QUANTIZERS.keys() == _MARKS.keys() < METHODS.keys()
    assert METHOD_CHOICES == "none, a2q or a2q_plus"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_is_one_of_a_name(suffix):
    written = suffix.replace("W", "4").replace("A", "3").replace("P", "12")
    assert Quantization.parse(written).suffix == written
