"""Every command in README and docs is run here as far as that is quick, or has the reason why it is not.

A command of `a2q` is given to the command line itself, which finds names, reads configurations and validates options. Then a
build stops after its first stage, an evaluation has a few images, and what takes minutes or hours begins, with all that it was
told, and is stopped: trainings, quantizations, comparisons. What `make` would run is a command of `a2q` again.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import onnx
import pytest
import torch
from brevitas.quant import Int8WeightPerTensorFloat, Uint8ActPerTensorFloat
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import pipeline
from pipeline import cli
from pipeline.compare import command as compare_command
from pipeline.compare.points import points
from pipeline.datasets import catalog
from pipeline.datasets.image_set import ImageSet
from pipeline.errors import A2QError
from pipeline.files import BOARDS
from pipeline.finn.model import to_finn
from pipeline.models import resolve
from pipeline.models.names import find, spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.registry import image_network
from pipeline.models.synthetic import fill
from pipeline.report.graph import network_graph
from pipeline.training.checkpoints import save_checkpoint
from tests.dataflow.residual import residual_network
from tests.report.sample import sample_facts

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "hw" / "README.md",
    ROOT / "hw" / "driver" / "README.md",
)

# what is no command of `a2q`, `make` or a Python of this repository, by how it begins, and why it is not run here
NOT_RUN = {
    r"(ssh|scp|sudo) ": "runs on a board, or copies to one",
    r"python3? (validate|driver)\.py": "runs on a board; tests/driver runs both on the simulated board",
    r"cd ": "goes to a folder of a build, or of a board",
    r"git clone ": "needs a network",
    r"pip install ": "needs a network; tests/test_wheel.py installs the wheel",
    r"dask ": "starts a cluster; tests/compare/test_run.py has one",
    r"\.venv/bin/python on_(slurm|kubernetes)\.py": "needs a cluster, and the package that starts its workers",
    r"finn build ": "needs Vivado; tests/finn runs FINN on what it is given",
    r"vitis(_hls|-run) ": "needs Vitis HLS; tests/tools runs a stand-in",
    r"python net\.py": "tests/test_readme.py runs it",
    r"make (setup|test|test-quick|lint|docs|bench)$": "makes environments or runs the tests themselves; that it is there is checked",
    r"a2q quantize vit_b_32 ": "needs the weights that torchvision publishes",
}

_PROGRAMS = r"(?:a2q|make|python3?|pip|uv|dask|docker|helm|kubectl|finn|git|ssh|scp|sudo|cd|bash|vivado|vitis[\w-]*|curl|wget|apt(?:-get)?|\.?\.?/?\.venv/bin/\w+)"
_LINE = re.compile(rf"^ {{4,}}({_PROGRAMS} .*)$", re.MULTILINE)
_INLINE = re.compile(r"`((?:a2q|make|python3?) [^`]+)`")
STANDS_FOR = {"FILE": "net.onnx", "DATA": "data.npz"}
_LEFT_OUT = ("…", "...", "<file>")


def commands(text: str) -> list[str]:
    """Those of a page: lines of code that begin with a program, and commands in a sentence that nothing is left out of."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [re.sub(r"\s+#\s.*$", "", line).rstrip("\\ ") for line in _LINE.findall(text)]
    inline = [" ".join(code.split()) for code in _INLINE.findall(text)]
    return [*lines, *(code for code in inline if not any(mark in code for mark in _LEFT_OUT))]


COMMANDS = sorted({command for page in PAGES for command in commands(page.read_text())})


def reason(command: str) -> str | None:
    """Why `command` is not run; None where it is."""
    return next((why for begins, why in NOT_RUN.items() if re.match(begins, command)), None)


class Net(nn.Sequential):
    """A small quantized network of images of 3 × 32 × 32, by name that of docs/your_network.md."""

    def __init__(self) -> None:
        weights = {"weight_bit_width": 4, "weight_quant": Int8WeightPerTensorFloat}
        super().__init__(
            qnn.QuantIdentity(Uint8ActPerTensorFloat, return_quant_tensor=True),
            qnn.QuantConv2d(3, 4, 4, stride=8, bias=False, **weights),
            qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
            nn.Flatten(),
            qnn.QuantLinear(64, 10, bias=True, **weights),
        )


