from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.datasets.catalog import load
from pipeline.models import registry
from pipeline.models.names import Preprocessing, find

runner = CliRunner()
NAME = "quant_resnet8x0.25_w4a4_a2q_12b"


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_a_checkpoint_is_evaluated_in_both_forms(trained, mnist: Path) -> None:
    _, folder, _ = trained
    output = run("evaluate", str(folder / f"{NAME}.pth"), "--data-folder", str(mnist))
    assert "Brevitas" in output and "integer graph" in output
    assert output.splitlines()[-1].startswith("images on which the two differ: 0"), "not as narrow as the table"
    rows = [line.split()[-4:] for line in output.splitlines() if line.strip().startswith(("Brevitas", "integer"))]
    assert rows[0][:2] == rows[1][:2] and rows[0][3] == "64"


class Seen(torch.nn.Module):
    """Keeps what it is given, and finds class 0 in all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.images: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.images.append(images)
        return torch.eye(10)[torch.zeros(len(images), dtype=torch.long)]


def test_a_network_that_does_not_normalise_is_given_normalised_pixels(
    mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The released networks of the papers are of this kind."""
    path = tmp_path / "theirs.pth"
    torch.save({}, path)
    spec = replace(find("tfc"), preprocessing=Preprocessing((0.25,), (0.5,)))
    network = Seen()
    monkeypatch.setattr(registry, "trained_network", lambda _: (spec, network, path))
    monkeypatch.setattr(registry, "checkpoint_record", lambda _: {})
    run("evaluate", str(path), "--dataset", "mnist", "--data-folder", str(mnist))
    pixels = load("mnist", "test", mnist).images.astype(np.float32) / 255
    np.testing.assert_allclose(torch.cat(network.images).numpy(), (pixels - 0.25) / 0.5, atol=1e-6)


def test_a_checkpoint_is_exported_by_the_name_of_its_training(
    trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A2Q_DATA", raising=False)
    monkeypatch.setenv("A2Q_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _, folder, _ = trained
    # a name that this repository has not
    checkpoint = Path("trained", "mnist_seed0", "quant_resnet8x0.25_w3a4_a2q_12b.pth")
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(folder / f"{NAME}.pth", checkpoint)
    output = run("export", checkpoint.stem, "--out", str(tmp_path / "out"))
    assert "10 layers hold Brevitas' integers; outputs agree on 256 golden frames" in output
    assert (tmp_path / "out" / "model.onnx").is_file() and (tmp_path / "out" / "golden.npz").is_file()


def test_a_checkpoint_is_packed(trained, tmp_path: Path) -> None:
    _, folder, _ = trained
    output = run("export", str(folder / f"{NAME}.pth"), "--packed", "--out", str(tmp_path))
    assert "the weights of 10 layers packed; outputs equal on 256 golden frames" in output
    packed = torch.load(tmp_path / f"{NAME}.pth", weights_only=True)
    assert packed["record"] == torch.load(folder / f"{NAME}.pth", weights_only=True)["record"]


def test_a_benchmark_trains_what_is_missing_and_no_more(mnist: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    values = {"network": "resnet8", "width": 0.25, "dataset": "mnist", "data_folder": str(mnist), "epochs": 1}
    base.write_text(yaml.safe_dump({**values, "batch_size": 32, "quantization": {"weight_bits": 4, "act_bits": 4}}))
    rows = [
        {"quantization": None},
        {},
        {"init": "quant_resnet8x0.25_w4a4", "accumulator": {"method": "a2q", "bit_width": 12}},
    ]
    path = tmp_path / "b.yaml"
    path.write_text(yaml.safe_dump({"base": "base.yaml", "seeds": [0], "rows": rows}))
    out = tmp_path / "out"
    first = run("benchmark", str(path), "--out", str(out))
    assert first.count("epoch 1 of 1") == 3
    page = (out / "benchmark.md").read_text()
    assert all(f"| {name} |" in page for name in ("resnet8x0.25", "quant_resnet8x0.25_w4a4", NAME))
    assert (out / "accuracy_by_accumulator.png").is_file() and len(
        (out / "benchmark.csv").read_text().splitlines()
    ) == 4
    html = (out / "benchmark.html").read_text()
    assert html.count("<tr>") == 4 and f">{NAME}</td>" in html and "data:image/png;base64," in html
    path.write_text(yaml.safe_dump({"base": "base.yaml", "seeds": [0, 1], "rows": rows[:1]}))
    second = run("benchmark", str(path), "--out", str(out))
    assert second.count("epoch 1 of 1") == 1
    assert "seed 1" in (out / "benchmark.md").read_text()
    base.write_text(base.read_text().replace("epochs: 1", "epochs: 2"))
    result = runner.invoke(app, ["benchmark", str(path), "--out", str(out)])
    assert result.exit_code == 1 and "holds a training of another configuration; epochs differs" in result.output


def test_a_data_set_of_other_classes_is_refused(trained) -> None:
    result = runner.invoke(app, ["evaluate", str(trained[1] / f"{NAME}.pth"), "--dataset", "cifar100"])
    assert result.exit_code == 1
    assert "10 classes of 1×28×28 pixels apart; CIFAR-100 has 100 of 3×32×32. Name another" in " ".join(
        result.output.split()
    )


def test_a_network_with_two_outputs_is_packed(tmp_path: Path) -> None:
    output = run("export", "quant_tinyyolov3x0.5_w4a4_a2q_13b", "--packed", "--out", str(tmp_path))
    assert "the weights of 12 layers packed; outputs equal on 256 golden frames" in output
