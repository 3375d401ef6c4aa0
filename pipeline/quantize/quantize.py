"""A float network that is trained, and some images, to a network of integers, with a bound on its sums if wanted.

What normalises is folded into weights first. The quantized network adds branches as the float one does: both are signed
integers of one quantizer, of one bit more than other activations have, for the sign. Its weights are multiples of their
scales in the end, so that the checkpoint says the integers whatever computes it.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.datasets.catalog import DATASETS
from pipeline.errors import ConfigError, VerificationError
from pipeline.models.float_checkpoint import load_float
from pipeline.models.integer_weights import IntegerWeights, hidden_sparsity, integer_weights, largest_l1
from pipeline.models.names import ModelSpec, find, spec_of
from pipeline.models.quantization import FLOAT, Quantization
from pipeline.models.registry import add_biases, image_network, trained_network, training_of
from pipeline.quantize.batch_norm import fold_batch_norms
from pipeline.quantize.bias_correction import correct_biases
from pipeline.quantize.calibration import quantized_layers, set_scales_of_activations, set_scales_of_weights
from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.equalization import equalize, scale_for_activations
from pipeline.quantize.images import Images, images_of
from pipeline.quantize.rounding import round_weights
from pipeline.training.evaluate import Scores, network_outputs, outputs_of, score

__all__ = [
    "Quantized",
    "Source",
    "float_network",
    "made_by",
    "measured",
    "quantize",
    "record_of",
    "source_of",
    "top1_scores",
    "twin_of",
]


@dataclass(frozen=True)
class Source:
    """A float `network` whose normalisations are folded, and the images to quantize it and to measure it with.

    `twin` makes of such a network the same with a quantization, and its weights. `test` are batches of images and classes, see `measured`;
    `top1` is the network's own, `folded` how many normalisations were, and `spec` None for no network of a family.
    """

    name: str
    input_shape: tuple[int, ...]
    network: nn.Module
    twin: Callable[[nn.Module, Quantization], nn.Module]
    images: Images
    test: Iterable[tuple[Tensor, Tensor]]
    top1: float
    folded: int
    spec: ModelSpec | None = None

    @property
    def batches(self) -> tuple[Tensor, ...]:
        """The images to calibrate with."""
        return self.images.batches


@dataclass(frozen=True)
class Quantized:
    """A quantized `network`, its `name`, the `integers` of its weights by layer, none where something is left in float.

    `widest` are the bits of its widest hidden sum, None where sums are not of integers; `corrected` says whether biases are.
    """

    network: nn.Module
    name: str
    integers: Mapping[str, IntegerWeights]
    widest: int | None
    corrected: bool
    seconds: float


def source_of(config: QuantizeConfig, spec: ModelSpec, network: nn.Module) -> Source:
    """What `config` quantizes: the float `network` of `spec`. It is changed: its normalisations are folded.

    Raises ConfigError for a network that is none for images with classes, or too few images, InputError for images that
    are not at hand.
    """
    images = images_of(config, config.dataset or spec.dataset, spec.input_shape, spec.name)
    test, top1 = measured(network, images)
    count = fold_batch_norms(network, images.calibration[:2])
    return Source(spec.name, spec.input_shape, network, twin_of(spec), images, test, top1, count, spec)


def twin_of(spec: ModelSpec) -> Callable[[nn.Module, Quantization], nn.Module]:
    """What makes the quantized network of `spec` with the weights of a float one."""

    def twin(folded: nn.Module, quantization: Quantization) -> nn.Module:
        made = image_network(replace(spec, quantization=quantization))
        state = folded.state_dict()
        add_biases(made, state)
        made.load_state_dict(state, strict=False)  # which has no quantizers
        return made.eval()

    return twin


def measured(network: nn.Module, images: Images) -> tuple[Iterable[tuple[Tensor, Tensor]], float]:
    """What the float `network` and what comes of it are measured with, and the top-1 of `network`.

    Where classes are not known they are those that `network` gives, and its top-1 is 1. Raises ConfigError for classes
    that it does not have.
    """
    forward = network_outputs(network)
    if not images.labelled:
        classes = [(part, torch.from_numpy(forward(part).argmax(axis=1))) for part, _ in images.test]
        return classes, 1.0
    outputs, labels = outputs_of(forward, images.test)
    if labels.max() >= outputs.shape[1]:
        raise ConfigError(
            f"{images.test_source} have {labels.max() + 1} classes or more, and the network gives {outputs.shape[1]} numbers. "
            "Name another --dataset."
        )
    return images.test, float((outputs.argmax(axis=1) == labels).mean())


def top1_scores(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Scores:
    """Top-1 and loss of `network`, as PyTorch or Brevitas computes it."""
    return score(network, batches, "classes", "cross_entropy")


def quantize(config: QuantizeConfig, source: Source, say: Callable[[str], None] = lambda line: None) -> Quantized:
    """The network of `source` quantized as `config` says; it stays as it is.

    Raises ModelError for weights that are no numbers, VerificationError where a sum is wider than it was to be.
    """
    started = time.perf_counter()
    torch.manual_seed(config.seed)
    network = _equalized(source, config)
    twin = source.twin(network, config.quantized())
    if config.weight_bits != FLOAT:
        set_scales_of_weights(twin, config.weights.range)
    if config.act_bits != FLOAT:
        set_scales_of_activations(twin, source.batches, config.act_method)
    layers = quantized_layers(twin)
    ends = [layer.name for layer in layers if layer.module.place != "hidden"]
    round_weights(
        twin,
        source.batches,
        config.weights.rounding,
        accumulator_bits=config.accumulator,
        free=ends,
        step=lambda done, of: say(f"{config.weights.rounding:<15} layer {done} of {of}"),
    )
    corrected = config.bias_correct and correct_biases(twin, network, source.batches, source.images.held_out)
    seconds = time.perf_counter() - started
    whole = config.quantized().is_whole
    integers = integer_weights(twin, torch.zeros(1, *source.input_shape)) if whole else {}
    widest = _widest({name: layer for name, layer in integers.items() if name not in ends}, config)
    return Quantized(twin, config.name(source.name), integers, widest, corrected, seconds)


def record_of(config: QuantizeConfig, source: Source, quantized: Quantized, scores: Scores) -> dict[str, Any]:
    """What the checkpoint of `quantized` says of itself: how it was made of `source`, and its `scores`."""
    images = source.images
    reached = {**scores.metrics, "loss": scores.loss, "float_top1": source.top1}
    record = {
        **(replace(source.spec, quantization=config.quantized()).as_record() if source.spec else {}),
        "calibration_data": images.source,
        "calibration_images": len(images.calibration) + len(images.held_out),
        "test_data": images.test_source,
        "seed": config.seed,
        **(reached if images.labelled else {"as_in_float": scores.metrics["top1"]}),
        "quantized_after_training": str(config.weights),
        "bias_corrected": quantized.corrected,
        "seconds": round(quantized.seconds, 1),
        "packages": {name: version(name) for name in ("torch", "brevitas")},
        **made_by(config, source),
        **({"begun_with": _begun_with(config)} if source.spec else {}),
    }
    if quantized.integers:
        record |= {
            "sparsity": round(hidden_sparsity(dict(quantized.integers)), 4),
            "largest_l1": largest_l1(dict(quantized.integers)),
            "widest_sum": quantized.widest,
        }
    return record


def made_by(config: QuantizeConfig, source: Source) -> dict[str, Any]:
    """What decides what comes of a quantization: the digest of the float weights, and the configuration."""
    values = config.model_dump(mode="json", exclude={"data_folder", "network", "state"})
    return {"float_weights": _weights_digest(source.network), "config": values}


def _weights_digest(network: nn.Module) -> str:
    """The SHA-256 of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _begun_with(config: QuantizeConfig) -> dict[str, Any]:
    return training_of(config.network) if config.state is None else {"weights": config.state.name}


