"""`a2q quantize file.py:Class`: what comes of it is a file that is measured and built; folders of images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.models.network_record import read_record
from pipeline.models.user_class import make_network

runner = CliRunner()

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3)
        self.c = nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.a(x)))
        return self.c(torch.relu(self.b(x)).mean((2, 3)))
"""


def quantize(*arguments: object) -> tuple[int, str]:
    result = runner.invoke(app, ["quantize", *map(str, arguments)], env={"COLUMNS": "300"})
    return result.exit_code, result.output.replace("\n", " ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class in a file, its weights, and pictures of three classes, in a folder for each and all in one."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "net.py").write_text(NET)
    torch.manual_seed(0)
    torch.save(make_network(f"{folder / 'net.py'}:Net").state_dict(), folder / "net.pth")
    generator = np.random.default_rng(0)
    (folder / "flat").mkdir()
    for name in ("ant", "bee", "cow"):
        (folder / "by_class" / name).mkdir(parents=True)
        for index in range(10):
            picture = Image.fromarray(generator.integers(0, 256, (20, 24, 3), dtype=np.uint8))
            picture.save(folder / "by_class" / name / f"{index}.png")
            picture.save(folder / "flat" / f"{name}{index}.png")
    return folder


def options(folder: Path, images: str = "by_class", count: int = 20) -> list[object]:
    shape = ["--input-shape", "3,16,16", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"]
    return [
        f"{folder / 'net.py'}:Net",
        "--state",
        folder / "net.pth",
        "--dataset",
        folder / images,
        *shape,
        "--images",
        count,
    ]


def test_a_users_class_becomes_a_file_with_its_bound_that_is_built(folder: Path, tmp_path: Path) -> None:
    arguments = ["--method", "gptq/mse_channel", "--accumulator", 14, "--bias-correct", "--out", tmp_path]
    code, output = quantize(*options(folder), *arguments)
    assert code == 0, output
    assert "1 normalisations folded" in output and "at most 14 as asked for" in output
    assert "as Brevitas computes it, on the 10 images of" in output and "that nothing was calibrated with" in output
    path = tmp_path / "ptq_Net_w4a4_gptq_bc_axe_14b.onnx"
    record = read_record(onnx.load(path), path)
    assert {name: bound.method for name, bound in record.layers.items()} == {"b": "axe"}
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["calibration_images"] == 20 and "state" not in facts["config"]
    result = runner.invoke(app, ["build", str(path), "--until", "accumulators", "--out", str(tmp_path / "b")])
    assert result.exit_code == 0 and "1 of 3 layers claims P = 14 and keeps to it" in result.output.replace("\n", " ")


def test_pictures_without_classes_are_compared_with_float(folder: Path, tmp_path: Path) -> None:
    code, output = quantize(*options(folder, "flat", 30), "--weight-bits", 8, "--act-bits", 8, "--out", tmp_path)
    assert code == 0, output
    assert "of 7 images of" in output and "get the class that they get in float" in output
    facts = json.loads((tmp_path / "ptq_Net_w8a8_mse_channel.json").read_text())
    assert "top1" not in facts and facts["as_in_float"] >= 6 / 7


@pytest.mark.parametrize(
    ("without", "more", "said"),
    [
        (["--dataset"], [], "dataset is not given, and"),
        (["--input-shape"], [], "input_shape is not given, and images of"),
        (["--std"], [], "std is not given; mean and std come together"),
        ([], ["--mean", "0.5"], "mean has 1 and std 3 numbers; expected one of each for each of the 3 channels"),
        ([], ["--images", "31"], "images is 31, and"),
        ([], ["--act-bits", "32"], "comes a QONNX file" ),
        ([], ["--state", "none.pth"], "There is no checkpoint none.pth"),
        ([], ["--target-fps", "100"], "target_fps is given without a search"),
        ([], ["--search", "--weight-bits", "3"], "weight_bits is given with a search"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_a_sentence(folder: Path, tmp_path: Path, without, more, said) -> None:
    arguments = options(folder)
    for option in without:
        index = arguments.index(option)
        del arguments[index : index + 2]
    code, output = quantize(*arguments, *more, "--out", tmp_path / "none")
    assert code != 0 and said in output, output
    assert not (tmp_path / "none").exists()


def test_a_family_says_itself_what_its_checkpoint_takes() -> None:
    code, output = quantize("resnet8", "--mean", "0.5,0.5,0.5", "--std", "0.2,0.2,0.2")
    assert code != 0 and "mean is given, and the checkpoint of resnet8 says that itself" in output


def test_weights_from_elsewhere_fill_a_family(float_checkpoint: Path, mnist: Path, tmp_path: Path) -> None:
    state = torch.load(float_checkpoint, weights_only=True)["state"]
    elsewhere = tmp_path / "published.pth"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, elsewhere)
    given = ["resnet8x0.25", "--state", elsewhere, "--input-shape", "1,28,28", "--mean", "0", "--std", "1"]
    data = ["--dataset", "mnist", "--data-folder", mnist, "--images", 32, "--out", tmp_path]
    code, output = quantize(*given, *data)
    assert code == 0, output
    facts = json.loads((tmp_path / "ptq_resnet8x0.25_w4a4_mse_channel.json").read_text())
    assert facts["begun_with"] == {"weights": "published.pth"}
    assert facts["normalization"] == {"mean": [0.0], "std": [1.0]}
    code, output = quantize(float_checkpoint, "--state", elsewhere, *data)
    assert code != 0 and "which has weights; expected the name of a family" in output
