"""What comes of a quantization, as a file that a build takes: a checkpoint of a family, or QONNX of a user's network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.quantize import Quantized, Source
from pipeline.quantize.user_network import write_network
from pipeline.training.checkpoints import save_checkpoint

__all__ = ["write_result"]


def write_result(
    config: QuantizeConfig, source: Source, quantized: Quantized, record: Mapping[str, Any], folder: Path
) -> Path:
    """Write the `quantized` network and its `record` into `folder`; the path of the file that a build takes."""
    path = folder / f"{quantized.name}{config.ending}"
    if config.is_class:
        write_network(source, quantized, path, record)
    else:
        save_checkpoint(quantized.network, path, dict(record))
    return path
