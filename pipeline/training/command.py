"""What `a2q train` does: train a model of the registry on CIFAR-10, measure it, and write its checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import InputError, ModelError
from pipeline.models.names import MODELS, find
from pipeline.training.data import ImageSet, load_cifar10

__all__ = ["train_model"]


def train_model(
    name: str, data: Path, out: Path, epochs: int, seed: int, log: Callable[[str], None]
) -> tuple[Path, float]:
    """Train `name` for `epochs` on the CIFAR-10 in the folder `data`; write its checkpoint and record into `out`.

    Returns the checkpoint's path and the top-1 on all test images, as a fraction. Raises ModelError for a model that
    is not trained here, InputError where the data set is not in `data`.
    """
    spec = find(name)
    if spec.architecture != "resnet8":
        ours = ", ".join(m.name for m in MODELS.values() if m.architecture == "resnet8")
        raise ModelError(f"{name} is not trained here, its checkpoint is Brevitas'. Trained here: {ours}.")
    training, test = (_load(data, split) for split in ("train", "test"))
    os.environ["BREVITAS_JIT"] = "1"  # read when Brevitas is imported; training takes a third of the time with it
    import torch

    from pipeline.models.registry import network
    from pipeline.training.train import Recipe, save_checkpoint, top1, train

    torch.manual_seed(seed)
    model = network(spec)
    recipe = Recipe(epochs=epochs, seed=seed)
    train(model, training, recipe, lambda epoch, loss: log(f"epoch {epoch + 1} of {epochs}: loss {loss:.3f}"))
    accuracy = top1(model, test)
    facts = {"top1": accuracy, "training_data": training.source, "test_data": test.source}
    return save_checkpoint(model, out, name, facts, recipe), accuracy


def _load(data: Path, split: str) -> ImageSet:
    try:
        return load_cifar10(data, split)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"The CIFAR-10 {split} set cannot be read: {error}. --data names a folder with plain_text/*.parquet."
        ) from None
