from __future__ import annotations

import re

import pytest

from pipeline.errors import ConfigError
from pipeline.models.quantization import Quantization


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight_bits": 0}, "weight_bits is 0; expected a whole number from 1 to 8."),
        ({"weight_bits": 9}, "weight_bits is 9; expected a whole number from 1 to 8."),
        ({"act_bits": 16}, "act_bits is 16; expected"),
        ({"act_bits": True}, "act_bits is True; expected"),
        ({"first_layer_bits": 2.0}, "first_layer_bits is 2.0; expected"),
        ({"last_layer_bits": None}, "last_layer_bits is None; expected"),
        ({"weight_scaling": "row"}, "weight_scaling is 'row'; expected channel or tensor."),
        ({"accumulator_method": "a3q"}, "accumulator_method is 'a3q'; expected none, a2q, a2q_plus or axe."),
        ({"accumulator_bits": 14}, "accumulator_bits is 14 where accumulator_method is none"),
        ({"accumulator_method": "a2q"}, "accumulator_bits is None; expected a whole number from 6 to 32."),
        ({"accumulator_method": "a2q", "accumulator_bits": 5}, "accumulator_bits is 5; expected a whole number from 6"),
        (
            {"accumulator_method": "a2q", "accumulator_bits": 14, "weight_bits": 1},
            "weight_bits is 1 with accumulator_method a2q; expected 2 to 8",
        ),
        (
            {"accumulator_method": "a2q_plus", "accumulator_bits": 14, "weight_scaling": "tensor"},
            "weight_scaling is 'tensor' with accumulator_method a2q_plus; expected channel",
        ),
    ],
)
def test_what_there_cannot_be(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Quantization(**{"weight_bits": 4, "act_bits": 4, **values})


def test_suffixes() -> None:
    assert Quantization(2, 2).suffix == "w2a2"
    assert Quantization(4, 4, accumulator_method="a2q_plus", accumulator_bits=13).suffix == "w4a4_a2q_plus_13b"
    for suffix in ("w4", "w4a4_a2q", "w4a4_14b", "w4a4_a2q_14", "w4a4_a2q_plus_14b_", ""):
        with pytest.raises(ConfigError, match="expected wWaA, wWaA_a2q_Pb"):
            Quantization.parse(suffix)


def test_as_plain_values() -> None:
    quantization = Quantization(2, 3, "tensor", 4, 5)
    assert Quantization.from_dict(quantization.as_dict()) == quantization
    with pytest.raises(ConfigError, match="quantization has the keys weights, act_bits; expected weight_bits"):
        Quantization.from_dict({"weights": 4, "act_bits": 4})