class FloatNet(nn.Sequential):
    """A float network of such images, by name that of docs/ptq.md."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 10),
        )  # fmt: skip


def trained(folder: Path, name: str, family: str, suffix: str, **more: Any) -> None:
    """A checkpoint as `a2q train` or `a2q quantize` leaves it, with weights that are drawn."""
    spec = spec_of(family, Quantization.parse(suffix), width=0.125)
    (folder / "trained" / name).mkdir(parents=True)
    network = image_network(spec)
    fill(network, resolve.drawn_frames(spec, 0, 4).frames, 0)
    save_checkpoint(network, folder / "trained" / name / f"{name}.pth", {**spec.as_record(), **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working directory with every file that a page speaks of."""
    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("docs")
    net = Net()
    net(torch.rand(8, 3, 32, 32))
    with chdir(folder):
        pipeline.export_qonnx(net.eval(), torch.rand(1, 3, 32, 32), "net.onnx", input_range=(0, 1))
    ptq = folder / "trained" / "ptq_Net_w4a4_gptq_axe_14b"
    without_record = onnx.load(folder / "net.onnx")
    del without_record.metadata_props[:]
    (folder / "subpixel").mkdir()
    for name in ("subpixel/quant_model.onnx", "qkeras_jettagging.onnx"):
        onnx.save(without_record, folder / name)
    for path in (
        folder / "digits.onnx",
        folder / "model.onnx",
        ptq / f"{ptq.name}.onnx",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / "net.onnx").read_bytes())
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), np.uint8)
    for name in ("data.npz", "digits.npz"):
        np.savez(folder / name, images=pixels, labels=np.arange(4))
    for place in ("photos", "pictures"):
        for label in range(4):
            (folder / place / str(label)).mkdir(parents=True)
            Image.fromarray(pixels[label].transpose(1, 2, 0)).save(folder / place / str(label) / "a.png")
    (folder / "finn").mkdir()
    network = residual_network()
    to_finn(network, network, 10**9).model.save(str(folder / "finn" / "model.onnx"))
    np.save(folder / "finn" / "input.npy", np.random.default_rng(0).integers(0, 4, (2, 6, 6, 4)))
    settings = {"output_dir": "out", "board": "Pynq-Z1", "synth_clk_period_ns": 10.0, "generate_outputs": []}
    (folder / "dataflow_build_config.json").write_text(json.dumps(settings))
    (folder / "net.py").write_text("from tests.test_docs_commands import FloatNet as Net\n")
    torch.save(FloatNet().state_dict(), folder / "net.pth")
    (folder / "my_network.py").write_text("from tests.test_docs_commands import Net\n")
    torch.save(net.state_dict(), folder / "checkpoint.pth")
    torch.save(image_network(find("resnet20")).state_dict(), folder / "resnet20-12fca82f.th")
    (folder / "path" / "to").mkdir(parents=True)
    board = re.sub(r"^aliases: .*", "aliases: [own]", (BOARDS / "kv260.yaml").read_text(), flags=re.MULTILINE)
    (folder / "path" / "to" / "mine.yaml").write_text(re.sub(r"^name: .*", "name: Mine", board, flags=re.MULTILINE))
    trained(folder, "quant_cnv_w4a4", "cnv", "w4a4")
    trained(folder, "ptq_resnet8_w3a3_gptq_bc_axe_12b", "resnet8", "w3a3", quantized_after_training="gptq")
    for name in ("quant_resnet8_w4a4_a2q_14b", "quant_resnet8_w4a4_a2q_12b", "A", "B"):
        report = folder / "build" / name / "report"
        report.mkdir(parents=True)
        (report / "build.json").write_text('{"stages": []}')
        (report / "graph.json").write_text(json.dumps(network_graph(sample_facts())))
        for page in ("summary.md", "report.html"):
            (report.parent / page).write_text("# a build\n")
        (report.parent / "deploy").mkdir()
    return folder


