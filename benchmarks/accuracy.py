"""Top-1 of the default network on the 10,000 test images: Brevitas, and the integer graph that becomes hardware.

They must agree image by image; the exit status is 1 if they do not. Needs CIFAR-10 in A2Q_DATA.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["BREVITAS_JIT"] = "0"

import numpy as np
import torch

from pipeline.models import registry
from pipeline.models.golden import cifar10_folder
from pipeline.models.names import MODELS
from pipeline.stages import dataflow, export, streamline
from pipeline.training.data import load_cifar10

BATCH = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", default="quant_resnet8_w4a4_a2q_14b")
    options = parser.parse_args()
    folder = cifar10_folder()
    if folder is None:
        print("accuracy: CIFAR-10 is not at hand; set A2Q_DATA to a folder that holds cifar10/plain_text/*.parquet")
        return 2
    data = load_cifar10(folder, "test", options.images)
    spec = MODELS[options.model]
    network = registry.network(spec)
    registry.load_checkpoint(network, registry.fetch(spec))
    images = data.images.astype(np.float32) / 255
    with tempfile.TemporaryDirectory() as scratch:
        model, golden, _ = export.export_brevitas(network, images[:16], Path(scratch))
        streamlined = streamline.streamline(model, golden.inputs, golden.outputs)
        graph = dataflow.convert(streamlined.model, golden.inputs, top1=True).graph
    begun = time.monotonic()
    brevitas, integer = [], []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        with torch.no_grad():
            brevitas.append(network(torch.from_numpy(batch)).argmax(1).numpy())
        integer.append(graph.run(graph.input_transform.apply(batch)).ravel())
    labels = data.labels[: len(images)]
    brevitas, integer = np.concatenate(brevitas), np.concatenate(integer)
    differ = int((brevitas != integer).sum())
    print(f"{options.model} on {data.source}, {len(images)} images, {time.monotonic() - begun:.0f} s")
    print(f"  Brevitas       top-1 {np.mean(brevitas == labels):.2%}")
    print(f"  integer graph  top-1 {np.mean(integer == labels):.2%}")
    print(f"  images on which the two differ: {differ}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
