from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import BuildConfig, config_for, load_config
from pipeline.errors import InternalError
from pipeline.flow import BUILD_RECORD
from pipeline.stage import Context, Stage
from pipeline.stages import STAGES

TFC = "quant_tfc_w2a2"
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
            *("build", "compare", "models", "options", "stages", "show", "diff", "train", "evaluate", "benchmark"),
            *("deploy", "validate", "board-sim", "boards"),
        )
    )


def test_the_version_is_that_of_the_package() -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"a2q {importlib.metadata.version('a2q-pipeline')}\n")


def test_tables_fit_80_columns_of_a_terminal(elsewhere: Path) -> None:
    (elsewhere / "build" / "net" / "report").mkdir(parents=True)
    summary = (
        "10 frames of 10 classes exact, with and without stalls; 24633 cycles between frames, latency 30000 cycles"
    )
    stage = {"name": "accumulators", "seconds": 1234.5, "peak_mib": 12345.6, "summary": summary}
    (elsewhere / "build" / "net" / BUILD_RECORD).write_text(json.dumps({"stages": [stage]}))
    (elsewhere / "build" / "net" / "summary.md").write_text(f"# net\n\n| step | what |\n|:--|:--|\n| a | {summary} |\n")
    for command in (["models"], ["show", "net"]):
        for terminal in ("1", ""):
            environment = {"COLUMNS": "80", "FORCE_COLOR": terminal, "TERM": "dumb"}
            lines = runner.invoke(app, command, env=environment).output.splitlines()
            assert lines and "…" not in "".join(lines)
            if terminal or command == ["models"]:  # what is no terminal gets summary.md as it is
                assert max(map(len, lines)) <= 80
    words = " ".join(runner.invoke(app, ["show", "net"], env={"COLUMNS": "80", "FORCE_COLOR": "1"}).output.split())
    assert "accumulators 1234.5 s 12346 MiB 10 frames of 10 classes exact, with" in words


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
    families = ("cnv", "mobilenetv1", "resnet152", "vgg19", "tfc", "espcn_x2", "unet", "dscnn", "vgg10", "tinyyolo")
    assert all(family in result.output for family in families)
    assert re.search(r"quant_espcn_x2_w4a4_a2q_13b +BSD300 +30\.2 dB +release", result.output)
    assert re.search(r"quant_tfc_w3a3 +Fashion-MNIST +87\.7 % +40\.0 % +49 +trained", result.output)
    assert re.findall(r"quant_tfc_w2a2 +Fashion-MNIST +(\S+ %).* (\w+) *\n", result.output) == [("88.3 %", "here")]


def test_the_page_of_options_is_up_to_date(elsewhere: Path) -> None:
    result = runner.invoke(app, ["options"])
    assert result.exit_code == 0
    page = Path(__file__).parents[1] / "docs" / "options.md"
    assert page.read_text() == result.output, "make it anew: a2q options > docs/options.md"
    assert (
        "| `simulation.frames` | a whole number of frames from 1 to 10000 | `10` | finn, rtlsim |" in page.read_text()
    )


