"""Quantization-aware training of one network: SGD, one cycle, with the A2Q penalty."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from brevitas.core.scaling import AccumulatorAwareParameterPreScaling
from brevitas.function import abs_binary_sign_grad
from torch import Tensor, nn
from torch.nn import functional

from pipeline.training.data import ImageSet

__all__ = ["Recipe", "save_checkpoint", "top1", "train"]


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a run; `penalty` weighs the A2Q regularization of arXiv 2308.13504, section 4.1."""

    epochs: int = 24
    batch_size: int = 128
    peak_lr: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    penalty: float = 1e-3
    crop_padding: int = 4
    seed: int = 0


def train(model: nn.Module, data: ImageSet, recipe: Recipe, on_epoch=lambda epoch, loss: None) -> None:
    """Train `model` in place on images scaled to [0, 1]. `on_epoch` is called with the epoch and its mean loss."""
    torch.manual_seed(recipe.seed)
    random.seed(recipe.seed)
    generator = np.random.default_rng(recipe.seed)
    optimizer = torch.optim.SGD(
        _parameter_groups(model, recipe.weight_decay), lr=recipe.peak_lr, momentum=recipe.momentum, nesterov=True
    )
    steps = len(data) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.peak_lr, epochs=recipe.epochs, steps_per_epoch=steps, pct_start=0.2
    )
    penalty = _A2QPenalty(model)
    for epoch in range(recipe.epochs):
        model.train()
        order = generator.permutation(len(data))
        total = 0.0
        for step in range(steps):
            batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            images = _augment(data.images[batch], recipe.crop_padding, generator)
            penalty.reset()
            loss = functional.cross_entropy(
                model(torch.from_numpy(images).float() / 255), torch.from_numpy(data.labels[batch])
            )
            optimizer.zero_grad(set_to_none=True)
            (loss + recipe.penalty * penalty.total).backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        on_epoch(epoch, total / steps)
    penalty.remove()


@torch.no_grad()
def top1(model: nn.Module, data: ImageSet, batch_size: int = 500) -> float:
    """Fraction of `data` whose largest logit is its label, in evaluation mode."""
    model.eval()
    correct = 0
    for start in range(0, len(data), batch_size):
        images = torch.from_numpy(data.images[start : start + batch_size]).float() / 255
        labels = torch.from_numpy(data.labels[start : start + batch_size])
        correct += int((model(images).argmax(1) == labels).sum())
    return correct / len(data)


def save_checkpoint(model: nn.Module, folder: Path, name: str, facts: dict, recipe: Recipe) -> Path:
    """Write `folder`/`name`.pth, weights only, and `name`.json with its figures, recipe and SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.pth"
    torch.save(model.state_dict(), path)
    record = {**facts, "recipe": asdict(recipe), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    return path


class _A2QPenalty:
    """Sums max(0, g − T·s) over the A2Q layers of a model during each forward pass."""

    def __init__(self, model: nn.Module) -> None:
        self.total: Tensor | float = 0.0
        self._hooks = [
            module.register_forward_hook(self._add)
            for module in model.modules()
            if isinstance(module, AccumulatorAwareParameterPreScaling)
        ]

    def _add(self, module, inputs, _output) -> None:
        weights, input_bit_width, input_is_signed = inputs
        norm = abs_binary_sign_grad(module.restrict_clamp_scaling(module.value))
        bound = module.calc_max_l1_norm(input_bit_width, input_is_signed) * module.scaling_impl(weights)
        self.total = self.total + torch.relu(norm - bound).sum()

    def reset(self) -> None:
        self.total = 0.0

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay on the weights only: scales, norms and biases are left to their gradients."""
    decayed, free = [], []
    for name, parameter in model.named_parameters():
        is_weight = name.endswith(".weight") and parameter.ndim > 1
        (decayed if is_weight else free).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def _augment(images: np.ndarray, padding: int, generator: np.random.Generator) -> np.ndarray:
    """A random crop of the zero-padded image and a random horizontal flip, drawn for each image."""
    count, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    tops, lefts = generator.integers(0, 2 * padding + 1, (2, count))
    flips = generator.random(count) < 0.5
    out = np.empty_like(images)
    for index, (top, left, flip) in enumerate(zip(tops, lefts, flips, strict=True)):
        crop = padded[index, :, top : top + height, left : left + width]
        out[index] = crop[:, :, ::-1] if flip else crop
    return out
