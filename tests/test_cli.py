from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import BuildConfig
from pipeline.flow import BUILD_RECORD

runner = CliRunner()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def fails(*arguments: str) -> str:
    """The message on stderr of a command that must exit with 1 and no traceback."""
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.stderr


def test_help_names_the_commands() -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(
        command in result.output
        for command in (
            *("build", "compare", "models", "stages", "show", "train", "evaluate", "benchmark"),
            *("deploy", "validate", "board-sim", "boards"),
        )
    )


def test_models(elsewhere: Path) -> None:
    record = {"dataset": "fashion_mnist", "top1": 0.87654, "sparsity": 0.4, "largest_l1": 49}
    for name in ("quant_tfc_w3a3", "quant_tfc_w2a2"):  # the second name means the repository's own
        folder = elsewhere / "trained" / f"fashion_mnist_{name}_seed0"
        folder.mkdir(parents=True)
        (folder / f"{name}.json").write_text(json.dumps(record))
        (folder / f"{name}.pth").touch()
    result = runner.invoke(app, ["models"])
    assert result.exit_code == 0
    assert "quant_resnet8_w4a4_a2q_14b" in result.output and "quant_resnet18_w4a4_a2q_plus_16b" in result.output
    assert all(family in result.output for family in ("cnv", "mobilenetv1", "resnet152", "vgg19", "tfc"))
    assert re.search(r"quant_tfc_w3a3 +Fashion-MNIST +87\.7 % +40\.0 % +49 +trained", result.output)
    assert re.findall(r"quant_tfc_w2a2 +Fashion-MNIST +(\S+ %).* (\w+) *\n", result.output) == [("88.3 %", "here")]


def test_stages() -> None:
    result = runner.invoke(app, ["stages"])
    assert result.exit_code == 0
    assert all(name in result.output for name in ("resolve", "rtlsim", "target_fps"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["build", "quant_resnet8"],
            "error: There is no model called 'quant_resnet8'. Did you mean quant_resnet8_w4a4",
        ),
        (["build", "none.onnx"], "error: The model none.onnx cannot be read: No such file or directory."),
        (["build", "--board", "KV261"], "There is no board called 'KV261'. Choose one of: KV260"),
        (["build", "--target-fps", "-3"], "error: the command line: target_fps is '-3'; expected a number"),
        (["build", "--weights", "none"], "error: the command line: weights is 'none'; expected trained or synthetic."),
        (["build", "--config", "none.yaml"], "none.yaml cannot be read: No such file or directory."),
        (["build", "--until", "infer"], "error: There is no stage called 'infer'. The stages are: resolve, export"),
        (["deploy", "Pynq-Z2"], "error: The address of the Pynq-Z2 is missing: name it with --host"),
        (
            ["deploy", "Pynq-Z9", "--host", "10.0.0.9"],
            "error: There is no board called 'Pynq-Z9'. Choose one of: KV260",
        ),
        (["validate", "sim", "--host", "10.0.0.9"], "error: The simulated board is started here"),
        (
            ["board-sim", "none"],
            "error: There is no package in none: manifest.json is missing. A package is the folder deploy/ of a build",
        ),
        (["compare", "quant_resnet9_*"], "error: No quantized network matches 'quant_resnet9_*'."),
        (["compare", "--policy", "exakt"], "error: The accumulator policy 'exakt' is not known; choose exact, target,"),
        (["compare", "--board", "KV261"], "There is no board called 'KV261'. Choose one of: KV260"),
        (["compare", "none.onnx", "--bits", "12"], "error: --bits is given, but none.onnx has no P in its name"),
        (["boards", "KV261"], "error: There is no board called 'KV261'. Choose one of: KV260"),
        (["build", "m.onnx", "--weights", "synthetic"], "Synthetic weights are for named models."),
        (["show", "none"], "error: There is no build in none: none/report/build.json is missing. There are no builds"),
        (["train", "none.yaml"], "There is no file none.yaml. By name there are: base, cifar10_quant_cnv_w4a4,"),
        (["train", "some/none.yaml"], "some/none.yaml cannot be read: No such file or directory."),
        (["train", "cifar10_quant_cnv_w4"], "Did you mean cifar10_quant_cnv_w4a4?"),
        (["benchmark", "cifar10", "--out", "/proc/none"], "error: /proc/none: No such file or directory."),
        (["train", "cifar10_resnet8", "--epochs", "0"], "epochs is 0; expected a whole number of epochs of 1 or more."),
        (["benchmark", "none"], "There is no file none. By name there are: cifar10, cifar10_resnet18,"),
        (["evaluate", "none.pth"], "error: There is no checkpoint none.pth."),
        (["evaluate", "none.onnx"], "error: none.onnx does not say what data it is for. Name a data set,"),
        (["export", "quant_resnet20_w4a4"], "error: There is no checkpoint of quant_resnet20_w4a4 here. Train it"),
    ],
)
def test_what_goes_wrong_is_a_message(arguments: list[str], message: str) -> None:
    assert message in fails(*arguments)


def test_a_truncated_file(elsewhere: Path) -> None:
    (elsewhere / "net.onnx").write_bytes(b"\x08\x07\x12")
    assert "error: The model net.onnx is not a complete ONNX file" in fails("build", "net.onnx")


def test_a_truncated_file_with_tracebacks(elsewhere: Path) -> None:
    (elsewhere / "net.onnx").write_bytes(b"\x08\x07\x12")
    result = runner.invoke(app, ["build", "net.onnx", "--verbose"])
    assert result.exit_code == 1 and type(result.exception).__name__ == "ModelError"


def test_wrong_options_are_told_by_typer() -> None:
    assert runner.invoke(app, ["build", "--boards", "x"]).exit_code == 2


def test_show(elsewhere: Path) -> None:
    folder = elsewhere / "build" / "net"
    (folder / "report").mkdir(parents=True)
    stage = {"name": "resolve", "seconds": 1.25, "peak_mib": 300.4, "summary": "found [it]"}
    (folder / BUILD_RECORD).write_text(json.dumps({"stages": [stage]}))
    (folder / "summary.md").write_text("# net\n")
    for name in ("net", "build/net"):
        result = runner.invoke(app, ["show", name])
        assert result.exit_code == 0
        assert "# net" in result.output and "1.2 s" in result.output and "found [it]" in result.output
    assert "The builds in build/ are: net." in fails("show", "other")
    (folder / BUILD_RECORD).write_text("{")
    assert "is damaged" in fails("show", "net")


def test_nothing_heavy_is_imported_before_a_stage_runs() -> None:
    heavy = (
        "torch",
        "onnx",
        "qonnx",
        "brevitas",
        "finn",
        "sklearn",
        "matplotlib",
        "pyarrow",
        "psutil",
        "jinja2",
        "distributed",
    )
    script = f"import sys, pipeline.cli; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_default_model_is_the_configs() -> None:
    assert BuildConfig().model in runner.invoke(app, ["build", "--help"]).output
