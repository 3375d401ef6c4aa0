"""How well a network does on a data set: as PyTorch computes it, and as the integers that become hardware do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.datasets.image_set import Labels
from pipeline.models.boxes import anchors_of
from pipeline.models.tasks import Outputs, Task, task_of
from pipeline.training.losses import Loss, loss_of
from pipeline.verification.accuracy import real_outputs

__all__ = ["Scores", "integer_outputs", "network_outputs", "outputs_of", "score", "scores_of"]


@dataclass(frozen=True)
class Scores:
    """The task's metrics as fractions, by their names in `TITLES`, and the mean loss, over `images` images."""

    metrics: Mapping[str, float]
    loss: float
    images: int


Forward = Callable[[Tensor], Outputs]


def score(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], task: Labels, loss: str) -> Scores:
    """The scores of `network` over all of `batches`."""
    outputs, labels = outputs_of(network_outputs(network), batches)
    return scores_of(outputs, labels, task_of(task, anchors_of(network)), loss_of(loss, network))


def outputs_of(function: Forward, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Outputs, np.ndarray]:
    """The outputs of `function`, (N, classes, …) or a tuple of such, for all of `batches`, and the labels (N, …)."""
    outputs, labels = [], []
    for images, answers in batches:
        outputs.append(function(images))
        labels.append(answers.numpy())
    if isinstance(outputs[0], tuple):
        return tuple(map(np.concatenate, zip(*outputs, strict=True))), np.concatenate(labels)
    return np.concatenate(outputs), np.concatenate(labels)


def network_outputs(network: nn.Module) -> Forward:
    """What `network` gives in evaluation mode, (B, classes, …) float32 or a tuple of such, for images (B, C, H, W) from 0 to 1."""
    device = next(network.parameters()).device
    network.eval()

    def function(images: Tensor) -> Outputs:
        # in float32 on a GPU too, where convolutions are computed with 10 bits of mantissa else
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            result = network(images.to(device))
            return tuple(map(_array, result)) if type(result) is tuple else _array(result)

    return function


def integer_outputs(network: nn.Module, images: Tensor) -> Forward:
    """The outputs of the layer graph that `network`, of Brevitas, becomes: exported, streamlined and converted.

    (B, classes, …) float64 or a tuple of such, the integers of the output scaled as a host would. Every step is proven on `images`, some
    (B, C, H, W) from 0 to 1. Raises VerificationError where one is not exact, UnsupportedError for a network that
    cannot be built.
    """
    from pipeline.frontend.conversion import dataflow
    from pipeline.frontend.streamline import streamline
    from pipeline.models import export

    with tempfile.TemporaryDirectory(prefix="a2q-evaluate-") as scratch:
        model, golden, _ = export.export_brevitas(network, images.numpy(), Path(scratch))
        streamlined = streamline.streamline(model, golden.inputs, golden.outputs)
        graph = dataflow.convert(streamlined.model, golden.inputs, top1=False).graph
    return lambda images: real_outputs(graph, images.numpy(), flat=golden.outputs.ndim == 2)


def scores_of(outputs: Outputs, labels: np.ndarray, task: Task, loss: Loss) -> Scores:
    """The scores of `outputs` for `labels` (N, …)."""
    tensors = tuple(map(_tensor, outputs)) if isinstance(outputs, tuple) else _tensor(outputs)
    return Scores(task.metrics(outputs, labels), float(loss(tensors, torch.from_numpy(labels))), len(labels))


def _tensor(output: np.ndarray) -> Tensor:
    return torch.from_numpy(output).double()


def _array(output: Any) -> np.ndarray:
    plain: Tensor = output.value if hasattr(output, "value") else output
    return plain.cpu().numpy()
