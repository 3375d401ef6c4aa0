"""`a2q quantize`: the checkpoint that it leaves is one that all else takes, and what cannot be leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.models.a2q import layer_bounds
from pipeline.models.registry import trained_network
from pipeline.training.checkpoints import save_checkpoint

runner = CliRunner()


def quantize(*arguments: object) -> tuple[int, str]:
    result = runner.invoke(app, ["quantize", *map(str, arguments)], env={"COLUMNS": "300"})
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def bounded(float_checkpoint: Path, mnist: Path, tmp_path_factory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("ptq")
    code, output = quantize(
        float_checkpoint, "--weight-bits", 3, "--act-bits", 3, "--method", "gptq/mse_channel", "--bias-correct",
        *("--accumulator", 11, "--data-folder", mnist, "--images", 64, "--out", out),
    )  # fmt: skip
    assert code == 0, output
    return out / "ptq_resnet8x0.25_w3a3_gptq_bc_axe_11b.pth", output


def test_a_bound_is_kept_and_claimed(bounded: tuple[Path, str]) -> None:
    path, output = bounded
    assert "11 bits for the widest of a hidden layer, at most 11 as asked for" in output or "at most 11" in output
    spec, network, _ = trained_network(str(path))
    assert (spec.method, spec.accumulator_bits) == ("axe", 11)
    bounds = layer_bounds(network)
    assert {(bound.method, bound.accumulator_bits) for bound in bounds.values()} == {("axe", 11)}
    assert len(bounds) == 8, "the first layer and the last have no bound"
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["quantized_after_training"] == "gptq/mse_channel" and record["calibration_images"] == 64


def test_the_integers_of_the_checkpoint_are_those_of_the_layer_graph(bounded: tuple[Path, str], mnist: Path) -> None:
    result = runner.invoke(app, ["evaluate", str(bounded[0]), "--data-folder", str(mnist)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "images on which the two differ: 0" in result.output


def test_a_build_takes_it_and_proves_its_bound(bounded: tuple[Path, str], tmp_path: Path) -> None:
    arguments = ["build", str(bounded[0]), "--until", "fold", "--out", str(tmp_path / "b"), "--set", "golden_frames=8"]
    result = runner.invoke(app, [*arguments, "--set", "accumulators.policy=target"], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    assert "quantized after training (gptq/mse_channel)" in result.output
    assert "8 of 10 layers claim P = 11 and keep to it" in result.output


def test_weights_alone_are_evaluated_and_not_built(float_checkpoint: Path, mnist: Path, tmp_path: Path) -> None:
    code, output = quantize(
        float_checkpoint,
        "--act-bits",
        32,
        "--method",
        "minmax_layer",
        "--data-folder",
        mnist,
        "--images",
        32,
        "--out",
        tmp_path,
    )
    assert code == 0, output
    path = tmp_path / "ptq_resnet8x0.25_w4a32_minmax_layer.pth"
    result = runner.invoke(app, ["evaluate", str(path), "--data-folder", str(mnist)], env={"COLUMNS": "200"})
    assert result.exit_code == 0 and "integer graph" not in result.output
    result = runner.invoke(app, ["build", str(path), "--out", str(tmp_path / "b")], env={"COLUMNS": "300"})
    assert result.exit_code != 0 and "weights of 4 and activations of 32 bits, 32 being float" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "best"], "method is 'best'; expected minmax_layer"),
        (["--weight-bits", "9"], "weight_bits is 9; expected a whole number of bits from 2 to 8, or 32 for float"),
        (["--weight-bits", "32", "--act-bits", "32"], "nothing would be quantized"),
        (["--accumulator", "12"], "accumulator is 12 with the method mse_channel, which knows no bound"),
        (
            ["--accumulator", "5", "--method", "gptq/mse_channel"],
            "accumulator is 5 for activations of 4 bits; expected 6 or more",
        ),
        (
            ["--accumulator", "12", "--method", "qronos/awq", "--last-layer-bits", "32"],
            "only sums of integers have a bound",
        ),
        (["--equalization", "magic"], "equalization is 'magic'; expected null, cross_layer or smoothquant"),
        (["--images", "8"], "images is 8; expected 16 or more"),
        (["--images", "5000"], "images is 5000, and the"),
        (["--dataset", "cifar10"], "takes images of 1×28×28"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence_and_leaves_nothing(
    arguments: list[str], said: str, float_checkpoint: Path, mnist: Path, tmp_path: Path
) -> None:
    code, output = quantize(float_checkpoint, *arguments, "--data-folder", mnist, "--out", tmp_path / "none")
    assert code != 0 and said in output.replace("\n", " "), output
    assert not (tmp_path / "none").exists()


def test_weights_that_are_no_numbers_and_quantized_networks_are_refused(
    float_checkpoint: Path, bounded: tuple[Path, str], mnist: Path, tmp_path: Path
) -> None:
    spec, network, _ = trained_network(str(float_checkpoint))
    broken = tmp_path / "broken.pth"
    with torch.no_grad():
        network.conv1.weight[0] = torch.nan
    save_checkpoint(network, broken, {**spec.as_record(), "top1": 0.1})
    for path, said in ((broken, "no numbers"), (bounded[0], "is quantized already; expected a float network")):
        code, output = quantize(path, "--data-folder", mnist, "--out", tmp_path / "none")
        assert code != 0 and said in output, output
        assert not (tmp_path / "none").exists()


def test_another_quantization_by_the_same_name_is_not_replaced(
    float_checkpoint: Path, mnist: Path, tmp_path: Path
) -> None:
    arguments = [float_checkpoint, "--data-folder", mnist, "--images", 16, "--out", tmp_path / "out"]
    code, output = quantize(*arguments)
    assert code == 0, output
    assert quantize(*arguments)[0] == 0  # the same again
    (file,) = (tmp_path / "out").glob("*.pth")
    kept = file.read_bytes()
    code, output = quantize(*arguments, "--seed", 3, "--act-method", "aciq")
    assert (
        code == 1 and "is of another quantization by this name: act_method, seed differ. Name another folder" in output
    )
    other = tmp_path / "other" / float_checkpoint.name
    spec, network, _ = trained_network(str(float_checkpoint))
    with torch.no_grad():
        next(network.parameters()).neg_()
    save_checkpoint(network, other, {**spec.as_record(), "top1": 0.1})
    code, output = quantize(other, *arguments[1:])
    assert code == 1 and "network differs" in output
    assert file.read_bytes() == kept


def test_nothing_is_left_where_nothing_came_of_it(float_checkpoint: Path, mnist: Path, tmp_path: Path) -> None:
    code, output = quantize(float_checkpoint, "--data-folder", mnist, "--images", 10**4, "--out", tmp_path / "out")
    assert code == 1 and "images is 10000" in output
    assert not (tmp_path / "out").exists()
