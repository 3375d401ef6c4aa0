"""A float network that is trained, and some images, to a network of integers, with a bound on its sums if wanted.

What normalises is folded into weights first. The quantized network adds branches as the float one does: both are signed
integers of one quantizer, of one bit more than other activations have, for the sign. Its weights are multiples of their
scales in the end, so that the checkpoint says the integers whatever computes it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.datasets import catalog
from pipeline.datasets.image_folder import ImageFolder
from pipeline.datasets.image_set import ImageSet
from pipeline.datasets.loader import BatchSource, batches_of
from pipeline.errors import ConfigError, VerificationError
from pipeline.models.integer_weights import IntegerWeights, hidden_sparsity, integer_weights, largest_l1
from pipeline.models.layers import ImageNetwork
from pipeline.models.names import ModelSpec
from pipeline.models.quantization import FLOAT
from pipeline.models.registry import add_biases, image_network, training_of
from pipeline.quantize.batch_norm import fold_batch_norms
from pipeline.quantize.bias_correction import correct_biases
from pipeline.quantize.calibration import quantized_layers, set_scales_of_activations, set_scales_of_weights
from pipeline.quantize.config import HELD_OUT, QuantizeConfig
from pipeline.quantize.equalization import equalize, scale_for_activations
from pipeline.quantize.rounding import round_weights
from pipeline.training.evaluate import Scores, score

__all__ = ["Quantized", "Source", "calibration_images", "quantize", "record_of", "source_of", "top1_scores"]

_BATCH = 128
_TEST_BATCH = 100  # larger ones take as much time again for the memory of each layer


@dataclass(frozen=True)
class Source:
    """A float `network` of `spec` whose normalisations are folded, and the images to quantize it and to measure it with.

    `batches` are to calibrate with, `held_out` to judge by. `top1` is the network's own, `folded` how many
    normalisations were.
    """

    spec: ModelSpec
    network: nn.Module
    batches: tuple[Tensor, ...]
    held_out: Tensor
    calibration_data: str
    test: BatchSource
    test_data: str
    top1: float
    folded: int


@dataclass(frozen=True)
class Quantized:
    """A quantized `network`, its `spec`, the `integers` of its weights by layer, none where something is left in float.

    `widest` are the bits of its widest hidden sum, None where sums are not of integers; `corrected` says whether biases are.
    """

    network: ImageNetwork
    spec: ModelSpec
    integers: Mapping[str, IntegerWeights]
    widest: int | None
    corrected: bool
    seconds: float


def source_of(config: QuantizeConfig, spec: ModelSpec, network: nn.Module) -> Source:
    """What `config` quantizes: the float `network` of `spec`. It is changed: its normalisations are folded.

    Raises ConfigError for a network that is none for images with classes, or too few images, InputError for images that
    are not at hand.
    """
    dataset = catalog.find(config.dataset or spec.dataset)
    if dataset.labels != "classes" or dataset.shape != spec.input_shape:
        raise ConfigError(
            f"{spec.name} takes images of {_by(spec.input_shape)}, and {dataset.title} has {dataset.labels} of images of "
            f"{_by(dataset.shape)}; expected classes of such images. Name another --dataset."
        )
    training = catalog.load(dataset.name, "train", config.data_folder)
    test = catalog.load(dataset.name, "test", config.data_folder)
    images, held_out = calibration_images(training, config.images, config.seed)
    batches = batches_of(test, _TEST_BATCH)
    top1 = top1_scores(network, batches).metrics["top1"]
    folded = fold_batch_norms(network, images[:2])
    return Source(spec, network, images.split(_BATCH), held_out, training.source, batches, test.source, top1, folded)


def top1_scores(network: nn.Module, batches: BatchSource) -> Scores:
    """Top-1 and loss of `network`, as PyTorch or Brevitas computes it."""
    return score(network, batches, "classes", "cross_entropy")


def quantize(config: QuantizeConfig, source: Source, say: Callable[[str], None] = lambda line: None) -> Quantized:
    """The network of `source` quantized as `config` says; it stays as it is.

    Raises ModelError for weights that are no numbers, VerificationError where a sum is wider than it was to be.
    """
    started = time.perf_counter()
    torch.manual_seed(config.seed)
    network = _equalized(source, config)
    twin = _twin(network, source.spec, config)
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
    corrected = config.bias_correct and correct_biases(twin, network, source.batches, source.held_out)
    seconds = time.perf_counter() - started
    whole = config.quantized().is_whole
    integers = integer_weights(twin, torch.zeros(1, *source.spec.input_shape)) if whole else {}
    widest = _widest({name: layer for name, layer in integers.items() if name not in ends}, config)
    return Quantized(twin, _spec(source.spec, config), integers, widest, corrected, seconds)


def record_of(config: QuantizeConfig, source: Source, quantized: Quantized, scores: Scores) -> dict[str, Any]:
    """What the checkpoint of `quantized` says of itself: how it was made of `source`, and its `scores`."""
    record = {
        **quantized.spec.as_record(),
        "calibration_data": source.calibration_data,
        "calibration_images": sum(map(len, source.batches)) + len(source.held_out),
        "test_data": source.test_data,
        "seed": config.seed,
        **scores.metrics,
        "loss": scores.loss,
        "float_top1": source.top1,
        "quantized_after_training": str(config.weights),
        "bias_corrected": quantized.corrected,
        "seconds": round(quantized.seconds, 1),
        "packages": {name: version(name) for name in ("torch", "brevitas")},
        "config": config.model_dump(mode="json", exclude={"data_folder", "network"}),
        "begun_with": training_of(config.network),
    }
    if quantized.integers:
        record |= {
            "sparsity": round(hidden_sparsity(dict(quantized.integers)), 4),
            "largest_l1": largest_l1(dict(quantized.integers)),
            "widest_sum": quantized.widest,
        }
    return record


def calibration_images(training: ImageSet | ImageFolder, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` images of `training`, drawn by `seed`, float32 from 0 to 1: those to calibrate with, and a quarter held out.

    Raises ConfigError where there are fewer.
    """
    if count > len(training):
        raise ConfigError(f"images is {count}, and the {training.source} has {len(training)}.")
    chosen = np.random.default_rng(seed).permutation(len(training))[:count]
    picked = training.pick(np.sort(chosen), training.source)
    images = torch.cat([part for part, _ in batches_of(picked, _BATCH)])
    shuffled = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))]
    held_out = count // HELD_OUT
    return shuffled[held_out:], shuffled[:held_out]


