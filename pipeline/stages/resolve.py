"""resolve: from what the user calls a model to the files and facts that every later stage goes by.

Requires a model's name, or the path of a QONNX file or checkpoint. Ensures a folder with the model's own file, checked and
readable, golden frames of its input shape, and a record of what both are and where they come from.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline import fingerprint
from pipeline.errors import ConfigError, ModelError
from pipeline.models import golden
from pipeline.models.golden import GoldenFrames
from pipeline.models.names import ModelSpec, Preprocessing, find, is_checkpoint, is_path, located, recorded
from pipeline.models.registry import (
    checkpoint_facts,
    checkpoint_record,
    fetch,
    load_checkpoint,
    network,
    trained_network,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ResolvedModel", "golden_frames", "load", "load_network", "run"]

_RECORD = "model.json"
_GOLDEN = "golden.npy"


@dataclass(frozen=True)
class ResolvedModel:
    """What is known of a model. `file` lies in the stage's folder; its SHA-256 is of that very file.

    `weights` says what its weights are: `trained`, `synthetic`, or `user's file`; reports print `provenance`, a
    sentence on the same. `accumulator_bits` is the width that the layers in `a2q_layers` were trained for.
    """

    name: str
    kind: Literal["brevitas", "qonnx"]
    file: str
    sha256: str
    weights: Literal["trained", "synthetic", "user's file"]
    provenance: str
    input_shape: tuple[int, ...]
    preprocessing: Preprocessing | None  # None where the file alone knows
    dataset: str
    method: str  # a2q, a2q_plus, or empty where it is not known
    accumulator_bits: int | None
    a2q_layers: tuple[str, ...]
    golden_source: str
    network: dict[str, Any] = field(
        default_factory=dict
    )  # what a checkpoint of the user's is of; else the name says it

    @property
    def target_bits(self) -> dict[str, int]:
        """The width promised to each layer that was trained for one, by the name of its weights in the file."""
        if self.accumulator_bits is None:
            return {}
        return {f"{layer}.weight": self.accumulator_bits for layer in self.a2q_layers}

    def save(self, folder: Path) -> None:
        (folder / _RECORD).write_text(json.dumps(asdict(self), indent=2) + "\n")


def run(
    model: str, weights: str, seed: int, golden_frames: int, golden_inputs: Path | None, folder: Path
) -> tuple[ResolvedModel, np.ndarray]:
    """Resolve `model`, with trained or synthetic `weights`, into `folder`. Returns the record and the golden frames.

    Raises ModelError for a model that is not known, not to be had, or damaged.
    """
    if weights == "trained":
        model = located(model)
    if is_path(model):
        if weights == "synthetic":
            raise ConfigError(
                f"weights is 'synthetic', but {model} has its own. Synthetic weights are for named models."
            )
        resolve = _resolve_checkpoint if is_checkpoint(model) else _resolve_file
        record, frames = resolve(Path(model), seed, golden_frames, golden_inputs, folder)
    else:
        record, frames = _resolve_name(find(model), weights, seed, golden_frames, golden_inputs, folder)
    np.save(folder / _GOLDEN, frames)
    record.save(folder)
    return record, frames


def load(folder: Path) -> tuple[ResolvedModel, np.ndarray]:
    """The record and the golden frames that `run` wrote."""
    values = json.loads((folder / _RECORD).read_text())
    preprocessing = values["preprocessing"]
    if preprocessing is not None:
        preprocessing = Preprocessing(*(tuple(preprocessing[name]) for name in ("mean", "std")))
    values.update(
        preprocessing=preprocessing, input_shape=tuple(values["input_shape"]), a2q_layers=tuple(values["a2q_layers"])
    )
    return ResolvedModel(**values), np.load(folder / _GOLDEN, allow_pickle=False)


def load_network(record: ResolvedModel, folder: Path) -> nn.Module:
    """The Brevitas network of a record of kind `brevitas`, with its weights, in evaluation mode."""
    model = network(recorded(record.name, record.network) if record.network else find(record.name))
    load_checkpoint(model, folder / record.file)
    return model.eval()


def _resolve_name(
    spec: ModelSpec, weights: str, seed: int, count: int, golden_inputs: Path | None, folder: Path
) -> tuple[ResolvedModel, np.ndarray]:
    _refuse_float(spec)
    model = network(spec)
    chosen = golden_frames(spec, seed, count, golden_inputs)
    path = folder / "checkpoint.pth"
    if weights == "synthetic":
        _write_synthetic(model, spec, seed, path)
        bound = f" that meets the bound of {spec.method} for {spec.accumulator_bits}-bit accumulators"
        provenance = f"synthetic weights, not trained: a draw with seed {seed}{bound if spec.method else ''}"
    else:
        source = fetch(spec)
        load_checkpoint(model, source)
        shutil.copyfile(source, path)
        published = f"top-1 {spec.published_top1} % as published (QONNX model zoo)" if spec.url else ""
        provenance = f"trained checkpoint {spec.file}, {published or _top1(checkpoint_facts(spec), spec)}"
    return _brevitas(spec, model, weights, provenance, path, chosen), chosen.frames


def _resolve_checkpoint(
    source: Path, seed: int, count: int, golden_inputs: Path | None, folder: Path
) -> tuple[ResolvedModel, np.ndarray]:
    spec, model, _ = trained_network(str(source))
    _refuse_float(spec)
    chosen = golden_frames(spec, seed, count, golden_inputs)
    path = folder / "checkpoint.pth"
    shutil.copyfile(source, path)
    facts = checkpoint_record(source)
    known = f"{_top1(facts, spec)} by its own record" if "top1" in facts else "of unknown accuracy"
    provenance = f"the user's checkpoint {source.name}, {known}"
    record = _brevitas(spec, model, "trained", provenance, path, chosen)
    return replace(record, network=spec.as_record()), chosen.frames


def _brevitas(
    spec: ModelSpec, model: nn.Module, weights: str, provenance: str, path: Path, chosen: GoldenFrames
) -> ResolvedModel:
    from pipeline.models.a2q import a2q_layers

    return ResolvedModel(
        name=spec.name,
        kind="brevitas",
        file=path.name,
        sha256=fingerprint.file(path),
        weights=weights,
        provenance=provenance,
        input_shape=spec.input_shape,
        preprocessing=spec.preprocessing,
        dataset=spec.dataset,
        method=spec.method,
        accumulator_bits=spec.accumulator_bits,
        a2q_layers=tuple(a2q_layers(model)),
        golden_source=chosen.source,
    )


def _refuse_float(spec: ModelSpec) -> None:
    if spec.quantization is None:
        raise ModelError(
            f"{spec.name} is a float network. Hardware is built from quantized ones, such as quant_{spec.family}_w4a4: "
            f"train one that begins with it (init: {spec.name})."
        )


def _write_synthetic(model: nn.Module, spec: ModelSpec, seed: int, path: Path) -> None:
    import torch

    from pipeline.models.synthetic import fill

    settling = golden.from_photographs(spec.input_shape, spec.preprocessing, 32, seed)
    fill(model, spec.method, spec.accumulator_bits, settling.frames, seed)
    torch.save(model.state_dict(), path)


def _top1(facts: dict, spec: ModelSpec) -> str:
    return f"top-1 {100 * facts['top1']:.1f} % on {facts.get('test_data', spec.dataset)}"


def golden_frames(spec: ModelSpec, seed: int, count: int, golden_inputs: Path | None = None) -> GoldenFrames:
    """The golden frames of a named model: `golden_inputs` if given, its data set, or photographs drawn with `seed`."""
    if golden_inputs is not None:
        return golden.from_file(golden_inputs, spec.input_shape, count)
    return golden.from_dataset(spec.dataset, spec.input_shape, spec.preprocessing, count) or golden.from_photographs(
        spec.input_shape, spec.preprocessing, count, seed
    )


def _resolve_file(
    path: Path, seed: int, count: int, golden_inputs: Path | None, folder: Path
) -> tuple[ResolvedModel, np.ndarray]:
    from pipeline.streamline.executor import graph_input
    from pipeline.streamline.reading import read_model

    model = read_model(path)
    shape = tuple(d.dim_value for d in graph_input(model.graph).type.tensor_type.shape.dim)[1:]
    if not shape or min(shape) < 1:
        raise ModelError(
            f"The model {path} does not say the shape of its input ({shape}). Export it with a fixed shape."
        )
    copy = folder / "model.onnx"
    shutil.copyfile(path, copy)
    if golden_inputs is not None:
        chosen = golden.from_file(golden_inputs, shape, count)
    elif golden.is_image(shape):
        plain = Preprocessing()
        dataset = {(3, 32, 32): "cifar10", (1, 28, 28): "mnist"}.get(shape, "")
        chosen = golden.from_dataset(dataset, shape, plain, count) or golden.from_photographs(shape, plain, count, seed)
    else:
        chosen = golden.from_draw(shape, *_input_range(model), count, seed)
    record = ResolvedModel(
        name=path.stem,
        kind="qonnx",
        file=copy.name,
        sha256=fingerprint.file(copy),
        weights="user's file",
        provenance=f"the user's file {path.name}",
        input_shape=shape,
        preprocessing=None,
        dataset="",
        method="",
        accumulator_bits=None,
        a2q_layers=(),
        golden_source=chosen.source,
    )
    return record, chosen.frames


def _input_range(model) -> tuple[float, float]:
    """What the quantizer of the network's input can tell apart; −1 to 1 where the input has none of its own."""
    from pipeline.streamline.executor import constants, graph_input
    from pipeline.streamline.quantizers import QUANTIZER_OPS, read_quantizer

    arrays = constants(model.graph)
    name = graph_input(model.graph).name
    for node in model.graph.node:
        if node.op_type in QUANTIZER_OPS and node.input[0] == name:
            quantizer = read_quantizer(node, [arrays.get(operand) for operand in node.input[1:]])
            scale = float(np.max(quantizer.scale))
            return quantizer.lo * scale, quantizer.hi * scale
    return -1.0, 1.0