BEGUN = "what takes long was begun"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """What takes long is stopped when it begins; a build after its first stage."""

    def begin(*arguments: Any, **options: Any) -> None:
        raise A2QError(BEGUN)

    def first_stage(config: Any, *, out: Path | None, until: str | None, verbose: bool) -> Any:
        stages = [stage.name for stage in cli.STAGES]
        assert until is None or until in stages
        config = config.model_copy(update={"golden_frames": 2})
        return pipeline.build(config, out=folder / "built" / Path(config.model).stem, until="resolve", progress=False)

    def few(name: str, split: str, folder: Path | None = None, limit: int | None = None) -> ImageSet:
        data = catalog.find(name)
        if data.draw is not None:
            return data.draw(split, 4)
        pixels = np.random.default_rng(0).integers(0, 256, (4, *data.shape), np.uint8)
        return ImageSet(pixels, np.arange(4) % data.classes, "made-up test set", data.classes)

    monkeypatch.setattr(cli, "run_build", first_stage)
    monkeypatch.setattr(
        resolve, "_write_synthetic", lambda model, spec, seed, path: torch.save(model.state_dict(), path)
    )
    monkeypatch.setattr(catalog, "load", few)
    monkeypatch.setattr(cli.webbrowser, "open", lambda address: address.endswith("/report.html"))
    monkeypatch.setattr(compare_command, "points", lambda *arguments: [points(*arguments), begin()])
    for place in (
        "pipeline.deployment.validate_build",
        "pipeline.deployment.serve",
        "pipeline.training.fit.fit",
        "pipeline.training.benchmark.benchmark",
        "pipeline.quantize.quantize.source_of",
        "pipeline.quantize.user_network.user_source",
        "pipeline.quantize.command.make_tables",
    ):
        monkeypatch.setattr(place, begin)


def run_a2q(words: list[str], folder: Path) -> None:
    """Run the command line with `words`; a command that is named alone, and needs more, is one that there is."""
    words = [word.replace("build_configs/", f"{ROOT}/build_configs/") for word in words]  # as in a checkout
    with chdir(folder):
        result = CliRunner().invoke(cli.app, words)
    if BEGUN in result.output:
        return
    if len(words) == 1 and result.exit_code == 2:  # a mention of the command, without what it is for
        assert "Missing argument" in result.output, result.output
        return
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"


def run_make(words: list[str], folder: Path) -> None:
    """Run what `make` would run, if that is a2q; of others that there is such a target."""
    stamps = [folder / ".a2q-installed", folder / "board" / ".a2q-installed"]
    for stamp in stamps:
        stamp.parent.mkdir(exist_ok=True)
        stamp.touch()
    environments = [f"VENV={folder}", f"BOARD_VENV={folder / 'board'}", *(f"--assume-old={stamp}" for stamp in stamps)]
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *words, *environments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace("\\\n", " ").splitlines()
    run = [shlex.split(line)[1:] for line in lines if line.startswith(f"{folder}/bin/a2q ")]
    assert run or reason(f"make {words[0]}")
    for command in run:
        run_a2q(command, folder)


def check_python(words: list[str], _folder: Path) -> None:
    """A module or a file of this repository, whose options are in its source."""
    module = words[0] == "-m"
    name, *rest = words[1:] if module else words
    if name == "pytest":
        assert all((ROOT / word).exists() for word in rest if "/" in word)
        return
    spec = importlib.util.find_spec(name) if module else None
    source = Path(spec.origin) if spec and spec.origin else ROOT / name
    assert source.is_file()
    if source.name == "__init__.py":
        source = source.with_name("__main__.py")
    text = source.read_text()
    assert all(f'"{word}"' in text for word in rest if word.startswith("-"))


PROGRAMS: dict[str, Callable[[list[str], Path], None]] = {
    "a2q": run_a2q,
    "make": run_make,
    "python": check_python,
    ".venv/bin/python": check_python,
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("command", [command for command in COMMANDS if not reason(command)])
def test_a_command_of_the_docs_is_what_the_program_takes(command: str, folder: Path, short: None) -> None:
    program, *words = (STANDS_FOR.get(word, word) for word in shlex.split(command.replace("<address>", "192.168.2.99")))
    assert program in PROGRAMS, f"{command}: no test runs it, and NOT_RUN has no reason why not"
    PROGRAMS[program](words, folder)


def test_every_reason_is_of_a_command() -> None:
    assert [begins for begins in NOT_RUN if not any(re.match(begins, command) for command in COMMANDS)] == []


def test_commands_that_are_wrong_are_found(folder: Path, short: None) -> None:
    for command in (
        "a2q build quant_resnet8_w4a4_a2q_99b",
        "a2q build --set simulation.framez=20",
        "a2q compare --policy exakt",
        "a2q bild",
        "a2q train no_such_file",
        "a2q quantize resnet8 --method foo",
        "make build CONFIG=no_such.yaml",
        "make biuld",
        "python benchmarks/mutationz.py",
        "python -m benchmarks.requantization --drawm 24",
    ):
        program, *words = shlex.split(command)
        with pytest.raises(AssertionError):
            PROGRAMS[program](words, folder)