def _equalized(source: Source, config: QuantizeConfig) -> nn.Module:
    """The network of `source`, or a copy whose channels are scaled as `config` says."""
    if config.equalization is None and not config.weights.awq:
        return source.network
    network = copy.deepcopy(source.network)
    if config.equalization is not None:
        equalize(network, source.batches, config.equalization)
    if config.weights.awq and config.weight_bits != FLOAT:
        bits = {layer.name: layer.bits for layer in quantized_layers(_twin(network, source.spec, config))}
        scale_for_activations(network, source.batches, bits, config.weights.range)
    return network


def _twin(network: nn.Module, spec: ModelSpec, config: QuantizeConfig) -> ImageNetwork:
    """The network of `spec` with the layers that `config` quantizes, and the weights of the float `network`."""
    twin = image_network(_spec(spec, config))
    state = network.state_dict()
    add_biases(twin, state)
    twin.load_state_dict(state, strict=False)  # which has no quantizers
    return twin.eval()


def _spec(spec: ModelSpec, config: QuantizeConfig) -> ModelSpec:
    return replace(spec, name=config.name(spec.name), quantization=config.quantized(), url="", digits="")


def _widest(hidden: Mapping[str, IntegerWeights], config: QuantizeConfig) -> int | None:
    """The bits of the widest sum of the layers `hidden`, None where there are none. Raises VerificationError above the bound."""
    widths = {name: int(layer.sum_bits().max()) for name, layer in hidden.items()}
    if not widths:
        return None
    widest = max(widths, key=lambda name: widths[name])
    if config.accumulator is not None and widths[widest] > config.accumulator:
        raise VerificationError(
            f"layer {widest} has sums of {widths[widest]} bits after AXE; expected at most {config.accumulator}. Nothing "
            "is written."
        )
    return widths[widest]


def _by(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
