"""resolve: from what the user calls a model to the files and facts that every later stage goes by.

Requires a model's name, or the path of a QONNX file or checkpoint. Ensures a folder with the model's own file, checked and
readable, golden frames of its input shape, and a record of what both are and where they come from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline import fingerprint
from pipeline.dataflow.finn_node import FOLDING_FILE
from pipeline.errors import ConfigError, ModelError, UnsupportedError
from pipeline.models import golden
from pipeline.models.golden import GoldenFrames
from pipeline.models.metrics import TITLES, accuracy_of
from pipeline.models.names import (
    FAMILIES,
    LARGEST_SIDE,
    ModelSpec,
    Preprocessing,
    find,
    is_checkpoint,
    is_path,
    located,
    recorded,
)
from pipeline.models.network_record import LayerBound, NetworkRecord
from pipeline.models.quantization import FLOAT
from pipeline.models.registry import (
    available,
    checkpoint_facts,
    checkpoint_record,
    load_checkpoint,
    network,
    trained_network,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Anchors",
    "ResolvedModel",
    "Weights",
    "check_hardware",
    "check_whole",
    "drawn_frames",
    "golden_frames",
    "load",
    "load_network",
    "run",
]

_RECORD = "model.json"
_GOLDEN = "golden.npy"
_QUOTED = "quoted: published in the QONNX model zoo, on CIFAR-10"
_PSNR_OF = "as Brevitas' README of super resolution publishes it for BSD300, whose images are not here"
_OF_FINN = ", a model of FINN's hardware nodes, folded as they are"
_UNPROJECTED = (
    ", of Brevitas' own export: if layers were trained with A2Q, it does not hold their projected weights, and "
    "pipeline.export_qonnx exports them right"
)


Weights = Literal["trained", "synthetic", "user's file"]

Anchors = tuple[tuple[float, float], ...]

_SETTLING = 32  # frames that the scales of synthetic networks are found on


@dataclass(frozen=True)
class ResolvedModel:
    """The facts that are known of a model. `file` lies in the stage's folder; its SHA-256 is of that very file.

    `weights` says what its weights are: `trained`, `synthetic`, or `user's file`; reports print `provenance`, a
    sentence on the same. `bounds` has what its layers were trained for, by the name of the layer. `preprocessing` is
    what becomes of a pixel before the network takes it, `input_range` the least and the largest number that it takes,
    each None where it is not known, and `classes` what its outputs are called. `top1` is the accuracy of a trained
    network in percent, None where it is not known, and `top1_how` says how it was obtained. `anchors` are those of a
    detector of YOLOv2's kind, width and height in cells, by the names of its outputs where it has several, and empty for any
    other network.
    """

    name: str
    kind: Literal["brevitas", "qonnx"]
    file: str
    sha256: str
    weights: Weights
    provenance: str
    input_shape: tuple[int, ...]
    preprocessing: Preprocessing | None
    dataset: str
    bounds: dict[str, LayerBound]
    golden_source: str
    input_range: tuple[float, float] | None = None
    classes: tuple[str, ...] = ()
    network: dict[str, Any] = field(default_factory=dict)  # what the checkpoint is of, where the name does not say it
    top1: float | None = None  # in percent
    top1_how: str = ""
    anchors: Anchors | dict[str, Anchors] = ()

    @property
    def method(self) -> str:
        """a2q or a2q_plus; empty where no layer was trained for an accumulator, or they were by both."""
        methods = {bound.method for bound in self.bounds.values()}
        return methods.pop() if len(methods) == 1 else ""

    @property
    def accumulator_bits(self) -> int | None:
        """The width that all of `bounds` were trained for; None where there is none, or more than one."""
        widths = {bound.accumulator_bits for bound in self.bounds.values()}
        return widths.pop() if len(widths) == 1 else None

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The least and the largest number that the network takes, float32, which broadcast against one frame; None
        where that is not known but by the quantizer of the input."""
        if self.input_range is not None:
            low, high = (np.asarray(end, np.float32) for end in self.input_range)
            return low, high
        return None if self.preprocessing is None else self.preprocessing.ends

    @property
    def target_bits(self) -> dict[str, int]:
        """The width promised to each layer that was trained for one, by the name of its module."""
        return {layer: bound.accumulator_bits for layer, bound in self.bounds.items()}

    @property
    def network_record(self) -> NetworkRecord:
        """The record in the model's QONNX file."""
        channels = self.input_shape[0]
        taken = self.preprocessing and (self.preprocessing.mean[:channels], self.preprocessing.std[:channels])
        mean, std = taken or (None, None)
        named = {"classes": self.classes or None, "anchors": self.anchors or None}
        return NetworkRecord(layers=self.bounds, mean=mean, std=std, **named)

    def save(self, folder: Path) -> None:
        bounds = {layer: bound.model_dump() for layer, bound in self.bounds.items()}
        (folder / _RECORD).write_text(json.dumps({**asdict(self), "bounds": bounds}, indent=2) + "\n")


