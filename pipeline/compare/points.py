"""The builds of a comparison: names and patterns of models, by the axes along which builds differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from pipeline.accumulators.policy import Policy
from pipeline.config import COMMAND_LINE, BuildConfig, command_line, config_for, load_config
from pipeline.errors import ConfigError, InputError, ModelError
from pipeline.models.names import MODELS, TRAINED, ModelSpec, find, is_checkpoint, is_path, located, recorded
from pipeline.models.registry import checkpoint_record

__all__ = ["DEFAULT_POLICIES", "Axes", "Point", "points", "shape_of"]

DEFAULT_POLICIES = ("fixed:32", "datatype", "target", "exact", "exact/pe")
"""The comparison of the A2Q papers, from accumulators that nothing is known of to those that are proven row by row."""

_PE = "/pe"
_WILD = re.compile(r"[*?\[]")
_P = re.compile(r"(?<=_)\d+(?=b$)")


@dataclass(frozen=True)
class Axes:
    """The axes of a comparison beside the model; an empty axis leaves the value of the configuration.

    `policies` are accumulator policies as a configuration writes them, with `/pe` behind for a width of each PE.
    `bits` are values of P: they take the place of that in a model's name, and choose among the matches of a pattern.
    """

    policies: tuple[str, ...] = DEFAULT_POLICIES
    bits: tuple[int, ...] = ()
    boards: tuple[str, ...] = ()
    target_fps: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Point:
    """One build of a comparison: its configuration, and a `name` for people, which no other point has."""

    name: str
    config: BuildConfig

    @classmethod
    def of(cls, config: BuildConfig, *, several_seeds: bool = False) -> Point:
        """The point with this configuration, its seed in its name if it is one of several."""
        unnamed = cls("", config)
        rate = "max fps" if config.target_fps == "max" else f"{config.target_fps:.12g} fps"
        seed = [f"seed {config.seed}"] if several_seeds else []
        return cls(" · ".join([unnamed.model, unnamed.policy, config.board_name, rate, *seed]), config)

    @property
    def model(self) -> str:
        """The model's name; of a file, the file's."""
        model = self.config.model
        return Path(model).stem if is_path(model) else model

    @property
    def policy(self) -> str:
        """As the axis has it, such as exact/pe."""
        accumulators = self.config.accumulators
        return accumulators.policy + (_PE if accumulators.per_pe else "")

    @cached_property
    def slug(self) -> str:
        """The name of the point's folder, which says every axis."""
        config = self.config
        rate = "max" if config.target_fps == "max" else f"{config.target_fps:.12g}fps"
        policy = self.policy.replace(":", "").replace("/", "_")
        synthetic = "" if config.weights == "trained" else "-synthetic"
        return f"{self.model}-{policy}-{config.board_name}-{rate}-seed{config.seed}{synthetic}"


def points(
    names: Sequence[str],
    axes: Axes,
    config: Path | None = None,
    weights: str | None = None,
    settings: Sequence[str] = (),
) -> list[Point]:
    """The points of a comparison, model by model, each with every combination of the axes.

    `names` are names of models, paths, or patterns of the names that `a2q models` lists. `config` is the file of
    build_configs/ for all of them; without it each model has its own. `settings`, each NAME=VALUE, go before the file's
    options. Raises ModelError for a name or a pattern that
    means nothing, ConfigError for a value on an axis that cannot be, or for two models that would be told apart by
    nothing.
    """
    policies = [_accumulators(text) for text in axes.policies]
    _check_settings(settings)
    result: dict[str, Point] = {}
    for model in dict.fromkeys(model for name in names for model in _models(name, axes.bits)):
        for board, rate, seed in product(axes.boards or (None,), axes.target_fps or (None,), axes.seeds or (None,)):
            given = {"board": board, "target_fps": rate, "seed": seed, "weights": weights}
            loaded = _loaded(config, model, command_line(settings, {"model": model, **given}))
            for accumulators in policies:
                chosen = loaded.accumulators.model_copy(update=accumulators)
                whole = loaded.model_copy(update={"accumulators": chosen})
                point = Point.of(whole, several_seeds=len(axes.seeds) > 1)
                other = result.setdefault(point.slug, point)
                if other is not point:
                    raise ConfigError(_twice(other, point))
    return list(result.values())


