"""The work of `a2q quantize`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files import PTQ_CONFIGS
from pipeline.models.names import TRAINED
from pipeline.quantize.config import load_quantize_config

__all__ = ["quantize_command"]


def quantize_command(given: str, options: Mapping[str, Any], out: Path | None, say: Callable[[str], None]) -> None:
    """Quantize `given`, a float network or a file of build_configs/ptq/, and tell how well it does and how to go on."""
    values = {key: value for key, value in options.items() if value is not None}
    if given.endswith((".yaml", ".yml")):
        config = load_quantize_config(_found(Path(given)), values)
    else:
        config = load_quantize_config(None, {"network": given, **values})

    import warnings

    warnings.filterwarnings("ignore", category=UserWarning, module=r"brevitas(_examples)?\.")
    from pipeline.models.registry import trained_network
    from pipeline.quantize.quantize import quantize
    from pipeline.training.checkpoints import save_checkpoint

    spec, network, _ = trained_network(config.network)
    if spec.quantization is not None:
        raise ConfigError(f"{spec.name} is quantized already; expected a float network, such as {spec.family}.")
    result = quantize(config, spec, network, say)
    folder = out or Path(TRAINED, result.spec.name)
    path = folder / f"{result.spec.name}.pth"
    save_checkpoint(result.network, path, result.record)
    if config.bias_correct:
        say(f"biases          {'corrected' if result.corrected else 'left as they were: held-out images got worse'}")
    if result.widest is not None:
        bound = f", at most {config.accumulator} as asked for" if config.accumulator else ""
        say(f"sums            {result.widest} bits for the widest of a hidden layer{bound}")
    say(
        f"{path}: top-1 {result.top1:.2%} on the {result.record['test_data']} as Brevitas computes it, "
        f"{result.float_top1:.2%} in float; in {result.record['seconds']:.0f} s without that measurement of it"
    )
    say(f"build it: make build MODEL={result.spec.name if out is None else path}")


def _found(path: Path) -> Path:
    """`path`, or the file of that name that comes with the project. Raises ConfigError."""
    if path.is_file() or path.parent != Path():
        return path
    names = sorted(file.name for file in PTQ_CONFIGS.glob("*.yaml"))
    if path.name not in names:
        close = difflib.get_close_matches(path.name, names, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise ConfigError(f"There is no file {path}. {hint}With the project come: {', '.join(names)}.")
    return PTQ_CONFIGS / path.name
