"""The work of `a2q quantize`, and of `a2q benchmark`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import config_file
from pipeline.errors import ConfigError
from pipeline.files import BENCHMARKS, PTQ_CONFIGS
from pipeline.models.names import TRAINED
from pipeline.quantize.config import QuantizeConfig, load_quantize_config
from pipeline.quantize.tables import is_benchmark_of_tables, is_tables, load_tables, make_tables
from pipeline.training.command import benchmark_command as training_benchmark
from pipeline.training.interrupts import interruptible

if TYPE_CHECKING:
    from pipeline.quantize.quantize import Source

__all__ = ["benchmark_command", "quantize_command"]

_RATE = 1000.0  # frames a second, as a build's by default
_BOUNDED = "gptq/mse_channel"  # the method of a search within a bound, where none is named


def quantize_command(
    given: str,
    options: Mapping[str, Any],
    out: Path | None,
    say: Callable[[str], None],
    *,
    searching: bool = False,
    target_fps: float | None = None,
) -> None:
    """Quantize `given`, a float network or a file of build_configs/ptq/, and tell how well it does and how to go on.

    `searching`, bits of weights and activations are tried for what accuracy costs in LUTs, at `target_fps`.
    """
    values = {key: value for key, value in options.items() if value is not None}
    if target_fps is not None and not searching:
        raise ConfigError(
            "target_fps is given without a search, which is what estimates LUTs (--search). Leave it out."
        )
    if searching:
        for key in ("weight_bits", "act_bits"):
            if key in values:
                raise ConfigError(f"{key} is given with a search, which tries them. Leave it out.")
        if "accumulator" in values and "method" not in values and not given.endswith((".yaml", ".yml")):
            values["method"] = _BOUNDED
            say(f"method          {_BOUNDED}, as sums are to be bounded")
    if given.endswith((".yaml", ".yml")):
        path = config_file.named(Path(given), PTQ_CONFIGS)
        if path.is_file() and is_tables(path):
            raise ConfigError(f"{path} is of tables, of many quantizations: a2q benchmark {given}")
        config = load_quantize_config(path, values)
    else:
        config = load_quantize_config(None, {"network": given, **values})

    _quiet_brevitas()
    from pipeline.quantize.result import folder_for

    with folder_for(out or Path(TRAINED)):
        source = _source(config, say)
        known = f"top-1 {source.top1:.2%}; " if source.images.labelled else ""
        say(f"float           {known}{source.folded} normalisations folded into weights")
        if searching:
            _search(config, source, target_fps or _RATE, out, say)
        else:
            _quantize(config, source, out, say)


def _quantize(config: QuantizeConfig, source: Source, out: Path | None, say: Callable[[str], None]) -> None:
    from pipeline.quantize.quantize import quantize, record_of, top1_scores
    from pipeline.quantize.result import check_result, write_result

    images, folder = source.images, out or Path(TRAINED, config.name(source.name))
    check_result(config, source, folder)
    result = quantize(config, source, say)
    scores = top1_scores(result.network, source.test)
    path = write_result(config, source, result, record_of(config, source, result, scores), folder)
    if config.bias_correct:
        say(f"biases          {'corrected' if result.corrected else 'left as they were: held-out images got worse'}")
    if result.widest is not None:
        bound = f", at most {config.accumulator} as asked for" if config.accumulator else ""
        say(f"sums            {result.widest} bits for the widest of a hidden layer{bound}")
    top1 = scores.metrics["top1"]
    if images.labelled:
        reached = (
            f"top-1 {top1:.2%}, as Brevitas computes it, on the {images.test_source}, {source.top1:.2%} in float; quantized in "
            f"{result.seconds:.0f} s"
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


@interruptible("trials that are done are kept")
def _search(config: QuantizeConfig, source: Source, at: float, out: Path | None, say: Callable[[str], None]) -> None:
    from pipeline.quantize.search import search
    from pipeline.quantize.search_page import write_search

    bound = f"_{config.accumulator}b" if config.accumulator else ""
    folder = out or Path(TRAINED, f"search_{source.name}_{config.weights.suffix}{bound}")
    found = search(config, source, at, folder, say)
    write_search(found, config, source, at, folder)
    say(f"front           {', '.join(f'{trial.bits} {trial.top1:.2%} {trial.lut:,}' for trial in found.front)} LUTs")
    say(f"chosen          {found.chosen.bits}: {found.reason}")
    say(
        f"{found.checkpoint}: top-1 {found.chosen.test_top1:.2%} on the {source.images.test_source}, "
        f"{source.top1:.2%} in float"
    )
    say(f"{folder / 'search.md'}: the front, and its plot beside it")
    say(f"build it: a2q build {found.checkpoint} --target-fps {at:g}")


def _source(config: QuantizeConfig, say: Callable[[str], None]) -> Source:
    """The float network that `config` says, and the images. Raises ConfigError for one that is quantized already."""
    from pipeline.quantize.quantize import float_network, source_of
    from pipeline.quantize.user_network import user_source

    if config.is_class:
        if config.state is None:
            say(f"weights         those that {config.network} makes, as no state is given")
        return user_source(config)
    return source_of(config, *float_network(config))


def benchmark_command(path: Path, out: Path | None, say: Callable[[str], None], bar: bool) -> None:
    """Do all that the benchmark `path` says, quantizations or trainings, and tell where their table is."""
    path = config_file.named(path, BENCHMARKS, PTQ_CONFIGS)
    folder = out or Path(TRAINED, f"benchmark_{path.stem}")
    if is_benchmark_of_tables(path):
        _tables_command(path, folder, say)
    else:
        training_benchmark(path, folder, say, bar)


@interruptible("what is done is kept")
def _tables_command(path: Path, folder: Path, say: Callable[[str], None]) -> None:
    load_tables(path)  # first of all, for its mistakes
    _quiet_brevitas()
    make_tables(path, folder, say)
    say(f"{folder / 'tables.html'}: the tables")


def _quiet_brevitas() -> None:
    warnings.filterwarnings("ignore", category=UserWarning, module=r"brevitas(_examples)?\.")
