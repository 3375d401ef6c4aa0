"""From a model's name to its checkpoint, checked, and to the network that it fills."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ModelError
from pipeline.files import TRAIN_CONFIGS
from pipeline.models.metrics import TITLES, accuracy_of
from pipeline.models.names import (
    CHECKPOINTS,
    FAMILIES,
    MODELS,
    SHIPPED,
    Kind,
    ModelSpec,
    Preprocessing,
    UnknownModelError,
    find,
    is_checkpoint,
    located,
    recorded,
)
from pipeline.user_cache import cache_folder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.models.layers import ImageNetwork

__all__ = [
    "DownloadError",
    "add_biases",
    "available",
    "checkpoint_facts",
    "checkpoint_record",
    "fetch",
    "image_network",
    "initialise",
    "load_checkpoint",
    "network",
    "read_state",
    "stands_in",
    "trained_network",
    "training_of",
]

_DOWNLOAD_SECONDS = 30


class DownloadError(ModelError):
    """A checkpoint that is not here and could not be downloaded."""


def available(spec: ModelSpec) -> tuple[ModelSpec, Path, str]:
    """The network that stands for `spec`, its checkpoint, and a sentence where it is another than asked for.

    That is the checkpoint of this repository where there is one and that of `spec` cannot be downloaded. Raises
    ModelError as `fetch` does.
    """
    try:
        return spec, fetch(spec), ""
    except DownloadError as error:
        shipped = SHIPPED.get(spec.name)
        if shipped is None:
            raise
        return shipped, fetch(shipped), f"in place of the release: {str(error).partition(', or build')[0]}"


def stands_in(spec: ModelSpec) -> str:
    """A phrase for a network of this repository that `available` gave in place of a release; empty for any other."""
    other = spec is SHIPPED.get(spec.name) and MODELS[spec.name].url
    return "weights of this repository, as the release could not be downloaded" if other else ""


def fetch(spec: ModelSpec) -> Path:
    """The checkpoint of `spec`, downloaded if it has to be, its SHA-256 checked.

    Raises ModelError for a model without one, and for a file that is missing, cannot be downloaded (DownloadError), or
    has another content than it should.
    """
    if spec.name not in MODELS and not spec.url:
        synthetic = ", or build with synthetic weights: WEIGHTS=synthetic (--weights synthetic)"

        recipe = next((file.stem for file in sorted(TRAIN_CONFIGS.glob(f"*_{spec.name}.yaml"))), "CONFIG")
        remedy = f"Train it (a2q train {recipe})"
        if not FAMILIES[spec.family].dataset:
            remedy = "Give the path of one, or train one elsewhere, as there is no data set for it here"
        raise ModelError(
            f"There is no checkpoint of {spec.name} here. {remedy}{synthetic if spec.quantization else ''}."
        )
    if not spec.url:
        path = CHECKPOINTS / spec.file
        _check(
            path,
            checkpoint_facts(spec)["sha256"],
            "Restore the file from the repository, or train it again: a2q train.",
        )
        return path
    path = cache_folder() / "models" / spec.file
    if not path.is_file():
        _download(spec, path)
    _check(path, spec.digits, f"Delete it, and it is fetched from {spec.url} again.")
    return path


def checkpoint_facts(spec: ModelSpec) -> dict[str, Any]:
    """The JSON beside a checkpoint of this repository: its SHA-256, accuracy and recipe."""
    path = CHECKPOINTS / Path(spec.file).with_suffix(".json")
    try:
        facts = json.loads(path.read_text())
        facts["sha256"]
        if accuracy_of(facts) is None:
            raise KeyError("no accuracy")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The record {path} of the checkpoint of {spec.name} cannot be read ({error}). "
            "Restore it from the repository."
        ) from None
    return facts


def network(spec: ModelSpec) -> nn.Module:
    """The network of `spec`, float or Brevitas', with weights as they are initialised, in evaluation mode."""
    return _released(spec).eval() if spec.url and spec.quantization else image_network(spec)