def test_a_setting_reaches_the_build_and_the_config_of_its_model(elsewhere: Path) -> None:
    settings = ("--set", "model=quant_tfc_w2a2", "--set", "golden_frames=4", "--set", "simulation.frames=3")
    result = runner.invoke(app, ["build", "--until", "resolve", "--out", "net", *settings])
    assert result.exit_code == 0, result.output
    config = json.loads((elsewhere / "net" / BUILD_RECORD).read_text())["config"]
    shipped = load_config(config_for("quant_tfc_w2a2"))
    assert (config["model"], config["golden_frames"], config["simulation"]["frames"]) == ("quant_tfc_w2a2", 4, 3)
    assert config["target_fps"] == shipped.target_fps != BuildConfig().target_fps


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
        (["build", "--board", "KV261"], "There is no board called 'KV261'. Choose one of: AUP-ZU3"),
        (["build", "--target-fps", "-3"], "error: the command line: target_fps is '-3'; expected a number"),
        (["build", "--target-fps", "1e12"], "'1e12'; expected a number of frames a second above 0 and up to 1e9"),
        (["build", "--set", "seed="], "error: the command line: --set is given 'seed='; expected NAME=VALUE"),
        (["build", "--out", ""], "error: a path on the command line is ''; expected a path."),
        (["compare", "none.onnx"], "error: There is no file"),
        (["compare", TFC, "--work", __file__], f"error: {__file__} is a file; expected a folder."),
        (["build", "--weights", "none"], "error: the command line: weights is 'none'; expected trained or synthetic."),
        (["build", "--config", "none.yaml"], "none.yaml cannot be read: No such file or directory."),
        (["build", "--until", "infer"], "error: There is no stage called 'infer'. The stages are: resolve, export"),
        (["deploy", "Pynq-Z2"], "error: The address of the Pynq-Z2 is missing: name it with --host"),
        (
            ["deploy", "Pynq-Z9", "--host", "10.0.0.9"],
            "error: There is no board called 'Pynq-Z9'. Choose one of: AUP-ZU3",
        ),
        (["validate", "sim", "--host", "10.0.0.9"], "error: The simulated board is started here"),
        (
            ["board-sim", "none"],
            "error: There is no package in none: manifest.json is missing. A package is the folder deploy/ of a build",
        ),
        (["compare", "quant_resnet9_*"], "error: No quantized network matches 'quant_resnet9_*'."),
        (["compare", "--policy", "exakt"], "error: The accumulator policy 'exakt' is not known; choose exact, target,"),
        (["compare", "--board", "KV261"], "There is no board called 'KV261'. Choose one of: AUP-ZU3"),
        (["compare", "none.onnx", "--bits", "12"], "error: --bits is given, but none.onnx has no P in its name"),
        (
            ["deploy", "sim", "--set", "simulation.frame=3"],
            "error: the command line: there is no option 'frame' in simu",
        ),
        (["validate", "sim", "--set", "seed=x"], "error: the command line: seed is 'x'; expected a whole number"),
        (["build", "--set", "seed"], "error: the command line: --set is given 'seed'; expected NAME=VALUE"),
        (["compare", "--set", "seed=x"], "error: the command line: seed is 'x'; expected a whole number"),
        (["compare", "--set", "accumulators.policy=l1"], "error: --set gives accumulators.policy, in which the builds"),
        (
            ["compare", "--seed", "1", "--set", "seed=2"],
            "error: the command line: seed is given by --set and in another",
        ),
        (["boards", "KV261"], "error: There is no board called 'KV261'. Choose one of: AUP-ZU3"),
        (["build", "m.onnx", "--weights", "synthetic"], "Synthetic weights are for named models."),
        (["show", "none"], "error: There is no build in none: none/report/build.json is missing. There are no builds"),
        (
            ["train", "none.yaml"],
            "There is no file none.yaml. By name there are: base.yaml, cifar10_mobilenetv1x0.25.yaml,",
        ),
        (["train", "some/none.yaml"], "some/none.yaml cannot be read: No such file or directory."),
        (["train", "cifar10_quant_cnv_w4"], "Did you mean cifar10_quant_cnv_w4a4.yaml?"),
        (["benchmark", "cifar10", "--out", "/proc/none"], "error: /proc/none: No such file or directory."),
        (["build", "quant_tfc_w2a2", "--out", __file__], f"error: {__file__} cannot be written: File exists."),
        (
            ["build", "quant_tfc_w2a2", "--out", f"{__file__}/x"],
            f"error: {__file__}/x cannot be written: Not a directory.",
        ),
        (["train", "cifar10_resnet8", "--epochs", "0"], "epochs is 0; expected a whole number of epochs of 1 or more."),
        (["benchmark", "none"], "There is no file none. By name there are: cifar10.yaml, cifar10_resnet18.yaml,"),
        (["benchmark", "tabels"], "Did you mean tables.yaml?"),
        (["benchmark", "resnet8_w4a4_adaround"], "has neither `quantize`, from which its rows"),
        (["quantize", "none.yaml"], "error: There is no file none.yaml. By name there are: cnv_tables.yaml,"),
        (
            ["quantize", "net.py"],
            "error: the command line: network is net.py; expected a float network of `a2q models`",
        ),
        (
            ["quantize", "net.py:Net", "--input-shape", "16,16"],
            "input_shape is ['16', '16']; expected null, or channels, height",
        ),
        (
            ["quantize", "resnet8", "--out", __file__],
            f"error: {__file__} cannot be written: File exists. Name another folder",
        ),
        (["quantize", "resnet8", "--method", "mse"], "error: the command line: method is 'mse'; expected"),
        (["evaluate", "none.pth"], "error: There is no checkpoint none.pth."),
        (["evaluate", "none.onnx"], "error: There is no file none.onnx. Give the path"),
        (["export", "quant_resnet20_w4a4"], "error: There is no checkpoint of quant_resnet20_w4a4 here. Train it"),
    ],
)
def test_what_goes_wrong_is_a_message(arguments: list[str], message: str) -> None:
    assert message in fails(*arguments)