def float_network(config: QuantizeConfig) -> tuple[ModelSpec, nn.Module]:
    """The float network of a family that `config` names: of its checkpoint, or filled with weights from elsewhere.

    Raises ConfigError for one that is quantized already, ModelError for weights that are not to be had or do not fit.
    """
    if config.state is None:
        spec, network, _ = trained_network(config.network)
    else:
        spec = find(config.network)
        dataset = DATASETS.get(config.dataset or spec.dataset)
        spec = spec_of(
            spec.family,
            spec.quantization,
            dataset=spec.dataset if dataset is None else dataset.name,
            input_shape=config.input_shape,
            num_classes=None if dataset is None else dataset.classes,
            width=spec.width,
            normalization=config.normalization((config.input_shape or spec.input_shape)[0]),
        )
    if spec.quantization is not None:
        raise ConfigError(f"{spec.name} is quantized already; expected a float network, such as {spec.family}.")
    if config.state is not None:
        network = image_network(spec)
        load_float(network, config.state)
    return spec, network


def _equalized(source: Source, config: QuantizeConfig) -> nn.Module:
    """The network of `source`, or a copy whose channels are scaled as `config` says."""
    if config.equalization is None and not config.weights.awq:
        return source.network
    network = copy.deepcopy(source.network)
    if config.equalization is not None:
        equalize(network, source.batches, config.equalization)
    if config.weights.awq and config.weight_bits != FLOAT:
        bits = {layer.name: layer.bits for layer in quantized_layers(source.twin(network, config.quantized()))}
        scale_for_activations(network, source.batches, bits, config.weights.range)
    return network


def _widest(hidden: Mapping[str, IntegerWeights], config: QuantizeConfig) -> int | None:
    """The bits of the widest sum of the layers `hidden`, None where there are none. Raises ConfigError where there
    are none that the bound would be for, VerificationError above it."""
    widths = {name: int(layer.sum_bits().max()) for name, layer in hidden.items()}
    if not widths:
        if config.accumulator is not None:
            raise ConfigError(
                f"accumulator is {config.accumulator}, and the network has no layer between its first and its last, which a bound "
                "would be for. Leave it out."
            )
        return None
    widest = max(widths, key=lambda name: widths[name])
    if config.accumulator is not None and widths[widest] > config.accumulator:
        raise VerificationError(
            f"layer {widest} has sums of {widths[widest]} bits after AXE; expected at most {config.accumulator}. Nothing "
            "is written."
        )
    return widths[widest]