def image_network(spec: ModelSpec) -> ImageNetwork:
    """The same, of a `spec` whose network is defined here."""
    _refuse_jit()
    from pipeline.models.cnv import CNV
    from pipeline.models.dscnn import DSCNN
    from pipeline.models.espcn import ESPCN
    from pipeline.models.mobilenetv1 import MobileNetV1
    from pipeline.models.mobilenetv2 import MobileNetV2
    from pipeline.models.resnet import ResNet
    from pipeline.models.tfc import TFC
    from pipeline.models.tinyyolo import TinyYOLO
    from pipeline.models.tinyyolov3 import TinyYOLOv3
    from pipeline.models.unet import UNet
    from pipeline.models.vgg import VGG
    from pipeline.models.vgg10 import VGG10
    from pipeline.models.vit import ViT

    kinds: dict[Kind, Callable[..., ImageNetwork]] = {
        "resnet": ResNet,
        "vgg": VGG,
        "cnv": CNV,
        "tfc": TFC,
        "mobilenetv1": MobileNetV1,
        "mobilenetv2": MobileNetV2,
        "espcn": ESPCN,
        "unet": UNet,
        "dscnn": DSCNN,
        "vgg10": VGG10,
        "tinyyolo": TinyYOLO,
        "tinyyolov3": TinyYOLOv3,
        "vit": ViT,
    }
    family = FAMILIES[spec.family]
    return kinds[family.kind](
        *(() if family.depth is None else (family.depth,)),
        num_classes=spec.num_classes,
        input_shape=spec.input_shape,
        quantization=spec.quantization,
        width=spec.width,
        normalization=spec.normalization,
    ).eval()


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Fill `model` with the weights in `path`, which is read without running code.

    A convolution that has a bias in the file and none in `model` gets one: bias correction leaves such files. Raises
    ModelError for a file that is damaged or belongs to another network.
    """
    from pipeline.models.layers import ImageNetwork

    state = read_state(path)
    if isinstance(model, ImageNetwork):
        state = model.renamed(state)
    broken = next((name for name, tensor in state.items() if not tensor.isfinite().all()), None)
    if broken:
        raise ModelError(
            f"The checkpoint {path} is of a training that diverged: {broken} has values that are no numbers."
        )
    add_biases(model, state)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()
        reason = " ".join(line.strip() for line in lines[1:3]) or lines[0]
        raise ModelError(f"The checkpoint {path} does not fit the network: {reason}") from None


def add_biases(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give the layers of `model` without a bias one of zeros, where `state` has one for them."""
    import torch

    for name, layer in model.named_modules():
        bias = state.get(f"{name}.bias")
        if bias is not None and getattr(layer, "bias", bias) is None:
            layer.register_parameter("bias", torch.nn.Parameter(torch.zeros_like(bias)))


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights in a checkpoint by their names, read without running code.

    They are the file's whole content, or in it under `state` (checkpoints of `a2q train`) or `state_dict`, some perhaps
    under `packed`, see `pipeline/models/packed_weights.py`. Raises ModelError for a file that is damaged or holds
    something else.
    """
    import torch

    from pipeline.models.packed_weights import unpack

    content = state = _read(path)
    for key in ("state", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            state = content[key]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        kind = type(state).__name__ if not isinstance(state, dict) else "dict of other things"
        raise ModelError(f"The checkpoint {path} holds a {kind}; expected the weights of a network by name.")
    if isinstance(content, dict) and isinstance(content.get("packed"), dict):
        try:
            return {**state, **unpack(content["packed"])}
        except (ModelError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"The checkpoint {path} cannot be read: {error}") from None
    return dict(state)


def checkpoint_record(path: Path) -> dict[str, Any]:
    """The record in the checkpoint `path`, or in the JSON beside it; empty where neither is there.

    Raises ModelError for one that is damaged.
    """
    content = _read(path)
    if isinstance(content, dict) and isinstance(content.get("record"), dict):
        return content["record"]
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        record = json.loads(beside.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"The record {beside} of a checkpoint cannot be read: {error}") from None
    return record if isinstance(record, dict) else {}


def trained_network(model: str) -> tuple[ModelSpec, nn.Module, Path]:
    """The network in the checkpoint `model`, a path or the name of one that has a checkpoint, in evaluation mode.

    What it is, itself, and the checkpoint. A path's network is what its record says, or else what its name does.

    Raises ModelError for one that is not to be had, or damaged.
    """
    model = located(model)
    if model.endswith((".onnx", ".ckpt")):
        raise ModelError(f"{model} is no checkpoint of a network; expected a .pth file, such as `a2q train` leaves.")
    if is_checkpoint(model):
        path = Path(model)
        try:
            spec = recorded(path.stem, checkpoint_record(path))
        except UnknownModelError:
            raise ModelError(
                f"The checkpoint {path} does not say which network it is of: it has no record of `a2q train`, and its name "
                "is none that `a2q models` lists. Build it with the class that makes the network (model_class: "
                "module:Class, or --model-class) and its input_shape, or export it with pipeline.export_qonnx and take the "
                ".onnx file."
            ) from None
    else:
        spec, path, _ = available(find(model))
    filled = network(spec)
    load_checkpoint(filled, path)
    return spec, filled.eval(), path


def initialise(model: ImageNetwork, source: str) -> None:
    """Begin `model` with the weights of another network of its family, float or quantized.

    `source` is a path (*.pth, *.pt, *.th) or the name of a model with a checkpoint. Raises ModelError, also for one
    that is known to take images normalised in another way.
    """
    from pipeline.models.float_checkpoint import load_float

    source = located(source)
    if is_checkpoint(source):
        path, theirs = Path(source), None
        record = checkpoint_record(path)
        if "network" in record:  # others do not say how they take pixels
            theirs = recorded(path.stem, record)
    else:
        theirs = find(source)
        path = fetch(theirs)  # the one that was asked for, or none: no other stands in unseen
    if theirs is not None:
        _check_pixels(model, theirs, path)
    load_float(model, path)


def training_of(source: str) -> dict[str, Any]:
    """How the checkpoint `source`, a path or a name, was trained, as far as its record says: data, epochs and accuracy."""
    source = located(source)
    record = checkpoint_record(Path(source) if is_checkpoint(source) else fetch(find(source)))
    keys = ("network", "training_data", "epochs", *TITLES, "begun_with")
    return {key: record[key] for key in keys if key in record and key not in ("top5", "pixel_accuracy")}


def _check_pixels(model: ImageNetwork, theirs: ModelSpec, path: Path) -> None:
    channels = model.input_shape[0]
    taken, expected = (
        (chosen.mean[:channels], chosen.std[:channels])
        for chosen in (theirs.normalization or theirs.preprocessing, model.normalization or Preprocessing())
    )
    if taken != expected:
        raise ModelError(
            f"The checkpoint {path} is of a network for pixels with the mean {taken[0]} and the standard deviation "
            f"{taken[1]}; this network has {expected[0]} and {expected[1]}. Set normalization to the same."
        )


def _read(path: Path) -> object:
    import torch

    if not path.is_file():
        raise ModelError(f"There is no checkpoint {path}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of what is in a file that it refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"The checkpoint {path} cannot be read: {error.strerror}.") from None
    except pickle.UnpicklingError as error:
        reason = "it holds more than weights and plain values" if "GLOBAL" in str(error) else "it is damaged"
    except (RuntimeError, EOFError, ValueError, KeyError):
        reason = "it is damaged, or no checkpoint of PyTorch's"
    raise ModelError(f"The checkpoint {path} is not loaded: {reason}.")


def _refuse_jit() -> None:
    import brevitas.config

    if brevitas.config.JIT_ENABLED:  # by who imported it before this package
        raise ModelError("Brevitas was loaded with its JIT, which loses A2Q's penalty: set BREVITAS_JIT=0.")


def _released(spec: ModelSpec) -> nn.Module:
    """The network that Brevitas' release files fill."""
    _refuse_jit()
    if FAMILIES[spec.family].kind == "espcn":
        from brevitas_examples.super_resolution.models import get_model_by_name

        return get_model_by_name(spec.name)
    from brevitas_examples.imagenet_classification.a2q.resnet import quant_resnet18

    from pipeline.models.layers import A2Q_WEIGHT_QUANTIZERS

    chosen = spec.quantization
    assert chosen is not None  # what Brevitas has released is quantized
    return quant_resnet18(
        act_bit_width=chosen.act_bits,
        weight_bit_width=chosen.weight_bits,
        acc_bit_width=chosen.accumulator_bits,
        weight_quant=A2Q_WEIGHT_QUANTIZERS[chosen.accumulator_method],
    )