def test_a_path_keeps_its_colons_and_one_stage_is_no_stages(elsewhere: Path) -> None:
    arguments = ["--weights", "synthetic", "--until", "resolve", "--out", "a:bug:b"]
    result = runner.invoke(app, ["build", TFC, *arguments])
    assert result.exit_code == 0 and "a:bug:b: 1 stage, " in result.output.splitlines()[-1]
    assert "a:smile:b" in fails("build", "a:smile:b.onnx")


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
    (folder / "summary.md").write_bytes(b"\xff")
    assert runner.invoke(app, ["show", "net"]).exit_code == 0
    for text in ("{", "[]", '{"stages": [1]}', '{"stages": [{"name": 1, "seconds": "x"}]}', "[" * 100_000):
        (folder / BUILD_RECORD).write_text(text)
        assert "is damaged" in fails("show", "net")


def test_show_opens_the_page(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = elsewhere / "build" / "net"
    (folder / "report").mkdir(parents=True)
    (folder / BUILD_RECORD).write_text("{}")
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: not opened.append(address))
    assert "report.html is missing: the build has not come to its stage report yet" in fails("show", "net", "--open")
    (folder / "report.html").write_text("<!DOCTYPE html>")
    assert runner.invoke(app, ["show", "net", "--open"]).exit_code == 0
    assert opened == [(folder / "report.html").as_uri()]
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert "No browser was found" in fails("show", "net", "--open")


def test_diff(elsewhere: Path) -> None:
    resources = dict.fromkeys(("LUT", "FF", "BRAM_18K", "URAM", "DSP"), 100)
    layer = {
        "name": "MVAU_0",
        "op_type": "MVAU",
        "source": "conv.weight",
        "accumulator": {"bits": 14},
        "folding": {"PE": 2},
        "resources": resources,
        "cycles": {"predicted": 9},
    }
    for name, pe in (("a", 2), ("b", 4)):
        folder = elsewhere / "build" / name
        (folder / "report").mkdir(parents=True)
        (folder / BUILD_RECORD).write_text("{}")
        graph = {"name": "net", "board": "KV260", "layers": [{**layer, "folding": {"PE": pe}}]}
        (folder / "report" / "graph.json").write_text(json.dumps(graph))
    result = runner.invoke(app, ["diff", "a", "b"])
    assert result.exit_code == 0 and "PE 2 → PE 4" in result.output and "0 layers are the same" in result.output
    assert "There is no build in c" in fails("diff", "a", "c")


def test_models_passes_over_records_that_are_none(elsewhere: Path) -> None:
    folder = elsewhere / "trained" / "x"
    folder.mkdir(parents=True)
    records = (
        "[]",
        '{"dataset": "none"}',
        '{"dataset": "cifar10", "top1": "x"}',
        '{"dataset": "cifar10", "top1": []}',
        "[" * 100_000,
    )
    for number, text in enumerate(records):
        name = f"quant_tfc_w{number + 2}a3"
        (folder / f"{name}.pth").touch()
        (folder / f"{name}.json").write_text(text)
    (folder / "quant_tfc_w8a3.pth").touch()
    os.mkfifo(folder / "quant_tfc_w8a3.json")
    result = runner.invoke(app, ["models"])
    assert result.exit_code == 0 and not re.search(r"quant_tfc_w\da3 ", result.output)


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


