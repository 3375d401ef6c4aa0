"""The work of `a2q quantize`, and of `a2q benchmark`."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import config_file
from pipeline.errors import ConfigError
from pipeline.files import PTQ_CONFIGS
from pipeline.models.names import TRAINED
from pipeline.quantize.config import QuantizeConfig, load_quantize_config
from pipeline.quantize.tables import is_tables, load_tables, make_tables
from pipeline.training.command import benchmark_command as training_benchmark
from pipeline.training.interrupts import interruptible

if TYPE_CHECKING:
    from pipeline.quantize.quantize import Source

__all__ = ["benchmark_command", "quantize_command"]


def quantize_command(given: str, options: Mapping[str, Any], out: Path | None, say: Callable[[str], None]) -> None:
    """Quantize `given`, a float network or a file of build_configs/ptq/, and tell how well it does and how to go on."""
    values = {key: value for key, value in options.items() if value is not None}
    if given.endswith((".yaml", ".yml")):
        config = load_quantize_config(_found(Path(given)), values)
    else:
        config = load_quantize_config(None, {"network": given, **values})

    _quiet_brevitas()
    from pipeline.quantize.quantize import quantize, record_of, top1_scores
    from pipeline.quantize.user_network import write_network
    from pipeline.training.checkpoints import save_checkpoint

    source = _source(config, say)
    images = source.images
    known = f"top-1 {source.top1:.2%}; " if images.labelled else ""
    say(f"float           {known}{source.folded} normalisations folded into weights")
    result = quantize(config, source, say)
    scores = top1_scores(result.network, source.test)
    record = record_of(config, source, result, scores)
    path = (out or Path(TRAINED, result.name)) / f"{result.name}{'.onnx' if config.is_class else '.pth'}"
    if config.is_class:
        write_network(source, result, path, record)
    else:
        save_checkpoint(result.network, path, record)
    if config.bias_correct:
        say(f"biases          {'corrected' if result.corrected else 'left as they were: held-out images got worse'}")
    if result.widest is not None:
        bound = f", at most {config.accumulator} as asked for" if config.accumulator else ""
        say(f"sums            {result.widest} bits for the widest of a hidden layer{bound}")
    top1 = scores.metrics["top1"]
    if images.labelled:
        reached = (
            f"top-1 {top1:.2%} on the {images.test_source} as Brevitas computes it, {source.top1:.2%} in float; in "
            f"{result.seconds:.0f} s without that measurement of it"
        )
    else:
        reached = f"{top1:.2%} of {images.test_source} get the class that they get in float; of which class they are is not known"
    say(f"{path}: {reached}")
    if config.is_class:
        say(f"build it: a2q build {path}")
    elif not getattr(result.network, "without_hardware", ()) and config.quantized().is_whole:
        say(f"build it: make build MODEL={result.name if out is None else path}")
    else:
        say(f"measure it: a2q evaluate {result.name if out is None else path}")


def _source(config: QuantizeConfig, say: Callable[[str], None]) -> Source:
    """The float network that `config` says, and the images. Raises ConfigError for one that is quantized already."""
    from pipeline.models.registry import trained_network
    from pipeline.quantize.quantize import source_of
    from pipeline.quantize.user_network import user_source

    if config.is_class:
        if config.state is None:
            say(f"weights         those that {config.network} makes, as no state is given")
        return user_source(config)
    spec, network, _ = trained_network(config.network)
    if spec.quantization is not None:
        raise ConfigError(f"{spec.name} is quantized already; expected a float network, such as {spec.family}.")
    return source_of(config, spec, network)


def benchmark_command(path: Path, out: Path | None, say: Callable[[str], None], bar: bool) -> None:
    """Do all that the benchmark `path` says, quantizations or trainings, and tell where their table is."""
    file = config_file.find(str(path), Path(), PTQ_CONFIGS)
    if file.is_file() and is_tables(file):
        _tables_command(file, out or Path(TRAINED, f"benchmark_{file.stem}"), say)
    else:
        training_benchmark(path, out, say, bar)


@interruptible("what is done is kept")
def _tables_command(path: Path, folder: Path, say: Callable[[str], None]) -> None:
    load_tables(path)  # first of all, for its mistakes
    _quiet_brevitas()
    make_tables(path, folder, say)
    say(f"{folder / 'tables.md'}: the tables")


def _quiet_brevitas() -> None:
    warnings.filterwarnings("ignore", category=UserWarning, module=r"brevitas(_examples)?\.")


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
