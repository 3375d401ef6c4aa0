"""FINN's settings as a configuration."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import finn
import numpy as np
import pytest
import yaml
from finn.builder.build_dataflow_config import DataflowBuildConfig, default_build_dataflow_steps
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import BuildConfig, load_config
from pipeline.devices.boards import load_board
from pipeline.errors import ConfigError
from pipeline.finn.releases import RELEASES
from pipeline.finn.settings import SETTINGS
from pipeline.folding.impl_styles import StylesFile

# with the keys of FINN's examples: a tutorial of FINN's, and what a release writes of a whole board build
TUTORIAL = {
    "output_dir": "output_net", "target_fps": 5000, "mvau_wwidth_max": 1000, "synth_clk_period_ns": 5.0,
    "board": "Pynq-Z2", "standalone_thresholds": False, "folding_config_file": "folding.json",
    "shell_flow_type": "vivado_zynq", "verify_save_rtlsim_waveforms": True, "fifosim_save_waveform": True, "debug_fifo": True,
    "verify_steps": ["initial_python", "stitched_ip_rtlsim"], "generate_outputs": ["estimate_reports", "bitfile"],
}  # fmt: skip
OLDER = {
    "output_dir": "out", "synth_clk_period_ns": 10.0, "generate_outputs": ["stitched_ip"], "fpga_part": "xc7z020clg400-1",
    "board": "Pynq-Z1", "target_fps": None, "default_mem_mode": "decoupled", "force_rtl_conv_inp_gen": True,
    "folding_config_file": None, "auto_fifo_depths": False, "rtlsim_batch_size": 3, "minimize_bit_width": True,
    "vitis_opt_strategy": "default", "verify_input_npy": "missing.npy", "steps": ["step_tidy_up"],
}  # fmt: skip
MODEL = {"model": "quant_tfc_w2a2"}


def written(folder: Path, values: dict) -> Path:
    (folder / "folding.json").write_text(json.dumps({"Defaults": {}, "MatrixVectorActivation_0": {"PE": 2, "SIMD": 4}}))
    (folder / "dataflow_build_config.json").write_text(json.dumps(values))
    return folder / "dataflow_build_config.json"


def test_what_has_a_meaning_is_taken_and_all_else_is_named(tmp_path):
    notes: list[str] = []
    config = load_config(written(tmp_path, TUTORIAL), {"seed": 3, **MODEL}, on_note=notes.append)
    assert (config.board, config.synth_clk_period_ns, config.target_fps, config.seed) == ("Pynq-Z2", 5.0, 5000.0, 3)
    assert config.folding_config_file == tmp_path / "folding.json"
    assert config.golden_inputs == tmp_path / "input.npy"  # what FINN verifies with
    (note,) = notes
    assert note == (
        f"{tmp_path}/dataflow_build_config.json: FINN's settings; taken are board, synth_clk_period_ns, target_fps, "
        "folding_config_file, verify_input_npy as golden_inputs; without effect here: output_dir, mvau_wwidth_max, standalone_thresholds, "
        "shell_flow_type, verify_save_rtlsim_waveforms, fifosim_save_waveform, debug_fifo, verify_steps, generate_outputs"
    )


def test_settings_of_older_releases_and_their_nulls(tmp_path):
    config = load_config(written(tmp_path, OLDER), MODEL)
    assert (config.board, config.fpga_part, config.synth_clk_period_ns) == ("Pynq-Z1", "xc7z020clg400-1", 10.0)
    assert (config.target_fps, config.folding_config_file, config.golden_inputs) == (1000.0, None, None)


@pytest.mark.parametrize("name", ["KV260_SOM", "ZCU104", "Ultra96-V2", "RFSoC2x2", "U250", "AUP-ZU3_8GB"])
def test_boards_go_by_finns_names(tmp_path, name):
    from finn.util.basic import part_map

    config = load_config(written(tmp_path, {"generate_outputs": [], "board": name}), MODEL)
    assert load_board(config.board).part == part_map[name]


def test_settings_may_be_inherited_from(tmp_path):
    written(tmp_path, TUTORIAL)
    (tmp_path / "own.yaml").write_text("inherit: dataflow_build_config.json\ntarget_fps: 20\nmodel: quant_tfc_w2a2\n")
    assert load_config(tmp_path / "own.yaml").target_fps == 20
    (tmp_path / "finn.yaml").write_text("generate_outputs: [stitched_ip]\nsynth_clk_period_ns: 4.0\nboard: ZCU104\n")
    assert load_config(tmp_path / "finn.yaml", MODEL).synth_clk_period_ns == 4.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"output_dir": "o", "targt_fps": 3}, "targt_fps' is no setting of FINN's builds, .* as it has output_dir. Did you mean target_fps"),
        ({"steps": [], "board": "VCK190"}, "VCK190"),
        ({"steps": [], "target_fps": "many"}, "dataflow_build_config.json: target_fps is 'many'; expected"),
        ({"steps": [], "folding_config_file": "none.json"}, "none.json"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_an_error(tmp_path, values, message):
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, values), MODEL)


def test_the_model_is_named_by_finn_plus_settings_or_beside_them(tmp_path):
    assert load_config(written(tmp_path, {"steps": [], "model_path": "net.onnx"})).model == str(tmp_path / "net.onnx")
    with pytest.raises(
        ConfigError, match=r"dataflow_build_config.json: FINN's settings name no model, .* a2q build model.onnx"
    ):
        load_config(written(tmp_path, {"steps": []}))


def test_the_names_are_those_of_finn_plus():
    assert {field.name for field in fields(DataflowBuildConfig)} <= set(SETTINGS)
    steps = {step for release in RELEASES if release.name.startswith("finn-plus") for step in release.steps}
    assert steps <= set(default_build_dataflow_steps)


def test_the_command_line_says_what_it_takes(tmp_path):
    np.save(tmp_path / "input.npy", np.linspace(0, 1, 784, dtype=np.float32).reshape(1, 1, 28, 28))
    path = written(tmp_path, {**TUTORIAL, "folding_config_file": None})
    arguments = ["build", "quant_tfc_w2a2", "--config", str(path), "--out", str(tmp_path / "b"), "--until", "resolve"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert (
        "FINN's settings; taken are board" in text and "golden frames: 1 frames of the user's file input.npy" in text
    ), text


DUT = Path(finn.__file__).parent / "benchmarking" / "dut"  # FINN's examples, as finn-plus measures them


@pytest.mark.parametrize(
    "name", ["bnn-pynq", "cybsec", "gtsrb", "kws", "mobilenetv1", "resnet18", "resnet50", "transformer", "vgg10"]
)
def test_finns_own_examples_are_read(tmp_path, name):
    text = (DUT / f"{name}.yml").read_text()
    (tmp_path / f"{name}.yml").write_text(text)
    values = yaml.safe_load(text)
    for key in ("folding_config_file", "specialize_layers_config_file"):
        if key in values:  # which are downloaded with the models
            path = tmp_path / values[key]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('{"Defaults": {}}')
    if "verify_steps" in values:
        np.save(tmp_path / "input.npy", np.zeros((1, 4), np.float32))
    notes: list[str] = []
    given = {} if "model_path" in values else MODEL
    config = load_config(tmp_path / f"{name}.yml", given, on_note=notes.append)
    if not given:
        assert config.model == str(tmp_path / values["model_path"])
    assert config.target_fps == values.get("target_fps", 1000)
    assert notes[0].partition("; without effect here: ")[2] == ", ".join(key for key in values if not SETTINGS[key])


def test_finns_own_file_of_styles_is_read():
    styles = StylesFile.load(DUT / "transformer_specialization.json")
    assert styles.defaults == {"MVAU": "rtl", "Thresholding": "rtl"} and not styles.layers


def test_no_setting_of_finns_is_an_option_of_another_meaning():
    assert not set(BuildConfig.model_fields) & {name for name, option in SETTINGS.items() if name != option}
