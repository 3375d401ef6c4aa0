"""Trainings from beginning to end, on images that a network learns in seconds."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.datasets.augment import Augmentation
from pipeline.datasets.catalog import load
from pipeline.datasets.loader import batches_of
from pipeline.errors import ConfigError, VerificationError
from pipeline.models import registry
from pipeline.models.a2q import a2q_layers, largest_l1_norm, norms
from pipeline.models.integer_weights import integer_weights
from pipeline.training.config import TrainConfig
from pipeline.training.evaluate import integer_outputs, network_outputs
from pipeline.training.fit import fit, spec_for
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
    assert any(re.fullmatch(r"kept is epoch [12], the best by its loss on 32 held-out images", line) for line in lines)
    assert (folder / "curves.png").stat().st_size > 10_000 and list((folder / "tensorboard").iterdir())


def test_the_checkpoint_says_what_it_is_and_keeps_its_bound(trained) -> None:
    _, folder, _ = trained
    path = folder / "quant_resnet8x0.25_w4a4_a2q_12b.pth"
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
    path = folder / "quant_resnet8x0.25_w4a4_a2q_12b.pth"
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
    name = "quant_resnet8x0.25_w4a4_a2q_12b.pth"
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
    bound = config(mnist, init=str(path), epochs=2, optimizer={"lr": 1e-6})

    def stop(line: str) -> None:
        if line.startswith("epoch 1"):
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):  # biases that came with the other's are found again
        fit(bound, tmp_path / "bound", stop)
    constrained, _ = fit(bound, tmp_path / "bound", lambda line: None)
    begun = registry.checkpoint_record(constrained)["begun_with"]
    assert (
        begun["network"] == "resnet8"
        and begun["epochs"] == 1
        and begun["top1"] == registry.checkpoint_record(path)["top1"]
    )
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
    assert path.name == "resnet8x0.25.pth" and scores.images == TESTS


def test_projection_and_penalty_have_their_effect(mnist: Path, tmp_path: Path) -> None:
    free, _ = fit(config(mnist, accumulator={}), tmp_path / "free", lambda line: None)

    def trained_with(name: str, **accumulator) -> torch.nn.Module:
        chosen = config(
            mnist,
            init=str(free),
            epochs=1,
            optimizer={"lr": 0.01},
            accumulator={"method": "a2q", "bit_width": 9, **accumulator},
        )
        return registry.trained_network(str(fit(chosen, tmp_path / name, lambda line: None)[0]))[1]

    def beyond(network: torch.nn.Module) -> float:
        """How far norms are above their bounds, summed."""
        total = 0.0
        for layer in a2q_layers(network).values():
            norm, scale = norms(layer)
            total += float(torch.relu(norm - largest_l1_norm("a2q", 9, 4) * scale).sum())
        return total

    neither = beyond(trained_with("neither", ep_init=False, regularization=0))
    penalty = beyond(trained_with("penalty", ep_init=False, regularization=1))
    projected = beyond(trained_with("projected", ep_init=True, regularization=0))
    assert neither > 10 and penalty < 0.8 * neither and projected < 0.1 * neither


def test_weights_decay_and_scales_norms_and_biases_do_not(mnist: Path) -> None:
    network = registry.network(spec_for(config(mnist)))
    optimizer = Training(network, config(mnist, optimizer={"weight_decay": 0.1}), 1).configure_optimizers()["optimizer"]
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decays = {names[id(p)]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays.keys() == dict(network.named_parameters()).keys()
    decayed = {name for name, decay in decays.items() if decay == 0.1}
    assert decayed == {name + ".weight" for name in integer_weights(network.eval(), torch.zeros(1, 1, 28, 28))}
    assert all(decay == 0 for name, decay in decays.items() if name not in decayed)


def test_the_best_epoch_on_held_out_images_is_kept_and_training_stops_early(mnist: Path, tmp_path: Path) -> None:
    chosen = config(
        mnist, epochs=20, validation=64, early_stopping=1, optimizer={"lr": 0.3}, schedule={"name": "constant"}
    )
    path, _ = fit(chosen, tmp_path, lambda line: None)
    losses = [float(row["val_loss"]) for row in rows(tmp_path)]
    assert len(losses) < 20 and losses[-1] > min(losses)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert best["epoch"] == losses.index(min(losses))
    state = torch.load(path, weights_only=True)["state"]
    assert torch.equal(state["linear.weight"], best["state_dict"]["network.linear.weight"])
    lines: list[str] = []
    assert fit(chosen, tmp_path, lines.append)[0] == path and lines == [f"{path} is trained already"]
    assert len(rows(tmp_path)) == len(losses)


def test_scales_are_found_anew_whatever_training_begins_with(mnist: Path, tmp_path: Path) -> None:
    free, _ = fit(config(mnist, accumulator={}), tmp_path / "free", lambda line: None)
    options = {"accumulator": {}, "epochs": 1, "optimizer": {"lr": 1e-9}, "init": str(free)}
    scales = {}
    for images in (0, 32, 320):
        path, _ = fit(config(mnist, calibration_images=images, **options), tmp_path / str(images), lambda line: None)
        state = torch.load(path, weights_only=True)["state"]
        scales[images] = next(value for name, value in state.items() if "act_quant" in name and name.endswith("value"))
    assert float(scales[32] / scales[320]) == pytest.approx(1, abs=0.15)
    assert float(scales[32] / scales[0]) == pytest.approx(1, abs=0.6)


def test_a_loss_that_is_no_number_ends_the_training(mnist: Path, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"The loss is nan after epoch 1. Set a smaller optimizer.lr"):
        fit(
            config(
                mnist,
                init=None,
                optimizer={"lr": 10.0, "momentum": 0.99},
                schedule={"name": "constant"},
                epochs=1,
                loss="squared_hinge",
                batch_size=1,
                images=64,
            ),
            tmp_path,
            lambda line: None,
        )


def test_an_interrupt_is_told_as_one(mnist: Path, tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("epoch 1"):
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(config(mnist), tmp_path, interrupt)
    finally:
        signal.signal(signal.SIGINT, handler)


def test_nothing_passes_through_the_folder_for_temporary_files(mnist: Path, tmp_path: Path, monkeypatch) -> None:
    """It may be on another disk, and a checkpoint that is copied from there is for a while a part of one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    fit(config(mnist, epochs=1, validation=32), tmp_path / "run", lambda line: None)
    for name in ("last.ckpt", "best.ckpt"):
        assert torch.load(tmp_path / "run" / name, weights_only=True)["epoch"] == 0