def _check_settings(settings: Sequence[str]) -> None:
    """Raise ConfigError for what a comparison varies itself, so that a setting of it would have no effect."""
    for name in (setting.partition("=")[0] for setting in settings):
        if name in ("model", "accumulators", "accumulators.policy", "accumulators.per_pe"):
            instead = "name the models" if name == "model" else f"give policies by --policy, with {_PE} for per_pe"
            raise ConfigError(f"--set gives {name}, in which the builds of a comparison differ: {instead}.")


def _twice(one: Point, other: Point) -> str:
    if one.config == other.config:
        return f"{one.name} is asked for twice; each value of an axis may be given once."
    if one.config.board != other.config.board:
        return f"{one.config.board} and {other.config.board} are both called {one.config.board_name}. Rename one."
    return f"{one.config.model} and {other.config.model} are both called {one.name}. Rename one, or compare them apart."


def shape_of(config: BuildConfig) -> str:
    """The facts that a folding of multipliers depends on: networks of equal shape can be folded alike.

    They differ in P, in the method, or in their weights. A QONNX file is of its own shape, and so is a checkpoint that
    does not say what it is of.
    """
    model = config.model
    spec: ModelSpec | None = None
    if not is_path(model):
        spec = find(model)
    elif is_checkpoint(model):
        try:
            spec = recorded(Path(model).stem, checkpoint_record(Path(model)))
        except InputError:  # reported by its build
            pass
    if spec is None or spec.quantization is None:
        return model
    bits = replace(spec.quantization, accumulator_method="none", accumulator_bits=None)
    return repr((spec.family, spec.width, spec.input_shape, spec.num_classes, bits.as_dict(), bool(spec.url)))


def _models(name: str, bits: Sequence[int]) -> list[str]:
    """The models that `name` means, with each P of `bits`."""
    if _WILD.search(name) and not is_path(name):
        return _matching(name, bits)
    if not bits:
        return [name]
    if is_path(name) or not _P.search(name):
        raise ConfigError(
            f"--bits is given, but {name} has no P in its name that it could take the place of. Name a network such as "
            f"quant_resnet8_w4a4_a2q_{bits[0]}b, or leave --bits out."
        )
    return [_P.sub(str(p), name) for p in bits]


def _matching(pattern: str, bits: Sequence[int]) -> list[str]:
    """The quantized networks with a checkpoint that `pattern` matches, those with a P of `bits` if there are any."""
    known = sorted({*MODELS, *(path.stem for path in TRAINED.glob("**/*.pth"))})
    matches = [name for name in known if name.startswith("quant_") and fnmatchcase(name, pattern)]
    if not matches:
        raise ModelError(
            f"No quantized network matches {pattern!r}. What a pattern can match, `a2q models` lists; in a shell, put "
            "the pattern into quotes. Networks without a checkpoint are named one by one."
        )
    chosen = [name for name in matches if (p := _P.search(name)) and int(p[0]) in bits] if bits else matches
    if not chosen:
        raise ModelError(
            f"No network that matches {pattern!r} has a P of {', '.join(map(str, bits))}. Those that match are: "
            f"{', '.join(matches)}."
        )
    return chosen


def _loaded(path: Path | None, model: str, overrides: Mapping[str, Any]) -> BuildConfig:
    """The configuration of `model`, which is there by its name or, if it was trained here, by its file's path.

    Paths are absolute, so that they mean the same wherever it is built.
    """
    config = load_config(path or config_for(model), overrides, COMMAND_LINE)
    if config.weights == "trained":
        model = located(model)
    if is_path(model):
        return config.model_copy(update={"model": str(Path(model).absolute())})
    find(model)
    return config


def _accumulators(text: str) -> dict[str, Any]:
    """The configuration for a policy of the axis."""
    policy = text.removesuffix(_PE)
    try:
        return {"policy": str(Policy.parse(policy)), "per_pe": text.endswith(_PE)}
    except ConfigError as error:
        raise ConfigError(
            f"{error} With {_PE} behind it, such as exact{_PE}, each PE has a width of its own."
        ) from None