def run(
    model: str,
    weights: Literal["trained", "synthetic"],
    seed: int,
    golden_frames: int,
    golden_inputs: Path | None,
    folder: Path,
    *,
    input_range: tuple[float, float] | None = None,
    model_class: str | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> tuple[ResolvedModel, np.ndarray]:
    """Resolve `model`, with trained or synthetic `weights`, into `folder`. Returns the record and the golden frames.

    `input_range` is the least and the largest number that a network takes whose file does not say it. `model_class` and
    `input_shape` say what network a checkpoint of the user's fills, see `pipeline/models/user_class.py`; `input_shape`
    alone, of what size the input of a named network is.

    Raises ModelError for a model that is not known, not to be had, or damaged, ConfigError for options that do not fit it.
    """
    if weights == "trained":
        model = located(model)
    if is_path(model) and weights == "synthetic":
        raise ConfigError(f"weights is 'synthetic', but {model} has its own. Synthetic weights are for named models.")
    if model_class is not None or (input_shape is not None and is_path(model)):
        _check_class(model, model_class, input_shape)
    if not is_path(model):
        if input_range is not None:
            raise ConfigError(
                f"input_range is given, but {model} is a named model, whose input is known. Leave it out."
            )
        spec = find(model)
        if input_shape is not None:
            spec = _of_shape(spec, input_shape, weights)
        record, frames = _resolve_name(spec, weights, seed, golden_frames, golden_inputs, folder)
    elif model_class is not None and input_shape is not None:
        exported, provenance = _export_class(Path(model), model_class, input_shape, input_range, folder)
        record, frames = _resolve_file(exported, input_range, seed, golden_frames, golden_inputs, folder)
        record = replace(record, name=Path(model).stem, provenance=provenance)
    elif is_checkpoint(model):
        if input_range is not None:
            raise ConfigError(f"input_range is given, but {model} is a checkpoint, whose input is known. Leave it out.")
        record, frames = _resolve_checkpoint(Path(model), seed, golden_frames, golden_inputs, folder)
    else:
        record, frames = _resolve_file(Path(model), input_range, seed, golden_frames, golden_inputs, folder)
    np.save(folder / _GOLDEN, frames)
    record.save(folder)
    return record, frames


def load(folder: Path) -> tuple[ResolvedModel, np.ndarray]:
    """The record and the golden frames that `run` wrote. Raises ModelError for files that are missing or damaged."""
    try:
        return _loaded(folder)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ModelError(f"The network in {folder} cannot be read: {error!r}. Build it again.") from error


def _loaded(folder: Path) -> tuple[ResolvedModel, np.ndarray]:
    values = json.loads((folder / _RECORD).read_text())
    preprocessing = values["preprocessing"]
    if preprocessing is not None:
        preprocessing = Preprocessing(*(tuple(preprocessing[name]) for name in ("mean", "std")))
    values.update(
        preprocessing=preprocessing,
        input_shape=tuple(values["input_shape"]),
        bounds={layer: LayerBound(**bound) for layer, bound in values["bounds"].items()},
        input_range=tuple(values["input_range"]) if values["input_range"] else None,
        classes=tuple(values["classes"]),
        anchors=_anchors(values["anchors"]),
    )
    return ResolvedModel(**values), np.load(folder / _GOLDEN, allow_pickle=False)


def _anchors(values: Any) -> Anchors | dict[str, Anchors]:
    if isinstance(values, dict):
        return {name: tuple(map(tuple, anchors)) for name, anchors in values.items()}
    return tuple(map(tuple, values))


def load_network(record: ResolvedModel, folder: Path) -> nn.Module:
    """The Brevitas network of a record of kind `brevitas`, with its weights, in evaluation mode."""
    model = network(recorded(record.name, record.network) if record.network else find(record.name))
    load_checkpoint(model, folder / record.file)
    return model.eval()


def _resolve_name(
    spec: ModelSpec,
    weights: Literal["trained", "synthetic"],
    seed: int,
    count: int,
    golden_inputs: Path | None,
    folder: Path,
) -> tuple[ResolvedModel, np.ndarray]:
    model = network(spec)
    _refuse_float(spec, model)
    chosen = golden_frames(spec, seed, count, golden_inputs)
    path = folder / "checkpoint.pth"
    if weights == "synthetic":
        _write_synthetic(model, spec, seed, path)
        bound = f" that meets the bound of {spec.method} for {spec.accumulator_bits}-bit accumulators"
        provenance = f"synthetic weights, not trained: a draw with seed {seed}{bound if spec.method else ''}"
        record = _brevitas(spec, model, weights, provenance, path, chosen)
        return replace(record, network=_if_not_by_name(spec)), chosen.frames
    spec, source, other = available(spec)
    if other:
        model, chosen = network(spec), golden_frames(spec, seed, count, golden_inputs)
    load_checkpoint(model, source)
    shutil.copyfile(source, path)
    facts: Mapping[str, Any] = {}
    top1: float | None = None
    if spec.url and spec.published_psnr is not None:
        known, how = f"PSNR {spec.published_psnr:.2f} dB {_PSNR_OF}", ""
    elif spec.url:
        known, top1, how = f"top-1 {spec.published_top1} % as published (QONNX model zoo)", spec.published_top1, _QUOTED
    else:
        facts = checkpoint_facts(spec)
        known, top1, how = _accuracy(facts, spec), *_measured(facts, spec)
    trained = f" after {facts['epochs']} epochs" if other and "epochs" in facts else ""
    provenance = f"trained checkpoint {spec.file}, {known}{trained}{f', {other}' if other else ''}"
    record = _brevitas(spec, model, weights, provenance, path, chosen)
    described = spec.as_record() if other else _if_not_by_name(spec)
    return replace(record, network=described, top1=top1, top1_how=how), chosen.frames


def _of_shape(spec: ModelSpec, shape: tuple[int, ...], weights: Weights) -> ModelSpec:
    """`spec` for an input of `shape`. Raises ConfigError where its weights, or its kind, take no such input."""
    family = FAMILIES[spec.family]
    if len(shape) != 3 or max(shape) > LARGEST_SIDE:
        raise ConfigError(
            f"input_shape is {shape}; {spec.name} takes three sizes of up to {LARGEST_SIDE}, such as {spec.input_shape}."
        )
    if (weights == "trained" or spec.url) and not family.any_size and shape != spec.input_shape:
        raise ConfigError(
            f"input_shape is {shape}, but {spec.name} is one for {spec.input_shape}. Leave input_shape out, or build a "
            "network that is not trained with synthetic weights (--weights synthetic)."
        )
    if family.input_range is None and shape[0] not in (1, 3):
        raise ConfigError(f"input_shape is {shape}; {spec.name} takes images, of 1 or 3 channels.")
    if spec.url and shape[0] != spec.input_shape[0]:
        raise ConfigError(f"input_shape is {shape}; {spec.name} takes images of {spec.input_shape[0]} channels.")
    return replace(spec, input_shape=(shape[0], shape[1], shape[2]))


def _if_not_by_name(spec: ModelSpec) -> dict[str, Any]:
    """The record of a network that differs from the one of its name; empty where that name says it all.

    A network of a release takes images of any size as it is.
    """
    return {} if spec.url or spec == find(spec.name) else spec.as_record()


def _resolve_checkpoint(
    source: Path, seed: int, count: int, golden_inputs: Path | None, folder: Path
) -> tuple[ResolvedModel, np.ndarray]:
    spec, model, _ = trained_network(str(source))
    _refuse_float(spec, model)
    chosen = golden_frames(spec, seed, count, golden_inputs)
    path = folder / "checkpoint.pth"
    shutil.copyfile(source, path)
    facts = checkpoint_record(source)
    known = f"{_accuracy(facts, spec)} by its own record" if accuracy_of(facts) else "of unknown accuracy"
    how = facts.get("quantized_after_training")
    after = f", quantized after training ({how})" if how else ""
    provenance = f"the user's checkpoint {source.name}{after}, {known}"
    record = _brevitas(spec, model, "trained", provenance, path, chosen)
    top1, how = _measured(facts, spec)
    return replace(record, network=spec.as_record(), top1=top1, top1_how=how), chosen.frames


def _brevitas(
    spec: ModelSpec, model: nn.Module, weights: Weights, provenance: str, path: Path, chosen: GoldenFrames
) -> ResolvedModel:
    from pipeline.models.a2q import layer_bounds

    takes = FAMILIES[spec.family].input_range
    return ResolvedModel(
        name=spec.name,
        kind="brevitas",
        file=path.name,
        sha256=fingerprint.file(path),
        weights=weights,
        provenance=provenance,
        input_shape=spec.input_shape,
        preprocessing=spec.preprocessing if takes is None else None,
        dataset=spec.dataset,
        bounds=layer_bounds(model),
        golden_source=chosen.source,
        input_range=takes,
        anchors=_anchors_of(model),
    )


def _anchors_of(model: nn.Module) -> Anchors | dict[str, Anchors]:
    """Those of a detector, see `ImageNetwork`; releases have none."""
    grids: tuple[Anchors, ...] = getattr(model, "grids", ())
    if len(grids) < 2:
        return grids[0] if grids else ()
    return dict(zip(getattr(model, "output_names", ()), grids, strict=True))


def _refuse_float(spec: ModelSpec, model: nn.Module) -> None:
    check_hardware(spec, model)
    if spec.quantization is None:
        raise ModelError(
            f"{spec.name} is a float network. Hardware is built from quantized ones, such as quant_{spec.family}_w4a4: "
            f"train one that begins with it (init: {spec.name}), or quantize it as it is (a2q quantize {spec.name})."
        )
    check_whole(spec)


def check_hardware(spec: ModelSpec, model: nn.Module) -> None:
    """Raise UnsupportedError for a network with operators that become no hardware."""
    operators = getattr(model, "without_hardware", ())
    if operators:
        raise UnsupportedError(
            f"{spec.name} has the operators {', '.join(operators)}, for which there is no hardware here; such a network can be "
            "trained, quantized and evaluated, and not built or exported.",
        )


def check_whole(spec: ModelSpec) -> None:
    """Raise ModelError for a network of which a part is left in float."""
    bits = spec.quantization
    if bits is not None and not bits.is_whole:
        raise ModelError(
            f"{spec.name} has weights of {bits.weight_bits} and activations of {bits.act_bits} bits, {FLOAT} being float: it "
            "can be evaluated, and hardware computes with integers alone. Quantize both."
        )


def _write_synthetic(model: nn.Module, spec: ModelSpec, seed: int, path: Path) -> None:
    import torch

    from pipeline.models.synthetic import fill

    fill(model, drawn_frames(spec, seed, _SETTLING).frames, seed)
    torch.save(model.state_dict(), path)


def _accuracy(facts: Mapping[str, Any], spec: ModelSpec) -> str:
    """What the record `facts` has for accuracy, in words."""
    reached = accuracy_of(facts)
    assert reached is not None  # whoever asks has seen it
    return f"{TITLES[reached[0]]} {100 * reached[1]:.1f} % on {facts.get('test_data', spec.dataset)}"


def _measured(facts: Mapping[str, Any], spec: ModelSpec) -> tuple[float | None, str]:
    """Top-1 in percent that a checkpoint's record has, and how it was obtained."""
    if "top1" not in facts:
        return None, ""
    data = facts.get("test_data", spec.dataset)
    after = "quantization" if "quantized_after_training" in facts else "training"
    return round(100 * facts["top1"], 4), f"measured after {after}, as Brevitas computes it: all images of {data}"


def golden_frames(spec: ModelSpec, seed: int, count: int, golden_inputs: Path | None = None) -> GoldenFrames:
    """The golden frames of a named model: `golden_inputs` if given, its data set, or photographs drawn with `seed`; for
    one that takes no images, frames that are drawn."""
    if golden_inputs is not None:
        chosen = golden.from_file(golden_inputs, spec.input_shape, count)
        ends, known_by = spec.preprocessing.ends, "its preprocessing"
        if (takes := FAMILIES[spec.family].input_range) is not None:
            ends, known_by = _ends(takes), "its family"
        golden.check_range(f"golden_inputs: {golden_inputs}", chosen.frames, ends, known_by)
        return chosen
    of_dataset = golden.from_dataset(spec.dataset, spec.input_shape, spec.preprocessing, count)
    return of_dataset or drawn_frames(spec, seed, count)


def drawn_frames(spec: ModelSpec, seed: int, count: int) -> GoldenFrames:
    """`count` frames for `spec` where there is no data set: crops of photographs, or numbers over its range."""
    takes = FAMILIES[spec.family].input_range
    if takes is None:
        return golden.from_photographs(spec.input_shape, spec.preprocessing, count, seed)
    frames = golden.range_frames(_ends(takes), spec.input_shape, count, seed)
    return GoldenFrames(frames, f"{count} frames drawn from {takes[0]:g} to {takes[1]:g}, not the model's data set")


def _ends(takes: tuple[float, float]) -> golden.Ends:
    return np.array(takes[0], np.float32), np.array(takes[1], np.float32)


def _resolve_file(
    path: Path,
    input_range: tuple[float, float] | None,
    seed: int,
    count: int,
    golden_inputs: Path | None,
    folder: Path,
) -> tuple[ResolvedModel, np.ndarray]:
    from pipeline.frontend.conversion.walk import find_obstacles
    from pipeline.frontend.streamline.external_data import copy_model
    from pipeline.frontend.streamline.finn_nodes import finn_folding
    from pipeline.frontend.streamline.reading import read_model
    from pipeline.models.network_input import network_input
    from pipeline.models.network_record import is_brevitas_own, read_record

    model = read_model(path, find_obstacles)
    known = read_record(model, path)
    taken = network_input(model, path, known, input_range)
    if golden_inputs is not None:
        chosen = golden.from_file(golden_inputs, taken.shape, count)
        if taken.ends is not None:
            golden.check_range(f"golden_inputs: {golden_inputs}", chosen.frames, taken.ends, taken.known_by)
    elif taken.ends is not None:
        chosen = golden.of_range(taken.shape, taken.ends, taken.of_pixels, count, seed)
    else:
        raise ConfigError(
            f"The model {path} takes floats, and nothing says which: it has no quantizer at its input whose range could "
            "be told, and no record of one. Give the range of what your program feeds it, such as input_range: [0, 255] "
            "(--input-range 0,255), or some of its inputs as golden_inputs, or export it with "
            "pipeline.export_qonnx(…, input_range=(0, 255))."
        )
    folding = finn_folding(model)
    if folding is not None:
        (folder / FOLDING_FILE).write_text(json.dumps(folding, indent=1) + "\n")
    copy = folder / "model.onnx"
    if path != copy:
        copy_model(path, copy)
    own = _UNPROJECTED if is_brevitas_own(model) else ""
    record = ResolvedModel(
        name=path.stem,
        kind="qonnx",
        file=copy.name,
        sha256=fingerprint.file(copy),
        weights="user's file",
        provenance=f"the user's file {path.name}{_OF_FINN if folding is not None else own}",
        input_shape=taken.shape,
        preprocessing=taken.preprocessing,
        dataset="",
        bounds=known.layers,
        golden_source=chosen.source,
        input_range=taken.declared,
        classes=known.classes or (),
        anchors=known.anchors or (),
    )
    return record, chosen.frames


def _check_class(model: str, model_class: str | None, input_shape: tuple[int, ...] | None) -> None:
    if not is_checkpoint(model):
        raise ConfigError(
            f"model_class and input_shape say what network a checkpoint (.pth) fills, and the model is {model}. Leave "
            "them out."
        )
    if model_class is None or input_shape is None:
        missing, given = ("model_class", "input_shape") if model_class is None else ("input_shape", "model_class")
        raise ConfigError(
            f"{given} is given without {missing}. A checkpoint of yours needs both: model_class: module:Class and "
            "input_shape: [3, 32, 32], without the batch."
        )


def _export_class(
    source: Path, model_class: str, shape: tuple[int, ...], input_range: tuple[float, float] | None, folder: Path
) -> tuple[Path, str]:
    """The network of `model_class` with the weights in `source`, as QONNX; and a sentence on what it is."""
    import torch

    from pipeline.models.qonnx_export import export_qonnx
    from pipeline.models.user_class import make_network

    network = make_network(model_class)
    load_checkpoint(network, source)
    path = folder / "model.onnx"
    low, high = input_range or (0.0, 1.0)
    example = low + (high - low) * torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    try:
        export_qonnx(network, example, path)
    except ModelError as error:
        raise ModelError(f"{model_class} with an input_shape of {shape}: {error}") from None
    return path, f"the user's checkpoint {source.name} in {model_class}, of unknown accuracy"