NARROW = """
import sys
from pathlib import Path
from pipeline.training.fit import fit
from tests.training.digits import config

for width in (0.25, 0.5, 1.0):
    fit(config(Path(sys.argv[1]), width=width, epochs=1, images=64), Path(sys.argv[2], str(width)), print)
"""


def test_networks_of_few_channels_train_on_processors_without_avx512(mnist: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NARROW, str(mnist), str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"},  # both are read once
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1 of 1") == 3


class Layouts(TorchDispatchMode):
    """Keeps whether all images and weights of each convolution, forwards and backwards, are contiguous."""

    def __init__(self) -> None:
        super().__init__()
        self.contiguous: dict[str, list[bool]] = {}

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function.name()
        if name.startswith("aten::convolution"):
            operands = [a for a in arguments if isinstance(a, torch.Tensor) and a.ndim == 4]
            self.contiguous.setdefault(name, []).extend(operand.is_contiguous() for operand in operands)
        return function(*arguments, **(keywords or {}))


def test_no_convolution_is_trained_with_channels_last(mnist: Path, tmp_path: Path) -> None:
    """Their gradients are wrong without AVX-512."""
    images = torch.rand(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    module = Training(registry.network(spec_for(TrainConfig())).train(), TrainConfig(), 1)
    with Layouts() as layouts:
        module(images).square().sum().backward()
    with layouts:
        fit(config(mnist, epochs=1, images=32), tmp_path, lambda line: None)
    assert layouts.contiguous.keys() == {"aten::convolution", "aten::convolution_backward"}
    assert all(all(seen) for seen in layouts.contiguous.values())