def _download(spec: ModelSpec, path: Path) -> None:
    import pooch
    import requests

    passing = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        downloader = pooch.HTTPDownloader(timeout=_DOWNLOAD_SECONDS)
        pooch.retrieve(spec.url, None, fname=passing.name, path=passing.parent, downloader=downloader)
        digits = _sha256(passing)
        if not digits.startswith(spec.digits):
            raise ModelError(
                f"What was downloaded from {spec.url} has the SHA-256 {digits}, which should begin with {spec.digits}. "
                f"Put the right file at {path}{_or_synthetic(spec)}."
            )
        passing.replace(path)
    except (requests.RequestException, OSError, ValueError) as error:
        raise DownloadError(
            f"The checkpoint of {spec.name} could not be downloaded from {spec.url}: {_reason(error)}. "
            f"Put the file at {path}{_or_synthetic(spec)}."
        ) from error
    finally:
        passing.unlink(missing_ok=True)


def _or_synthetic(spec: ModelSpec) -> str:
    return ", or build with synthetic weights: WEIGHTS=synthetic (--weights synthetic)" if spec.quantization else ""


def _reason(error: BaseException) -> str:
    while cause := error.__cause__ or error.__context__:
        error = cause
    return f"{type(error).__name__}: {error}".rstrip(".")


def _check(path: Path, digits: str, remedy: str) -> None:
    if not path.is_file():
        raise ModelError(f"The checkpoint {path} is missing. {remedy}")
    digest = _sha256(path)
    if not digest.startswith(digits):
        raise ModelError(f"The checkpoint {path} has the SHA-256 {digest}, which should begin with {digits}. {remedy}")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
