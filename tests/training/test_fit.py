"""Trainings from beginning to end, on images that a network learns in seconds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.datasets.augment import Augmentation
from pipeline.datasets.catalog import load
from pipeline.datasets.loader import batches_of
from pipeline.errors import ConfigError, VerificationError
from pipeline.models import registry
from pipeline.models.integer_weights import integer_weights
from pipeline.training.evaluate import integer_outputs, network_outputs
from pipeline.training.fit import fit
from pipeline.training.module import Training
from tests.training.digits import TESTS, config


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_the_loss_falls_and_every_epoch_is_told(trained) -> None:
    _, folder, lines = trained
    first, last = rows(folder)
    assert float(last["train_loss"]) < float(first["train_loss"])
    assert {"val_loss", "val_top1", "sparsity", "largest_l1", "seconds"} <= set(first)
    assert [line.split(",")[0] for line in lines if line.startswith("epoch")] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert (folder / "curves.png").stat().st_size > 10_000 and list((folder / "tensorboard").iterdir())


def test_the_checkpoint_says_what_it_is_and_keeps_its_bound(trained) -> None:
    _, folder, _ = trained
    path = folder / "quant_resnet8_w4a4_a2q_12b.pth"
    content = torch.load(path, weights_only=True)
    record = content["record"]
    assert record["seed"] == 0 and record["config"]["epochs"] == 2 and "data_folder" not in record["config"]
    assert {"top1", "top5", "loss", "sparsity", "largest_l1", "training_data", "test_data"} <= set(record)
    assert json.loads(path.with_suffix(".json").read_text())["top1"] == record["top1"]
    _, network, _ = registry.trained_network(str(path))
    layers = integer_weights(network, torch.zeros(1, 1, 28, 28))
    assert max(int(layer.sum_bits().max()) for layer in list(layers.values())[1:-1]) <= 12


def test_what_was_trained_is_exported_exactly(trained) -> None:
    _, folder, _ = trained
    path = folder / "quant_resnet8_w4a4_a2q_12b.pth"
    _, network, _ = registry.trained_network(str(path))
    images = torch.rand(8, 1, 28, 28)
    integers = integer_outputs(network, images)(images)
    assert np.array_equal(integers.argmax(1), network_outputs(network)(images).argmax(1))


def test_every_epoch_has_its_own_order_and_augmentation(mnist: Path, tmp_path: Path, monkeypatch) -> None:
    seen: dict[int, list[torch.Tensor]] = {}
    step = Training.training_step

    def watched(self, batch):
        seen.setdefault(self.current_epoch, []).append(batch[0].clone())
        return step(self, batch)

    monkeypatch.setattr(Training, "training_step", watched)
    chosen = config(mnist, epochs=3)
    fit(chosen, tmp_path / "run", lambda line: None)
    batches = batches_of(
        load("mnist", "train", mnist, chosen.images),
        chosen.batch_size,
        training=True,
        seed=chosen.seed,
        augmentation=Augmentation(chosen.augmentation.crop, chosen.augmentation.flip),
    )
    for epoch in range(3):
        batches.set_epoch(epoch)
        expected = [images for images, _ in batches]
        assert len(expected) == len(seen[epoch])
        assert all(torch.equal(a, b) for a, b in zip(expected, seen[epoch], strict=True))
    assert not torch.equal(torch.cat(seen[0]), torch.cat(seen[1]))


def test_a_training_that_was_stopped_ends_as_if_it_had_not(mnist: Path, tmp_path: Path, monkeypatch) -> None:
    chosen = config(mnist, epochs=3)
    fit(chosen, tmp_path / "whole", lambda line: None)

    def stop(line: str) -> None:
        if line.startswith("epoch 2"):
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fit(chosen, tmp_path / "stopped", stop)
    lines: list[str] = []
    fit(chosen, tmp_path / "stopped", lines.append)
    assert any("going on from" in line for line in lines)
    assert [line.split(",")[0] for line in lines if line.startswith("epoch")] == ["epoch 2 of 3", "epoch 3 of 3"]
    name = "quant_resnet8_w4a4_a2q_12b.pth"
    whole, stopped = (torch.load(tmp_path / f / name, weights_only=True) for f in ("whole", "stopped"))
    assert all(torch.equal(value, stopped["state"][key]) for key, value in whole["state"].items())
    assert whole["record"]["loss"] == stopped["record"]["loss"]
    assert len(rows(tmp_path / "stopped")) == 3


def test_another_training_is_not_overwritten(trained, mnist: Path) -> None:
    _, folder, _ = trained
    with pytest.raises(ConfigError, match="holds a training of another configuration; epochs, validation differs"):
        fit(config(mnist, epochs=7), folder, lambda line: None)


def test_a_broken_bound_ends_the_training(mnist: Path, tmp_path: Path, monkeypatch) -> None:
    from pipeline.models.integer_weights import IntegerWeights

    real = IntegerWeights.sum_bits
    monkeypatch.setattr(IntegerWeights, "sum_bits", lambda layer: real(layer) + 9)
    with pytest.raises(
        VerificationError, match="layer layer1.0.conv1, channel .* after epoch 1, and it is trained for 12"
    ):
        fit(config(mnist, epochs=1), tmp_path, lambda line: None)


def test_a_constrained_network_begins_with_an_unconstrained_one(mnist: Path, tmp_path: Path) -> None:
    free = config(mnist, accumulator={}, epochs=1, calibration_images=32, bias_correction_images=32)
    path, _ = fit(free, tmp_path / "free", lambda line: None)
    bound = config(mnist, init=str(path), epochs=1, optimizer={"lr": 1e-6})
    constrained, _ = fit(bound, tmp_path / "bound", lambda line: None)
    before, after = (torch.load(p, weights_only=True)["state"] for p in (path, constrained))
    assert torch.allclose(before["conv1.weight"], after["conv1.weight"], atol=1e-3)
    assert "layer1.0.conv1.bias" in before and "layer1.0.conv1.bias" in after  # that of the correction
    _, network, _ = registry.trained_network(str(path))
    images = torch.rand(8, 1, 28, 28)
    integers = integer_outputs(network, images)(images)
    assert np.array_equal(integers.argmax(1), network_outputs(network)(images).argmax(1))


def test_a_float_network_is_trained_by_the_same_command(mnist: Path, tmp_path: Path) -> None:
    chosen = config(
        mnist, quantization=None, accumulator={}, loss="squared_hinge", optimizer={"name": "adamw"}, epochs=1
    )
    path, scores = fit(chosen, tmp_path, lambda line: None)
    assert path.name == "resnet8.pth" and scores.images == TESTS
