"""A training from its configuration to a checkpoint that a build takes."""

from __future__ import annotations

import json
import logging
import pickle
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from pipeline.datasets.augment import Augmentation
from pipeline.datasets.catalog import find, load, split_validation
from pipeline.datasets.image_folder import ImageFolder
from pipeline.datasets.image_set import ImageSet
from pipeline.datasets.loader import BatchSource, batches_of
from pipeline.errors import ConfigError
from pipeline.models import registry
from pipeline.models.integer_weights import hidden_sparsity, integer_weights, largest_l1
from pipeline.models.layers import ImageNetwork
from pipeline.models.names import ModelSpec, Preprocessing, spec_of
from pipeline.training.callbacks import EpochLines, History, WholeCheckpoints
from pipeline.training.checkpoints import save_checkpoint
from pipeline.training.config import TrainConfig
from pipeline.training.evaluate import Scores, score
from pipeline.training.module import Training, forget_statistics

__all__ = ["fit", "refuse_other", "spec_for"]

_LAST = "last.ckpt"
# what Lightning calls the precision of a configuration
_PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}
_CONFIG = "config.json"


def spec_for(config: TrainConfig) -> ModelSpec:
    """The network that `config` describes."""
    normalization = config.normalization
    return spec_of(
        config.network,
        config.quantized(),
        dataset=config.dataset,
        input_shape=_input_shape(config),
        num_classes=find(config.dataset).classes,
        width=config.width,
        normalization=Preprocessing(normalization.mean, normalization.std) if normalization else None,
    )


