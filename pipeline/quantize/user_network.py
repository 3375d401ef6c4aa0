"""A network of the user's own class and its weights, to quantize; and what comes of it, as a QONNX file that is built."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from pipeline.datasets.catalog import DATASETS
from pipeline.errors import ConfigError
from pipeline.models.golden import range_frames
from pipeline.models.names import Preprocessing
from pipeline.models.network_record import NetworkRecord
from pipeline.models.qonnx_export import write_proven
from pipeline.models.quantization import Quantization
from pipeline.models.registry import load_checkpoint
from pipeline.models.user_class import make_network
from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.graph import traced
from pipeline.quantize.images import images_of
from pipeline.quantize.quantize import Quantized, Source, measured

__all__ = ["user_source", "write_network"]

_PROVEN_ON = 16  # of the images


def user_source(config: QuantizeConfig) -> Source:
    """What `config` quantizes, where its network is a class of the user's: filled with its state, traced and folded.

    Raises ConfigError for what is missing or does not fit, ModelError for a network that cannot be quantized.
    """
    if config.dataset is None:
        raise ConfigError(
            f"dataset is not given, and {config.network} does not say what images it takes; expected the name of a data set, "
            f"{', '.join(DATASETS)}, or the path of a folder of images (--dataset)."
        )
    shape = config.input_shape
    if shape is None:
        if config.dataset not in DATASETS:
            raise ConfigError(
                f"input_shape is not given, and images of {config.dataset} may be of any size; expected channels, height and "
                "width (--input-shape 3,32,32)."
            )
        shape = DATASETS[config.dataset].shape
    if not config.quantized().is_whole:
        raise ConfigError(
            f"weights of {config.weight_bits} and activations of {config.act_bits} bits are asked for; of {config.network} "
            "comes a QONNX file, whose numbers are all integers: expected 2 to 8 bits of all."
        )
    normalization = config.normalization(shape[0])
    network = make_network(config.network)
    if config.state is not None:
        load_checkpoint(network, config.state)
    images = images_of(config, config.dataset, shape, config.network)
    graph = traced(network, images.calibration[:2], normalization, config.network)
    test, top1 = measured(graph.network, images)

    def twin(folded: nn.Module, quantization: Quantization) -> nn.Module:
        return replace(graph, network=folded).quantized(quantization)

    name = config.network.rpartition(":")[2].rpartition(".")[2]
    return Source(name, shape, graph.network, twin, images, test, top1, graph.folded)


def write_network(source: Source, quantized: Quantized, path: Path, record: Mapping[str, Any]) -> None:
    """Write `path`, a QONNX file that holds what the `quantized` network of a user computes, and `record` as JSON beside it.

    It is proven on some of the images, and on numbers drawn over the range of pixels. Raises as `write_proven` does; then
    nothing is written.
    """
    channels = source.input_shape[0]
    takes = NetworkRecord(mean=(0.0,) * channels, std=(1.0,) * channels)
    drawn = range_frames(Preprocessing().ends, source.input_shape, _PROVEN_ON, seed=0)
    inputs = np.concatenate([source.images.calibration[:_PROVEN_ON].numpy(), drawn])
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".quantize-", dir=path.parent) as passing:
        made = Path(passing, path.name)
        write_proven(quantized.network, inputs, made, takes)
        facts = made.with_suffix(".json")
        facts.write_text(json.dumps(dict(record), indent=2) + "\n")
        made.replace(path)  # both at once, as far as two files can be
        facts.replace(path.with_suffix(".json"))
