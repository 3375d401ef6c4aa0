from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models import names
from pipeline.models.names import (
    FAMILIES,
    MODELS,
    Preprocessing,
    find,
    located,
    model_name,
    parse_name,
    recorded,
    spec_of,
)
from pipeline.models.quantization import Quantization


@st.composite
def quantizations(draw: st.DrawFn) -> Quantization:
    method = draw(st.sampled_from(["none", "a2q", "a2q_plus"]))
    weights = draw(st.integers(1 if method == "none" else 2, 8))
    acts = draw(st.integers(1, 8))
    bits = None if method == "none" else draw(st.integers(max(4, acts + 2), 32))
    return Quantization(weights, acts, accumulator_method=method, accumulator_bits=bits)


@given(st.sampled_from(list(FAMILIES)), st.none() | quantizations(), st.sampled_from([1.0, 0.25, 1.5, 2.0]))
def test_every_name_is_read_as_it_is_written(family: str, quantization: Quantization | None, width: float) -> None:
    name = model_name(family, quantization, width)
    assert parse_name(name) == (family, quantization, width)
    spec = find(name)
    assert (spec.name, spec.family, spec.width) == (name, family, width)
    if name not in MODELS:  # one with a checkpoint may have another stem and classifier
        assert spec.quantization == quantization
    if quantization:
        assert parse_name(name.removeprefix("quant_")) == (family, quantization, width)


@given(st.sampled_from(list(FAMILIES)), st.none() | quantizations(), st.sampled_from([1.0, 0.25]))
def test_a_record_describes_the_network(family: str, quantization: Quantization | None, width: float) -> None:
    normalization = Preprocessing((0.5, 0.25), (0.2, 0.3))
    shape = (2, 64, 64)
    spec = spec_of(
        family,
        quantization,
        dataset="mnist",
        input_shape=shape,
        num_classes=7,
        width=width,
        normalization=normalization,
    )
    assert recorded(spec.name, json.loads(json.dumps(spec.as_record()))) == spec


def test_defaults_by_family() -> None:
    tfc, vgg = find("quant_tfc_w3a3"), find("vgg11")
    assert (tfc.dataset, tfc.input_shape, tfc.num_classes, tfc.method) == ("mnist", (1, 28, 28), 10, "")
    assert (vgg.dataset, vgg.input_shape, vgg.quantization, vgg.accumulator_bits) == (
        "cifar10",
        (3, 32, 32),
        None,
        None,
    )
    assert len(MODELS) >= 11 and all(spec.digits in spec.url for spec in MODELS.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "x",
            "There is no model called 'x'. Give the path of a QONNX file .*`a2q models`.*FAMILY is one of resnet8, ",
        ),
        ("quant_resnet18_w4a4_a2q_13bit", r"Did you mean quant_resnet18_w4a4_a2q_13b\?.*\*.onnx"),
        ("quant_resnet8", "There is no model called 'quant_resnet8'. Did you mean quant_resnet8_w4a4"),
        ("resnet21", r"Did you mean resnet\d+\?"),
        ("quant_cnv_w9a4", r"weight_bits is 9; expected a whole number from 1 to 8. Did you mean quant_cnv_w4a4\?"),
        ("quant_cnv_w1a4_a2q_14b", "weight_bits is 1 with accumulator_method a2q"),
        ("quant_quant_cnv_w2a2", "There is no model called"),
        ("resnet8x", "There is no model called"),
        ("quant_espcn_x2", "Did you mean quant_espcn_x2_"),
        ("quant_espcn_x5_w4a4", "Did you mean quant_espcn_x._w4a4"),
        ("quant_unet_", "There is no model called"),
        ("resnet8x02", "There is no model called"),
        ("resnet8x9", "width is 9.0; expected a number above 0, up to 8"),
    ],
)
def test_what_is_no_name(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        find(name)


def test_records_that_do_not_fit_together() -> None:
    for record in ({"network": "resnet9"}, {"quantization": {"bits": 4}}, {"normalization": {"mean": [0.5]}}):
        with pytest.raises(ModelError, match="resnet9|does not describe a network"):
            recorded("quant_resnet8_w4a4", record)


def test_checkpoints_in_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "CHECKPOINTS", tmp_path)
    quantization = Quantization(2, 2, first_layer_bits=2, last_layer_bits=2)
    spec = spec_of("cnv", quantization, dataset="fashion_mnist", input_shape=(1, 32, 32))
    (tmp_path / "quant_cnv_w2a2.json").write_text(json.dumps({**spec.as_record(), "top1": 0.9, "sha256": "0"}))
    (tmp_path / "quant_tfc_w1a1.json").write_text("damaged")  # reported when it is used
    (tmp_path / "notes.json").write_text("{}")
    assert names._own_models() == {"quant_cnv_w2a2": spec, "quant_tfc_w1a1": find("quant_tfc_w1a1")}


def test_a_name_is_the_only_training_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert located("quant_tfc_w3a3") == "quant_tfc_w3a3"
    first = Path("trained", "mnist_quant_tfc_w3a3_seed0", "quant_tfc_w3a3.pth")
    first.parent.mkdir(parents=True)
    first.touch()
    first.with_name("quant_tfc_w3a3_a2q_12b.pth").touch()
    assert located("quant_tfc_w3a3") == str(first)
    assert located("other/quant_tfc_w3a3.pth") == "other/quant_tfc_w3a3.pth"
    shipped = first.with_name("quant_resnet8_w4a4_a2q_14b.pth")
    shipped.touch()
    assert located(shipped.stem) == shipped.stem  # this repository's goes before
    second = Path("trained", "benchmark_mnist", "quant_tfc_w3a3_seed1", "quant_tfc_w3a3.pth")
    second.parent.mkdir(parents=True)
    second.touch()
    with pytest.raises(
        ModelError, match=r"2 trained checkpoints of quant_tfc_w3a3: .*seed1.*, .*seed0.*\. Give the path"
    ):
        located("quant_tfc_w3a3")


def test_names_are_known_without_torch() -> None:
    command = "import sys, pipeline.models.names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