@contextmanager
def _threads_kept() -> Iterator[None]:
    """After the block torch has as many threads as before it."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_threads_kept()
def fit(config: TrainConfig, folder: Path, say: Callable[[str], None], *, bar: bool = False) -> tuple[Path, Scores]:
    """Train as `config` says, in `folder`; where a training of the same configuration was stopped, go on with it.

    `say` gets a line after each epoch; `bar` shows progress within an epoch as well. Leaves `folder`/NAME.pth and
    NAME.json, metrics.csv, curves.png, last.ckpt to resume from, best.ckpt where images are held out, and TensorBoard's
    events. Returns the checkpoint, and its scores on the whole test set.

    On one machine, what is trained in several goes is equal, bit for bit, to what is trained in one: on a CPU it goes on
    with as many threads as it was begun with, as sums are rounded otherwise in parts of another size.

    Raises ConfigError where `folder` holds another training, InputError for a data set that is not there.
    """
    refuse_other(folder, config)
    task = find(config.dataset).labels
    path = folder / f"{config.name}.pth"
    if path.is_file():
        say(f"{path} is trained already")
        test = load(config.dataset, "test", config.data_folder)
        return path, score(registry.trained_network(str(path))[1], _in_order(test, config), task, config.loss)
    if config.precision == "16" and (config.device == "cpu" or not torch.cuda.is_available()):
        raise ConfigError("precision is '16', which is for GPUs, and there is none here. Use bf16 or 32.")
    if config.device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("device is 'gpu', and PyTorch finds none here. Use auto or cpu.")
    random.seed(config.seed)
    np.random.seed(config.seed)
    training = load(config.dataset, "train", config.data_folder, config.images)
    test = load(config.dataset, "test", config.data_folder)
    held_out = None
    if len(training) - config.validation < config.batch_size:
        raise ConfigError(
            f"batch_size is {config.batch_size}, and {len(training) - config.validation} of the {len(training)} images "
            f"of the {training.source} are left after {config.validation} for validation; expected as many or more."
        )
    if config.validation:
        training, held_out = split_validation(training, config.validation, config.seed)
    spec = spec_for(config)
    torch.manual_seed(config.seed)
    network = registry.image_network(spec)
    last = folder / _LAST
    resumed = last.is_file()
    if resumed:
        _fit_to(last, network, say)
    else:
        _prepare(network, config, training)
    augmentation = config.augmented()
    batches = batches_of(
        training,
        config.batch_size,
        training=True,
        seed=config.seed,
        augmentation=Augmentation(augmentation.crop, augmentation.flip),
        pad_to=_side(config),
    )
    module = Training(network.train(), config, len(batches))
    folder.mkdir(parents=True, exist_ok=True)
    passing = folder / f".{_CONFIG}"
    passing.write_text(json.dumps(_described(config), indent=2) + "\n")
    passing.replace(folder / _CONFIG)
    history = History(folder)
    trainer = _trainer(config, folder, history, say, bar)
    say(f"{config.name} on the {training.source}: {len(training):,} images, {len(batches):,} batches an epoch")
    if resumed:
        say(f"going on from {last}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=PossibleUserWarning)  # Lightning's advice on how to use it
        warnings.filterwarnings("ignore", module="lightning")
        try:
            trainer.fit(
                module,
                batches,
                _in_order(held_out, config) if held_out else None,
                ckpt_path=str(last) if resumed else None,
                weights_only=True,
            )
        except SystemExit:  # Lightning's answer to an interrupt
            raise KeyboardInterrupt from None
    history.draw(f"{config.name} on {find(config.dataset).title}")
    if len(history.rows) < config.epochs:
        say(f"stopped early: no better loss on held-out images for {config.early_stopping} epochs")
    best = folder / "best.ckpt"
    best_epoch = None
    if held_out is not None and best.is_file():
        saved = torch.load(best, map_location="cpu", weights_only=True)
        module.load_state_dict(saved["state_dict"])
        best_epoch = saved["epoch"] + 1
        say(f"kept is epoch {best_epoch}, the best by its loss on {len(held_out):,} held-out images")
    # where it was trained; Lightning has moved it to the CPU
    network = module.network.to(trainer.strategy.root_device).eval()
    if config.bias_correction_images:
        _correct_biases(network, training, config)
    say(f"scoring on the {test.source}: {len(test):,} images")
    scores = score(network, _in_order(test, config), task, config.loss)
    network.cpu()
    record = _record(config, spec, network, scores, training, test, history)
    if best_epoch is not None:
        record["best_epoch"] = best_epoch
    if record.get("sparsity") == 1:
        say("every hidden weight is 0, and each image gets the same class: choose a wider accumulator")
    save_checkpoint(network, path, record)
    return path, scores


def refuse_other(folder: Path, config: TrainConfig) -> None:
    """Raise ConfigError where `folder` holds a training of another configuration."""
    described = _described(config)
    path = folder / _CONFIG
    if path.is_file():
        try:
            other = dict(json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise ConfigError(f"{path} is damaged, and with it this training. Delete {folder}.") from None
        if other != described:
            changed = ", ".join(sorted(key for key in {*described, *other} if described.get(key) != other.get(key)))
            raise ConfigError(
                f"{folder} holds a training of another configuration; {changed} differs. Name another folder with "
                "--out, or delete this one."
            )


def _described(config: TrainConfig) -> dict[str, Any]:
    """`config` as plain values without this machine's paths, as a training's folder and its checkpoint have it."""
    values = json.loads(config.model_dump_json(exclude={"data_folder"}))
    if values["init"]:
        values["init"] = Path(values["init"]).name
    values["augmentation"] = config.augmented().model_dump()
    return values


def _side(config: TrainConfig) -> int | None:
    """Pixels of a side that images are padded to; None where they stay as they are.

    CNV has no padding and takes what is 28 pixels wide in the middle of 32.
    """
    return 32 if config.network == "cnv" and find(config.dataset).shape[1] == 28 else None


def _input_shape(config: TrainConfig) -> tuple[int, int, int]:
    shape, side = find(config.dataset).shape, _side(config)
    return shape if side is None else (shape[0], side, side)


def _in_order(images: ImageSet | ImageFolder, config: TrainConfig, count: int | None = None) -> BatchSource:
    """`images`, or `count` of them, without augmentation."""
    chosen = images if count is None else images.take(count)
    return batches_of(chosen, config.batch_size, pad_to=_side(config))


def _fit_to(last: Path, network: nn.Module, say: Callable[[str], None]) -> None:
    """Give `network` the biases, and torch the threads, that the training in `last` was begun with."""
    try:
        checkpoint = torch.load(last, map_location="cpu", weights_only=True)
        state, threads = checkpoint["state_dict"], checkpoint.get("threads", torch.get_num_threads())
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        raise ConfigError(f"{last} is damaged. Delete it, and the training begins anew.") from None
    registry.add_biases(network, {name.removeprefix("network."): tensor for name, tensor in state.items()})
    if threads != torch.get_num_threads():
        say(f"threads: {threads}, as the training was begun with, in place of {torch.get_num_threads()}")
        torch.set_num_threads(threads)


def _prepare(network: ImageNetwork, config: TrainConfig, training: ImageSet | ImageFolder) -> None:
    """Weights from elsewhere, scales from images, weights within their bound: what comes before the first epoch."""
    from brevitas.graph.calibrate import calibration_mode
    from brevitas_examples.imagenet_classification.a2q.ep_init import apply_ep_init

    if config.init:
        registry.initialise(network, config.init)
    network.eval()
    with torch.no_grad():
        if config.calibration_images:
            forget_statistics(network)
            with calibration_mode(network):
                for images, _ in _in_order(training, config, config.calibration_images):
                    network(images)
        if config.accumulator.method != "none" and config.accumulator.ep_init:
            apply_ep_init(network, next(iter(_in_order(training, config, config.batch_size)))[0])


def _correct_biases(network: nn.Module, training: ImageSet | ImageFolder, config: TrainConfig) -> None:
    from brevitas.graph.calibrate import bias_correction_mode

    device = next(network.parameters()).device
    with torch.no_grad(), bias_correction_mode(network):
        for images, _ in _in_order(training, config, config.bias_correction_images):
            network(images.to(device))


def _trainer(
    config: TrainConfig, folder: Path, history: History, say: Callable[[str], None], bar: bool
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[lightning.Callback] = [
        history,
        EpochLines(history, say),
        # the last to be called: what it saves holds the epoch's history
        ModelCheckpoint(folder, filename="last", save_top_k=1, every_n_epochs=1, enable_version_counter=False),
    ]
    if config.validation:
        callbacks.append(ModelCheckpoint(folder, filename="best", monitor="val_loss", enable_version_counter=False))
    if config.early_stopping:
        callbacks.append(EarlyStopping("val_loss", patience=config.early_stopping))
    if bar:
        callbacks.append(RichProgressBar(leave=False))
    logger = TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False)
    logger.log_hyperparams(_described(config))
    return lightning.Trainer(
        default_root_dir=folder,
        max_epochs=config.epochs,
        accelerator={"gpu": "cuda"}.get(config.device, config.device),
        devices=1,
        precision=_PRECISIONS[config.precision],
        callbacks=callbacks,
        logger=logger,
        plugins=[WholeCheckpoints()],
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
        deterministic="warn",
    )


def _record(
    config: TrainConfig,
    spec: ModelSpec,
    network: nn.Module,
    scores: Scores,
    training: ImageSet | ImageFolder,
    test: ImageSet | ImageFolder,
    history: History,
) -> dict[str, Any]:
    """The record of a checkpoint: plain values, and none of this machine's paths."""
    record = {
        **spec.as_record(),
        "training_data": training.source,
        "test_data": test.source,
        "seed": config.seed,
        **scores.metrics,
        "loss": scores.loss,
        "epochs": len(history.rows),
        "training_seconds": round(sum(row["seconds"] for row in history.rows)),
        "packages": {name: version(name) for name in ("torch", "brevitas", "lightning")},
        "config": _described(config),
    }
    if config.init:
        record["begun_with"] = registry.training_of(config.init)
    if spec.quantization:
        layers = integer_weights(network, torch.zeros(1, *spec.input_shape))
        record |= {"sparsity": round(hidden_sparsity(layers), 4), "largest_l1": largest_l1(layers)}
    return record
