"""What comes of a quantization, as a file that a build takes: a checkpoint of a family, or QONNX of a user's network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.quantize import Quantized, Source, made_by
from pipeline.quantize.user_network import write_network
from pipeline.training.checkpoints import save_checkpoint

__all__ = ["check_result", "folder_for", "write_result"]


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


def check_result(config: QuantizeConfig, source: Source, folder: Path) -> None:
    """Raise ConfigError where `folder` holds another quantization by the name that this one will have."""
    path = folder / f"{config.name(source.name)}.json"
    try:
        known = dict(json.loads(path.read_text()))
        there = {"network": known["float_weights"], **known["config"]}
    except (OSError, ValueError, KeyError, TypeError):
        return  # none, or one that is of an older release, or damaged
    record = made_by(config, source)
    here = {"network": record["float_weights"], **record["config"]}
    if changed := sorted(key for key in {*here, *there} if here.get(key) != there.get(key)):
        raise ConfigError(
            f"{path} is of another quantization by this name: {', '.join(changed)} {'differs' if len(changed) == 1 else 'differ'}. "
            "Name another folder with --out, or delete it."
        )


@contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """The folder `path` is there while what is to be written into it is made, and goes again if nothing was. Raises
    ConfigError where there cannot be one."""
    there = path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}. Name another folder with --out.") from None
    try:
        yield
    finally:
        if not there:
            with suppress(OSError):  # it holds what was made
                path.rmdir()
