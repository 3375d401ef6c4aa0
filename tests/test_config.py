from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.config import COMMAND_LINE, BuildConfig, command_line, config_for, load_config
from pipeline.errors import ConfigError
from pipeline.files import BUILD_CONFIGS
from pipeline.stages import STAGES


@pytest.fixture
def write(tmp_path: Path):
    def write_file(text: str, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file


@pytest.mark.parametrize("path", sorted(BUILD_CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_shipped_is_valid(path: Path) -> None:
    load_config(path)


@pytest.mark.parametrize(
    ("model", "stem"),
    [
        ("quant_resnet8_w4a4_a2q_14b", "quant_resnet8_w4a4"),
        ("trained/here/quant_resnet8_w4a4.pth", "quant_resnet8_w4a4"),
        ("quant_resnet18_w4a4_a2q_plus_12b", "quant_resnet18_w4a4"),
        ("quant_resnet20_w4a4", "base"),
        ("quant_tfc_w2a2", "quant_tfc"),
        ("some/where/TFC_2W2A.onnx", "TFC_2W2A"),
        ("some/where/else.onnx", "base"),
    ],
)
def test_the_file_of_a_model(model: str, stem: str) -> None:
    assert config_for(model) == BUILD_CONFIGS / f"{stem}.yaml"


def test_a_shipped_file_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With .yaml and without; a file of the user's comes first."""
    monkeypatch.chdir(tmp_path)
    expected = load_config(BUILD_CONFIGS / "quant_tfc.yaml")
    assert load_config("quant_tfc.yaml") == load_config("quant_tfc") == expected != BuildConfig()
    Path("quant_tfc").write_text("seed: 7\n")
    assert load_config("quant_tfc") == BuildConfig(seed=7)
    Path("mine.yaml").write_text("inherit: quant_tfc.yaml\nseed: 7\n")
    assert load_config("mine.yaml").seed == 7
    with pytest.raises(ConfigError, match="configuration .*mine cannot be read"):
        load_config("mine")


def test_defaults_are_those_of_the_base_file() -> None:
    assert load_config(BUILD_CONFIGS / "base.yaml") == BuildConfig()


def test_every_option_is_read_by_a_stage() -> None:
    read = {name.partition(".")[0] for stage in STAGES for name in stage.reads}
    assert read == set(BuildConfig.model_fields)
    for stage in STAGES:
        BuildConfig().as_json(stage.reads)
    for name, field in BuildConfig.model_fields.items():
        assert field.description, name
        if isinstance(field.default, BaseModel):
            assert all(inner.description for inner in type(field.default).model_fields.values()), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modell: x", "there is no option 'modell'. Did you mean model[?] The options are: model, weights"),
        ("accumulators: {polcy: l1}", "there is no option 'polcy' in accumulators. Did you mean policy[?]"),
        (
            "accumulators: {policy: foo}",
            "accumulators.policy is 'foo'; expected one of exact, target, l1, a2q_plus, datatype or",
        ),
        ("accumulators: {policy: 'fixed:64'}", "accumulators.policy is 'fixed:64'; expected one of"),
        ("accumulators: {layers: {conv1: x}}", "accumulators.layers.conv1 is 'x'; expected a mapping"),
        ('model: "net.onnx\\nx"', "model is .*net.onnx.nx'; expected a model's name or a path"),
        ('folding_config_file: "a\\tb"', "folding_config_file is '/.*a.tb'; expected a path to a folding file"),
        (
            'mvau_style: {"MVAU_0\\n": sparse}',
            "mvau_style is {'MVAU_0.n': 'sparse'}; expected folded, unrolled, sparse, dsp",
        ),
        (f"model: {'x' * 3000}", "model is 'xxx.*…; expected a model's name or a path"),
        (
            "target_fps: 0",
            "target_fps is 0; expected a number of frames a second above 0 and up to 1e9, or max for as many",
        ),
        ("target_fps: .nan", "target_fps is nan; expected a number of frames a second above 0 and up to 1e9, or max"),
        ("golden_frames: 0", "golden_frames is 0; expected a whole number of frames from 1 to 10000."),
        ("synth_clk_period_ns: -5", "synth_clk_period_ns is -5; expected a clock period in nanoseconds"),
        ("weights: trainned", "weights is 'trainned'; expected trained or synthetic."),
        (
            "target_fps: fast",
            "target_fps is 'fast'; expected a number of frames a second above 0 and up to 1e9, or max",
        ),
        (
            "mvau_style: fold",
            "mvau_style is 'fold'; expected folded, unrolled, sparse, dsp or auto, or a mapping of layers",
        ),
        ("ram_style: uram", "ram_style is 'uram'; expected auto, distributed, block or ultra, or a mapping of layers"),
        ("ram_style: {MVAU_3: x}", "ram_style is {'MVAU_3': 'x'}; expected auto, distributed, block or ultra"),
        ("preferred_impl_style: vhdl", "preferred_impl_style is 'vhdl'; expected rtl or hls, or a mapping of layers"),
        ("preferred_impl_style: {MVAU: x}", "preferred_impl_style is {'MVAU': 'x'}; expected rtl or hls, or a mapping"),
        ("mvau_style: {MVAU_3: x}", "mvau_style is {'MVAU_3': 'x'}; expected folded, unrolled, sparse, dsp or auto"),
        ("simulation: {stall_seed: x}", "simulation.stall_seed is 'x'; expected a whole number of 0 or more."),
        ("verify: {gate_level: often}", "verify.gate_level is 'often'; expected true or false"),
        ("verify: {frames: 0}", "verify.frames is 0; expected a whole number of frames from 1 to 100"),
        (
            "timing: {seeds: 0}",
            "timing.seeds is 0; expected a whole number of seeds of the open place and route, from 1",
        ),
        ("timing: {place_and_route: fast}", "timing.place_and_route is 'fast'; expected true or false"),
        ("simulation: {cppsim_frames: true}", "simulation.cppsim_frames is true; expected a whole number of frames"),
        ("board: false", "board is false; expected a board of hw/boards"),
        ("board: [KV260]", r"board is \['KV260'\]; expected a board of hw/boards"),
        ("fpga_part: {a: b}", "fpga_part is {'a': 'b'}; expected the part of `board`, or without one"),
        ("model: [a, b]", r"model is \['a', 'b'\]; expected a model's name or a path"),
        ("target_fps: [1]", r"target_fps is \[1\]; expected a number of frames a second"),
        ("target_fps: true", "target_fps is true; expected a number of frames a second above 0 and up to 1e9, or max"),
        ("check_overflow: 1", "check_overflow is 1; expected true or false"),
        ("check_overflow: 'true'", "check_overflow is 'true'; expected true or false"),
        ("simulation: 3", "simulation is 3; expected a mapping of frames, cppsim_frames and stall_seed."),
        ("board: KV261", "There is no board called 'KV261'. Choose one of: AUP-ZU3"),
        ("board: nowhere.yaml", "The board file .*/nowhere.yaml cannot be read: No such file or directory"),
        (
            "fpga_part: xck26-sfvc784-2LV-c",
            "'xck26-sfvc784-2LV-c', which KR260 and KV260 carry. Say which one is meant",
        ),
        ("fpga_part: xc7", "fpga_part is 'xc7', which no board of"),
        ("{board: KV260, fpga_part: xc7z020clg400-1}", "the board KV260 carries xck26-sfvc784-2LV-c"),
        ("- 1", "holds a list; expected keys and values."),
        ("a: [", r"is not YAML: line 1, column 5: expected .* but found"),
        ("inherit: 3", "inherit is 3; expected the path of another configuration."),
        ('inherit: "a\\nb"', r"inherit is 'a.nb'; expected the path of another configuration."),
        ("inherit: config.yaml", "inherits from itself"),
        ("inherit: sub/../config.yaml", "inherits from itself, by way of .*config.yaml. Take one"),
        ("inherit: nowhere.yaml", "which .*config.yaml inherits from, cannot be read: No such file or directory."),
    ],
)
def test_what_cannot_be_used(write, text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "config.yaml" in str(caught.value)


def test_an_override_is_named_as_such(write) -> None:
    with pytest.raises(ConfigError, match="^what is given over the file: target_fps is -1.0; expected"):
        load_config(write("{}"), {"target_fps": -1.0})


def test_an_empty_file_is_refused(write) -> None:
    with pytest.raises(ConfigError, match="config.yaml is empty; expected keys and values, or {} for none"):
        load_config(write("# target_fps: 5"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"targt_fps": 3}, "^BuildConfig: there is no option 'targt_fps'. Did you mean target_fps"),
        ({"seed": "abc"}, "^BuildConfig: seed is 'abc'; expected a whole number"),
        ({"accumulators": {3: "l1"}}, "^BuildConfig: there is no option '3' in accumulators"),
        ({"board": "KV261"}, "^There is no board called 'KV261'"),
    ],
)
def test_what_cannot_be_built_is_no_configuration(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BuildConfig(**values)
    with pytest.raises(ConfigError, match=message):
        BuildConfig().model_copy(update=values)


def test_a_copy_is_verified_as_the_first_was() -> None:
    config = BuildConfig(seed=2, accumulators={"per_pe": True}, synth_clk_period_ns=4)
    copy = config.model_copy(update={"board": Path("Pynq-Z2"), "accumulators": {"policy": "l1"}})
    assert copy == BuildConfig(seed=2, accumulators={"per_pe": True, "policy": "l1"}, board="Pynq-Z2")
    assert config.model_copy() == config


def test_overrides_that_are_none_and_paths_that_are_none_are_refused(write) -> None:
    with pytest.raises(ConfigError, match="^what is given over the file is 'seed=1'; expected a mapping"):
        load_config(write(""), "seed=1")
    for path in (3, "", "a\0b"):
        with pytest.raises(ConfigError, match="^config is .*; expected a path"):
            load_config(path)
    with pytest.raises(ConfigError, match=r"^pipeline.build: there is no option '3' in accumulators"):
        load_config(write("accumulators: {policy: l1}"), {"accumulators": {3: "l1"}}, "pipeline.build")


@pytest.mark.parametrize("text", ["0,255", "[0,255]", "[0, 255]", "(0, 255)"])
def test_an_input_range_in_each_form_of_a_command_line(text: str) -> None:
    assert BuildConfig(input_range=text).input_range == (0, 255)


def test_settings_of_the_command_line_go_before_the_file(write, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write("{seed: 4, simulation: {frames: 5, stall_seed: 6}, mvau_style: folded}")
    settings = (
        *("simulation.frames=3", "accumulators.layers.layer1.conv1=l1", "accumulators.bits=12", "weights='synthetic'"),
        *("mvau_style.MVAU_3=sparse", "check_overflow=true", "input_range=[0, 255]", "golden_inputs=in.npy"),
    )
    config = load_config(path, command_line(settings, {"seed": 7, "board": None}))
    assert (config.seed, config.simulation.frames, config.simulation.stall_seed) == (7, 3, 6)
    assert config.accumulators.layers == {"layer1.conv1": "l1"} and config.accumulators.bits == 12
    assert config.weights == "synthetic" and config.mvau_style == {"MVAU_3": "sparse"} and config.check_overflow
    assert config.input_range == (0, 255) and config.golden_inputs == tmp_path / "in.npy"
    assert load_config(path, command_line(["golden_inputs=null"], {})).golden_inputs is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["simulation.frames=0"],
            "^the command line: simulation.frames is 0; expected a whole number of frames from 1",
        ),
        (
            ["simulation.framez=3"],
            "^the command line: there is no option 'framez' in simulation. Did you mean frames[?]",
        ),
        (["nothing.at.all=3"], "^the command line: there is no option 'nothing'"),
        (["seed.more=3"], "^the command line: seed is {'more': 3}; expected"),
        (
            ["seed=null"],
            "^the command line: seed is null, which is no value; expected a whole number .* Leave seed out for the default",
        ),
        (["inherit=base.yaml"], "^the command line: there is no option 'inherit'"),
        (
            ["simulation=3"],
            "^the command line: simulation is 3; expected a mapping of frames, cppsim_frames and stall_seed",
        ),
        (["mvau_style.MVAU_3=x"], "^the command line: mvau_style is {'MVAU_3': 'x'}; expected folded"),
        (["accumulators.layers.conv1=x"], "^the command line: accumulators.layers.conv1 is 'x'; expected a mapping"),
        (["board=KV261"], "^the command line: There is no board called 'KV261'"),
        (["fpga_part=xc7"], "^the command line: fpga_part is 'xc7', which no board of"),
        (["synth_clk_period_ns=999"], "^the command line: .*synth_clk_period_ns"),
        (["seed"], "^the command line: --set is given 'seed'; expected NAME=VALUE"),
        (["=3"], "^the command line: --set is given '=3'; expected NAME=VALUE"),
        (["seed=1", "seed=2"], "^the command line: --set gives 'seed' twice"),
        (["simulation=3", "simulation.frames=3"], "^the command line: --set gives 'simulation.frames' twice"),
        (["simulation.frames=3", "simulation={}"], "^the command line: --set gives 'simulation' twice"),
        (["target_fps=3"], "^the command line: target_fps is given by --set and in another way"),
        (["seed=["], "^the command line: --set seed is not YAML: line 1"),
        (
            ["weights=on"],
            "^the command line: --set weights, line 1, column 1: readers of YAML differ in what 'on' means",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_as_of_the_command_line(write, settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write("{simulation: {frames: 5}}"), command_line(settings, {"target_fps": "5"}), COMMAND_LINE)


def test_what_the_file_says_wrong_is_not_laid_on_the_command_line(write) -> None:
    path = write("simulation: {frames: 0}")
    with pytest.raises(ConfigError, match=r"config\.yaml: simulation\.frames is 0"):
        load_config(path, command_line(["simulation.stall_seed=1"], {}))
    path = write("board: KV261")
    with pytest.raises(ConfigError, match=r"config\.yaml: There is no board called 'KV261'"):
        load_config(path, command_line(["synth_clk_period_ns=4"], {}))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_inheritance_merges_sections(write) -> None:
    write("{target_fps: 5, accumulators: {policy: l1, per_pe: true}}", "base.yaml")
    config = load_config(write("{inherit: base.yaml, accumulators: {policy: 'fixed:32'}}"))
    assert config.target_fps == 5
    assert config.accumulators.policy == "fixed:32" and config.accumulators.per_pe


def test_a_wrong_value_is_looked_for_where_it_is_written(write, tmp_path: Path) -> None:
    write("simulation: {frames: 0}", "base.yaml")
    write("inherit: base.yaml", "middle.yaml")
    path = write("{inherit: middle.yaml, target_fps: 5}")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(
        f"{path}, which inherits from {tmp_path / 'base.yaml'}: simulation.frames is 0;"
    )


def test_a_long_line_of_parents_is_refused(write) -> None:
    for number in range(17):
        write(f"inherit: c{number + 1}.yaml", f"c{number}.yaml")
    write("target_fps: 5", "c17.yaml")
    assert load_config(write("inherit: c2.yaml")).target_fps == 5
    with pytest.raises(ConfigError, match=r"config\.yaml inherits from more than 16 files, one from another"):
        load_config(write("inherit: c0.yaml"))


def test_paths_are_relative_to_the_file(write, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write("{}", "sub/fold.json")
    write("{}", "sub/s.json")
    write(
        "{model: net.onnx, golden_inputs: in.npy, folding_config_file: fold.json, specialize_layers_config_file: s.json}",
        "sub/base.yaml",
    )
    config = load_config(write("inherit: sub/base.yaml"))
    folder = tmp_path / "sub"
    assert config.model == str(folder / "net.onnx")
    assert config.golden_inputs == folder / "in.npy" and config.folding_config_file == folder / "fold.json"
    assert config.specialize_layers_config_file == folder / "s.json"


def test_files_of_finn_are_read_at_once(write) -> None:
    write('{"MVAU_0": {"PE": [2]}}', "fold.json")
    with pytest.raises(ConfigError, match=r"folding file .*fold\.json has MVAU_0.PE = \[2\]"):
        load_config(write("folding_config_file: fold.json"))
    write('{"MVAU_0": {"preferred_impl_style": 3}}', "styles.json")
    with pytest.raises(ConfigError, match=r"file .*styles\.json has MVAU_0.preferred_impl_style = 3"):
        load_config(write("specialize_layers_config_file: styles.json"))
    with pytest.raises(ConfigError, match=r"folding file .*none\.json cannot be read: No such file"):
        load_config(write("folding_config_file: none.json"))


def test_the_board_brings_part_and_clock(write) -> None:
    assert BuildConfig().fpga_part == "xck26-sfvc784-2LV-c" and BuildConfig().synth_clk_period_ns == pytest.approx(
        10 / 3
    )
    path = write("{board: KV260, synth_clk_period_ns: 4}")
    assert load_config(path).synth_clk_period_ns == 4
    other = load_config(path, {"board": "pynq-z1"})
    assert (other.board, other.fpga_part, other.synth_clk_period_ns) == ("Pynq-Z1", "xc7z020clg400-1", 10.0)
    by_part = load_config(write("{inherit: config.yaml, fpga_part: xczu7ev-ffvc1156-2-e}", "part.yaml"))
    assert by_part.board == "ZCU104"


def test_fields_as_json_are_the_same_text_for_the_same_values() -> None:
    config = BuildConfig(golden_inputs="in.npy")
    text = config.as_json(("simulation.frames", "accumulators", "golden_inputs"))
    assert json.loads(text) == {
        "accumulators": {"policy": "exact", "per_pe": False, "layers": {}, "bits": None},
        "simulation.frames": 10,
        "golden_inputs": "in.npy",
    }
    assert config.as_json(("golden_inputs", "accumulators", "simulation.frames")) == text