def broken(error: BaseException) -> tuple[Stage, ...]:
    """The stages of a build, of which the first fails with `error`."""

    def run(context: Context) -> str:
        print("it began")
        raise error

    return replace(STAGES[0], run=run), *STAGES[1:]


def test_a_fault_in_a_stage_is_a_sentence_and_a_log(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.api.STAGES", broken(AssertionError("left is [not] right\nsecond line")))
    monkeypatch.setattr(sys, "argv", ["a2q", "build", "quant_tfc_w2a2", "--out", "my build"])
    result = runner.invoke(app, sys.argv[1:])
    assert result.exit_code == 70
    log = elsewhere / "my build" / "logs" / f"{STAGES[0].name}.txt"
    assert result.stderr == (
        f"error: a2q build quant_tfc_w2a2 --out 'my build' broke off in the stage {STAGES[0].name} with AssertionError "
        "(left is [not] right second line): this is a fault of a2q, not of what it was given. Please report it with "
        f"{log}, which has the traceback.\n"
    )
    text = log.read_text()
    assert "it began" in text and "Traceback (most recent call last)" in text and "raise error" in text


def test_a_fault_elsewhere_is_a_sentence_and_a_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every command, also one that expects nothing to go wrong."""

    def fail() -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("pipeline.cli.model_table", fail)
    monkeypatch.setenv("A2Q_CACHE", str(elsewhere / "cache"))
    result = runner.invoke(app, ["models"])
    log = elsewhere / "cache" / "faults" / "RecursionError.txt"
    assert result.exit_code == 70
    assert "broke off with RecursionError (too deep): this is a fault of a2q" in result.stderr
    assert str(log) in result.stderr and len(result.stderr.splitlines()) == 1
    assert "in fail" in log.read_text()
    (elsewhere / "file").touch()
    monkeypatch.setenv("A2Q_CACHE", str(elsewhere / "file"))
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    monkeypatch.setattr("tempfile.tempdir", None)
    said = runner.invoke(app, ["models"]).stderr
    (other,) = elsewhere.glob("a2q-fault-*.txt")
    assert str(other) in said and "in fail" in other.read_text()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), f"error: The stage {STAGES[0].name} needs more memory than there is. End other programs"),
        (OSError(errno.EMFILE, "Too many open files"), "error: a2q"),
        (OSError(errno.ENOENT, "No such file or directory", "weights.bin"), "error: weights.bin: No such file"),
    ],
)
def test_what_the_machine_says_is_no_fault(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    monkeypatch.setattr("pipeline.api.STAGES", broken(error))
    said = fails("build", "quant_tfc_w2a2")
    assert said.startswith(message) and "fault of a2q" not in said and len(said.splitlines()) == 1


def test_tracebacks_of_faults_are_shown_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.api.STAGES", broken(AssertionError("this")))
    result = runner.invoke(app, ["build", "quant_tfc_w2a2", "--verbose"])
    assert type(result.exception) is InternalError and type(result.exception.__cause__) is AssertionError


def test_the_exit_codes_are_in_the_help() -> None:
    text = " ".join(runner.invoke(app, ["--help"]).output.split())
    assert all(
        code in text
        for code in ("0 all went well", "1 what was given", "2 an unknown option", "70 a fault", "130 inter")
    )


def shell(line: str) -> tuple[int, str]:
    """The exit status of a line for bash, and what was written to stderr."""
    root = Path(__file__).parents[1]
    a2q = f"{sys.executable} -c 'from pipeline.cli import app; app()'"
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'hw' / 'driver'}"}
    done = subprocess.run(
        ["bash", "-c", line.replace("a2q", a2q)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def test_output_that_takes_nothing() -> None:
    assert shell("a2q boards | true") == (0, "")
    full = shell("a2q boards >/dev/full")
    assert full == (1, "error: a2q boards: No space left on device.\n")
    assert shell("a2q boards >&-") == (0, "")
    assert shell("a2q boards none 2>&-") == (1, "")


def test_an_output_that_cannot_show_a_character() -> None:
    assert shell("PYTHONIOENCODING=ascii a2q models >/dev/null") == (0, "")
    status, said = shell("a2q build $'\\xff.onnx'")
    assert status == 1 and "Traceback" not in said and len(said.splitlines()) == 1
