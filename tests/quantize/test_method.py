"""The short form of a method, and what it refuses."""

import pytest

from pipeline.errors import ConfigError
from pipeline.quantize.method import Method


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("mse_channel", "mse_channel"),
        ("minmax_layer", "minmax_layer"),
        ("gptq/mse_channel", "gptq"),
        ("awq", "awq"),
        ("qronos/awq", "qronos_awq"),
        ("adaround/minmax_layer", "adaround_minmax_layer"),
    ],
)
def test_a_method_is_its_text_and_a_part_of_a_name(text, suffix):
    method = Method.parse(text)
    assert (str(method), method.suffix) == (text, suffix)


@pytest.mark.parametrize("text", ["mse", "mse_row", "gptq", "gptq/adaround/mse_channel", "awq_channel", ""])
def test_another_text_is_refused_with_the_forms(text):
    with pytest.raises(ConfigError, match=r"method is .*expected minmax_layer, .*adaround/"):
        Method.parse(text)


def test_only_what_axe_knows_takes_a_bound():
    Method.parse("gpfq/aciq_channel").check_bound(12)
    with pytest.raises(ConfigError, match=r"knows no bound; expected gptq/…, gpfq/… or qronos/…"):
        Method.parse("adaround/mse_channel").check_bound(12)
    with pytest.raises(ConfigError, match=r"a scale for each channel, such as gptq/mse_channel"):
        Method.parse("gptq/mse_layer").check_bound(12)
