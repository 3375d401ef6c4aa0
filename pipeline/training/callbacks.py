"""The work around the epochs of a training: its checkpoint, its history, its plot, and a line of text for each."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from pipeline.errors import VerificationError
from pipeline.models.metrics import TITLES
from pipeline.training.module import Training

__all__ = ["EpochLines", "History", "WholeCheckpoints"]


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoints, which replace the one before when they are whole.

    Lightning writes them to the folder for temporary files and copies them where that is on another disk: a process that
    ends during the copy would take all epochs with it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        passing = target.with_name(f".{target.name}")
        torch.save(checkpoint, passing)
        passing.replace(target)


class History(lightning.Callback):
    """Every epoch's metrics, in `folder`/metrics.csv and curves.png. Part of a checkpoint: a resumed one is whole.

    The integer weights are looked at after every epoch, and one that breaks its bound ends the training; so does a loss
    that is no number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []
        self._begun = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._begun = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        loss = float(trainer.callback_metrics["train_loss"])
        if not math.isfinite(loss):
            raise VerificationError(
                f"The loss is {loss} after epoch {trainer.current_epoch + 1}. Set a smaller "
                "optimizer.lr, or begin with another checkpoint; the epochs before are kept."
            )
        assert isinstance(pl_module, Training)
        facts = pl_module.integer_facts()
        pl_module.log_dict(facts)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name not in facts}
        seconds = round(time.monotonic() - self._begun, 3)
        row = {"epoch": trainer.current_epoch + 1, **metrics, **facts, "seconds": seconds}
        self.rows.append(row)
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        passing = self.folder / f".metrics.{os.getpid()}"
        with passing.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(self.rows)
        passing.replace(self.folder / "metrics.csv")

    def draw(self, title: str) -> None:
        """Write `folder`/curves.png."""
        if self.rows:
            _plot(self.rows, self.folder / "curves.png", title)


class EpochLines(lightning.Callback):
    """Tells `say` a line after each epoch. Follows History in a trainer's list of callbacks."""

    def __init__(self, history: History, say: Callable[[str], None]) -> None:
        self._history = history
        self._say = say

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        row = self._history.rows[-1]
        parts = [f"epoch {row['epoch']} of {trainer.max_epochs}", f"loss {row['train_loss']:.3f}"]
        accuracy = _accuracy(row)
        if accuracy:
            parts.append(f"{TITLES[accuracy]} {row[f'train_{accuracy}']:.1%} in training")
            if f"val_{accuracy}" in row:
                parts.append(f"{row[f'val_{accuracy}']:.1%} on held-out images")
        elif "val_loss" in row:
            parts.append(f"{row['val_loss']:.3f} on held-out images")
        if "largest_l1" in row:
            parts.append(f"sparsity {row['sparsity']:.2f}, largest ‖w‖₁ {row['largest_l1']:.0f}")
        self._say(", ".join(parts) + f", {row['seconds']:.0f} s")


def _accuracy(row: dict[str, float]) -> str:
    """The share that an epoch counts beside its loss; empty where it counts none."""
    return next((name for name in TITLES if f"train_{name}" in row), "")


def _plot(rows: list[dict[str, float]], path: Path, title: str) -> None:
    """Loss, the share that is counted beside it, and the weights' sparsity and norm over epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    quantized, accuracy = "sparsity" in rows[0], _accuracy(rows[0])
    counted = TITLES.get(accuracy, "")
    figure = Figure(figsize=(9, 6.4 if quantized else 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(2 if quantized else 1, 2, squeeze=False).ravel()
    panels: list[tuple[str, dict[str, str | None]]] = [
        ("loss", {"train_loss": "training images", "val_loss": "held-out images"}),
        (counted, {f"train_{accuracy}": "training images", f"val_{accuracy}": "held-out images"}),
        ("sparsity of hidden weights", {"sparsity": None}),
        ("largest ‖w‖₁ of a hidden channel", {"largest_l1": None}),
    ]
    colours = ("#0072b2", "#e69f00")
    for axis, (panel, series) in zip(axes, panels, strict=False):
        if not panel:
            axis.set_axis_off()
            continue
        for (name, label), colour in zip(series.items(), colours, strict=False):
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            if points:
                axis.plot(*zip(*points, strict=True), color=colour, label=label, marker="o", markersize=3)
        axis.set_title(panel, fontsize=10)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if panel in (counted, "sparsity of hidden weights"):
            axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
        if any(series.values()):
            axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)
