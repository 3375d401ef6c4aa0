"""Images a second of `a2q train` on the default network, beside Brevitas' own example loop in the same run.

Brevitas' loop is the function `train_for_epoch` of its super-resolution example, which has A2Q's penalty. It is given
images in memory that nothing is done to, ours reads and augments its own; both begin with the default checkpoint.
Also how long reading and augmenting alone take. Needs CIFAR-10 in A2Q_DATA.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # both loops on the CPU

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, TensorDataset

from pipeline.datasets.augment import Augmentation
from pipeline.datasets.catalog import load
from pipeline.datasets.loader import batches_of
from pipeline.errors import InputError
from pipeline.files import TRAIN_CONFIGS
from pipeline.models.registry import trained_network
from pipeline.training.config import load_train_config
from pipeline.training.fit import fit

MODEL = "quant_resnet8_w4a4_a2q_14b"
BATCH = 128
LEAST = 0.8  # of the speed of Brevitas' loop


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=40, help="batches of 128 images in an epoch")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of each loop, before and after the other")
    options = parser.parse_args()
    images = options.batches * BATCH
    try:
        data = load("cifar10", "train", None, images)
    except InputError as error:
        print(f"training: {error}")
        return 2
    # before and after, so that a machine which slows down in the meantime slows both
    theirs = _brevitas_loop(data, options.epochs)
    ours = _own_loop(images, 2 * options.epochs)
    theirs += _brevitas_loop(data, options.epochs)
    loading = _loading(data, options.epochs)
    rate, own_rate = (images / statistics.median(seconds) for seconds in (theirs, ours))
    table = Table(f"{torch.get_num_threads()} threads", "images/s", "", box=None)
    table.add_row("Brevitas' example loop", f"{rate:,.0f}", "")
    table.add_row("a2q train", f"{own_rate:,.0f}", f"× {own_rate / rate:.2f}, bound {LEAST}")
    share = statistics.median(loading) / statistics.median(ours)
    table.add_row(
        "reading and augmenting alone", f"{images / statistics.median(loading):,.0f}", f"{share:.1%} of the time"
    )
    Console().print(table)
    return 0 if own_rate >= LEAST * rate else 1


def _brevitas_loop(data, epochs: int) -> list[float]:
    """Seconds of each epoch."""
    path = Path(importlib.util.find_spec("brevitas_examples").submodule_search_locations[0])
    # the file alone: its package imports what only the rest of the example needs
    spec = importlib.util.spec_from_file_location("brevitas_loop", path / "super_resolution" / "utils" / "train.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    _, network, _ = trained_network(MODEL)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, nesterov=True)
    tensors = TensorDataset(torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels))
    loader = DataLoader(tensors, BATCH, shuffle=True, drop_last=True)
    loss = torch.nn.CrossEntropyLoss()
    return [_seconds(lambda: example.train_for_epoch(loader, network, loss, optimizer)) for _ in range(epochs)]


def _own_loop(images: int, epochs: int) -> list[float]:
    """Seconds of each epoch, with the check of every bound at its end."""
    overrides = {
        "init": MODEL,
        "images": images,
        "epochs": epochs,
        "batch_size": BATCH,
        "optimizer": {"lr": 0.001},
        "accumulator": {"method": "a2q", "bit_width": 14, "ep_init": False},
    }
    config = load_train_config(TRAIN_CONFIGS / "cifar10_quant_resnet8_w4a4.yaml", overrides)
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        fit(config, Path(scratch), lambda line: None)
        with Path(scratch, "metrics.csv").open() as stream:
            return [float(row["seconds"]) for row in csv.DictReader(stream)]


def _loading(data, epochs: int) -> list[float]:
    batches = batches_of(data, BATCH, training=True, augmentation=Augmentation(4, True))
    return [_seconds(lambda: [None for _ in batches]) for _ in range(epochs)]


def _seconds(work) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())
