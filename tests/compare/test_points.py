from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pipeline.compare.points import Axes, points, shape_of
from pipeline.compare.record import axes_of
from pipeline.errors import ConfigError, ModelError
from pipeline.files import BOARDS
from pipeline.models import names
from pipeline.models.names import MODELS

TFC = "quant_tfc_w2a2"


def models(*patterns: str, **axes) -> list[str]:
    """The models of the points, each once, in their order."""
    return list(dict.fromkeys(point.model for point in points(patterns, Axes(**axes))))


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which `quant_tfc_w3a3_a2q_9b` was trained."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "trained" / "mnist_seed0"
    folder.mkdir(parents=True)
    (folder / "quant_tfc_w3a3_a2q_9b.pth").touch()
    return tmp_path


def test_alone_a_name_is_the_comparison_of_the_papers():
    compared = points([TFC], Axes())
    assert [point.policy for point in compared] == ["fixed:32", "datatype", "target", "exact", "exact/pe"]
    assert [(point.config.accumulators.policy, point.config.accumulators.per_pe) for point in compared[-2:]] == [
        ("exact", False),
        ("exact", True),
    ]
    assert {point.config.target_fps for point in compared} == {20000.0}, "the model's own configuration"
    assert compared[0].name == "quant_tfc_w2a2 · fixed:32 · KV260 · 20000 fps"


def test_every_combination_is_a_point_with_names_of_its_own():
    axes = Axes(("exact", "fixed:24/pe"), (), ("KV260", "zcu104"), ("1000", "max"), (0, 7))
    combinations = points([TFC, "quant_cnv_w2a2"], axes)
    assert len(combinations) == 2 * 2 * 2 * 2 * 2
    assert (
        len({point.name for point in combinations}) == len({point.slug for point in combinations}) == len(combinations)
    )
    assert combinations[-1].name == "quant_cnv_w2a2 · fixed:24/pe · ZCU104 · max fps · seed 7"
    assert combinations[-1].slug == "quant_cnv_w2a2-fixed24_pe-ZCU104-max-seed7"
    config = combinations[-1].config
    assert (config.board, config.target_fps, config.seed, config.synth_clk_period_ns) == ("ZCU104", "max", 7, 5.0)


def test_a_configuration_holds_for_all_models(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"target_fps": 77, "accumulators": {"layers": {"MVAU_0": "datatype"}}}))
    for point in points([TFC, "quant_cnv_w2a2"], Axes(("l1",)), path):
        assert point.config.target_fps == 77
        assert point.config.accumulators.policy == "l1"
        assert point.config.accumulators.layers == {"MVAU_0": "datatype"}


def test_settings_go_before_the_configuration_of_every_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["simulation.frames=3", "golden_inputs=in.npy", "target_fps=5", "accumulators.layers.MVAU_0=l1"]
    for point in points([TFC, "quant_cnv_w2a2"], Axes(("exact", "fixed:32/pe")), settings=settings):
        assert (point.config.simulation.frames, point.config.target_fps) == (3, 5)
        assert point.config.golden_inputs == tmp_path / "in.npy", "which workers in other folders find too"
        assert point.config.accumulators.layers == {"MVAU_0": "l1"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("accumulators.policy=l1", "accumulators.policy, in which the builds of a comparison differ: give policies by"),
        ("accumulators={policy: l1}", "accumulators, in which the builds of a comparison differ: give policies by"),
        ("model=x", "model, in which the builds of a comparison differ: name the models"),
        ("board=ZCU104", "board is given by --set and in another way"),
        ("simulation.framez=3", "the command line: there is no option 'framez' in simulation"),
    ],
)
def test_a_setting_without_effect_is_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        points([TFC], Axes(("exact",), boards=("KV260",)), settings=[setting])


def test_a_pattern_means_the_quantized_networks_with_a_checkpoint(trained):
    expected = sorted(name for name in MODELS if name.startswith("quant_resnet8_w4a4_a2q_"))
    assert models("quant_resnet8_w4a4_a2q_*") == expected and len(expected) == 10
    assert "quant_tfc_w3a3_a2q_9b" in models("*tfc*")
    assert "resnet8" not in models("*resnet8*"), "a float network"
    assert models("quant_resnet8_w4a4_a2q_1[24]b", TFC) == [
        "quant_resnet8_w4a4_a2q_12b",
        "quant_resnet8_w4a4_a2q_14b",
        TFC,
    ]


def test_what_two_names_mean_is_built_once():
    assert models("quant_resnet8_w4a4_a2q_12b", "quant_resnet8_w4a4_a2q_*", bits=(12,)) == [
        "quant_resnet8_w4a4_a2q_12b",
        "quant_resnet8_w4a4_a2q_plus_12b",
    ]


def test_bits_take_the_place_of_those_in_a_name_and_choose_among_matches():
    assert models("quant_resnet20_w4a4_a2q_plus_14b", bits=(12, 16)) == [
        "quant_resnet20_w4a4_a2q_plus_12b",
        "quant_resnet20_w4a4_a2q_plus_16b",
    ]
    assert models("quant_resnet8_w4a4*", bits=(13,)) == [
        "quant_resnet8_w4a4_a2q_13b",
        "quant_resnet8_w4a4_a2q_plus_13b",
    ]


