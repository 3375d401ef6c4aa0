"""accuracy: how well the integers that become hardware do on the data set of the network.

Requires the record of the network and its layer graph, which is proven equal to the network. Ensures a file with the shares of
the task over the first test images, or the reason why nothing was measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.datasets import catalog
from pipeline.errors import VerificationError
from pipeline.models.boxes import Anchors
from pipeline.models.golden import labelled_frames
from pipeline.models.metrics import TITLES, accuracy_of
from pipeline.models.names import FAMILIES, ModelSpec, Preprocessing, find, recorded
from pipeline.models.resolve import ResolvedModel
from pipeline.models.tasks import Outputs, task_of

__all__ = ["FILE", "Accuracy", "images_for", "load", "measure", "real_outputs"]

FILE = "accuracy.json"

_MOST, _LEAST = 1000, 100  # images, where their number is left open
_MULTIPLICATIONS = 200e9  # of all of them together, some seconds of two cores
_BATCH = 50


@dataclass(frozen=True)
class Accuracy:
    """The shares `metrics` of `TITLES` over `images` images of `source`, from 0 to 1, measured in `seconds`.

    Where nothing was measured `metrics` is empty, and `reason` says why and what to do.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    images: int = 0
    source: str = ""
    seconds: float = 0.0
    reason: str = ""

    @property
    def main(self) -> tuple[str, float] | None:
        """The title of the metric that stands for the network, and its value in percent."""
        found = accuracy_of(self.metrics)
        return found and (TITLES[found[0]], 100 * found[1])

    def save(self, folder: Path) -> None:
        """Write `folder`/FILE."""
        folder.mkdir(parents=True, exist_ok=True)
        how = "measured on the integer graph, which every later step equals in every element"
        (folder / FILE).write_text(json.dumps({**asdict(self), "how": how}, indent=2) + "\n")

    def __str__(self) -> str:
        if not self.metrics:
            return f"not measured: {self.reason}"
        shares = (f"{TITLES[key]} {100 * self.metrics[key]:.1f} %" for key in TITLES if key in self.metrics)
        return f"{', '.join(shares)} of {self.source}"


def load(file: Path) -> Accuracy:
    """What `Accuracy.save` wrote."""
    content = json.loads(file.read_text())
    return Accuracy(**{name: content[name] for name in Accuracy.__dataclass_fields__})


def images_for(graph: LayerGraph) -> int:
    """How many images are measured where their number is left open: fewer of networks with more multiplications, in hundreds."""
    counts = (layer.op_and_param_counts() for layer in graph)
    macs = sum(number for numbers in counts for key, number in numbers.items() if key.startswith("op_mac"))
    affordable = int(_MULTIPLICATIONS // max(macs, 1)) // _LEAST * _LEAST
    return min(max(affordable, _LEAST), _MOST)


def measure(
    graph: LayerGraph,
    record: ResolvedModel,
    images: int | Literal["auto"],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Accuracy:
    """The accuracy of `graph` over the first test images of the data set of `record`: `images` of them, or as many as
    `images_for` says. Raises InputError for a data set that is damaged."""
    if images == 0:
        return Accuracy(reason="not asked for (accuracy_images: 0)")
    if record.weights == "synthetic":
        return Accuracy(reason="the weights are drawn, not trained")
    if record.kind == "qonnx":
        return Accuracy(
            reason="the file does not say what data it is for; `a2q evaluate FILE --dataset DATA` measures it on yours"
        )
    spec = recorded(record.name, record.network) if record.network else find(record.name)
    if reason := _unfit(spec, graph):
        return Accuracy(reason=reason)
    dataset = catalog.find(spec.dataset)
    began = time.monotonic()
    count = images_for(graph) if images == "auto" else images
    chosen = labelled_frames(spec.dataset, record.input_shape, record.preprocessing or Preprocessing(), count)
    if chosen is None:
        return Accuracy(reason=_not_there(spec))
    frames, labels = chosen[0].frames, chosen[1]
    flat = dataset.labels == "classes"
    parts = []
    for first in range(0, len(frames), _BATCH):
        parts.append(real_outputs(graph, frames[first : first + _BATCH], flat=flat))
        on_progress(min(first + _BATCH, len(frames)), len(frames))
    outputs: Outputs = tuple(map(np.concatenate, zip(*parts, strict=True))) if graph.outputs else np.concatenate(parts)
    if graph.gives_labels:
        metrics = {"top1": float((outputs.ravel() == labels).mean())}
    else:
        metrics = task_of(dataset.labels, _anchors(record, graph)).metrics(outputs, labels)
    return Accuracy(metrics, len(frames), chosen[0].source, round(time.monotonic() - began, 2))


def _unfit(spec: ModelSpec, graph: LayerGraph) -> str:
    """Why the answers of the network cannot be compared with those of a data set; empty where they can."""
    family = FAMILIES[spec.family]
    if not spec.dataset:
        return "no data set is known for it" + ("; Super resolution has its PSNR" if family.output == "image" else "")
    data = catalog.find(spec.dataset)
    if (data.classes, data.labels, data.input_range) != (spec.num_classes, family.output, family.input_range):
        return f"{data.title} is not what it tells {spec.num_classes} classes of apart"
    if graph.gives_labels and data.labels != "classes":
        return f"one label a frame cannot be compared with {data.labels} (output: logits)"
    return ""


def _not_there(spec: ModelSpec) -> str:
    data = catalog.find(spec.dataset)
    if catalog.at_hand(spec.dataset, "test"):
        return (
            f"{data.title} has a file an image, or images of another shape; `a2q evaluate {spec.name}` measures the network on what "
            "there is"
        )
    return f"{data.title} is not at hand. {data.how_to_get.replace(' there', f' into {spec.dataset}/ in the folder A2Q_DATA', 1)}"


def _anchors(record: ResolvedModel, graph: LayerGraph) -> tuple[Anchors, ...]:
    """Those of each output of `graph`."""
    if isinstance(record.anchors, dict):
        return tuple(record.anchors[output.name] for output in graph.outputs)
    return (record.anchors,) if record.anchors else ()


def real_outputs(graph: LayerGraph, frames: np.ndarray, *, flat: bool) -> Outputs:
    """What `graph` makes of `frames` (N, *shape), as the network takes them: its integers scaled as a host would, float64.

    (N, K, …), channels before places; `flat` (N, K); a tuple for several outputs; or the integers where they are labels.
    Raises VerificationError for a graph that does not say what its integers stand for.
    """
    before, after = graph.input_transform, graph.output_transform
    if before is None or (after is None and not graph.gives_labels):
        raise VerificationError(f"the layer graph {graph.name} does not say what its integers stand for.")
    integers = graph.run(before.apply(frames))
    if graph.gives_labels or after is None:
        return integers
    if graph.outputs:
        real: Any = integers * after.scale + after.bias
        return tuple(output.of(real) for output in graph.outputs)
    if flat:
        integers = integers.reshape(len(frames), -1)
    return np.moveaxis(integers * after.scale + after.bias, -1, 1)  # hardware has channels last