def test_a_trained_network_is_a_path_that_means_the_same_everywhere(trained):
    (point,) = points(["quant_tfc_w3a3_a2q_9b"], Axes(("exact",)))
    assert point.config.model == str(trained / "trained" / "mnist_seed0" / "quant_tfc_w3a3_a2q_9b.pth")
    assert point.model == "quant_tfc_w3a3_a2q_9b"
    (synthetic,) = points(["quant_tfc_w3a3_a2q_9b"], Axes(("exact",)), weights="synthetic")
    assert synthetic.config.model == synthetic.model == "quant_tfc_w3a3_a2q_9b"
    assert synthetic.slug != point.slug


@pytest.mark.parametrize(
    ("given", "axes", "error", "message"),
    [
        (["quant_resnet9_*"], {}, ModelError, "No quantized network matches 'quant_resnet9_[*]'.*`a2q models` lists"),
        (["resnet*"], {}, ModelError, "No quantized network matches"),
        (
            ["quant_resnet8_w4a4*"],
            {"bits": (9,)},
            ModelError,
            "has a P of 9. Those that match are: quant_resnet8_w4a4,",
        ),
        (["quant_tfc_w2"], {}, ModelError, "There is no model called 'quant_tfc_w2'. .*Did you mean quant_tfc_w2a2"),
        ([TFC], {"bits": (9,)}, ConfigError, "--bits is given, but quant_tfc_w2a2 has no P in its name"),
        (["some.onnx"], {"bits": (9,)}, ConfigError, "--bits is given, but some.onnx has no P"),
        (
            [TFC],
            {"policies": ("exakt",)},
            ConfigError,
            "policy 'exakt' is not known; choose exact, .*exact/pe, each PE",
        ),
        ([TFC], {"policies": ("fixed:99/pe",)}, ConfigError, "asks for 99 bits"),
        ([TFC], {"policies": ("exact", "exact")}, ConfigError, "exact · KV260 · 20000 fps is asked for twice"),
        ([TFC], {"boards": ("KV260", "kv-260")}, ConfigError, "KV260 · 20000 fps is asked for twice"),
        ([TFC], {"boards": ("KV261",)}, ConfigError, "There is no board called 'KV261'. Choose one of"),
        ([TFC], {"target_fps": ("-1",)}, ConfigError, "the command line: target_fps is '-1'; expected"),
    ],
)
def test_what_cannot_be_is_an_error(given, axes, error, message):
    with pytest.raises(error, match=message):
        points(given, Axes(**{"policies": ("exact",), **axes}))


def test_two_files_of_one_name_are_told_apart_by_nothing():
    with pytest.raises(ConfigError, match=r"one/net.onnx and .*two/net.onnx are both called net · exact"):
        points(["one/net.onnx", "two/net.onnx"], Axes(("exact",)))


def test_networks_of_equal_shape_are_known(trained):
    def shape(name: str) -> str:
        return shape_of(points([name], Axes(("exact",)))[0].config)

    same = {shape(f"quant_resnet8_w4a4{method}") for method in ("", "_a2q_12b", "_a2q_14b", "_a2q_plus_12b")}
    assert len(same) == 1
    others = ["quant_resnet8x1.5_w4a4_a2q_plus_12b", "quant_resnet8_w3a4", "quant_resnet20_w4a4", TFC, "net.onnx"]
    assert len(same | {shape(name) for name in others}) == 1 + len(others)
    assert shape("net.onnx") != shape("other/net.onnx")


def test_a_checkpoint_has_the_shape_that_its_record_says(trained, monkeypatch):
    path = trained / "trained" / "mnist_seed0" / "quant_tfc_w3a3_a2q_9b.pth"
    record = names.find("quant_tfc_w3a3_a2q_9b").as_record()
    path.write_bytes(b"no checkpoint")
    (config,) = (point.config for point in points([str(path)], Axes(("exact",))))
    assert shape_of(config) == str(path), "its build says what is wrong with it"
    monkeypatch.setattr("pipeline.compare.points.checkpoint_record", lambda _: json.loads(json.dumps(record)))
    (named,) = points(["quant_tfc_w3a3_a2q_8b"], Axes(("exact",)))
    assert shape_of(config) == shape_of(named.config)


def test_a_board_of_the_users_is_told_by_its_name_and_another_one_of_that_name_is_refused(tmp_path):
    text = (BOARDS / "kv260.yaml").read_text().replace("name: KV260\naliases: [KV260_SOM]", "name: Mine\naliases: []")
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    for path in (one, other):
        path.write_text(text)
    (point,) = points([TFC], Axes(policies=("exact",), boards=(str(one),)))
    assert (point.name, point.slug) == (f"{TFC} · exact · Mine · 20000 fps", f"{TFC}-exact-Mine-20000fps-seed0")
    assert axes_of(point)["board"] == "Mine"
    with pytest.raises(ConfigError, match=r"one.yaml and .*other.yaml are both called Mine. Rename one"):
        points([TFC], Axes(policies=("exact",), boards=(str(one), str(other))))
