"""A search of the bits of weights and activations: what accuracy costs in LUTs, as a Pareto front.

For each width of activations weights of 2 bits come first, then wider ones until accuracy falls; and then wider activations,
until their best is below that of narrower ones. Wider numbers cost LUTs, and within a bound on the sums they leave room for
fewer weights. Each trial is measured on labelled
images that nothing was calibrated with, and its LUTs are those that the stage `fold` estimates at a frame rate. Trials are
kept as they come: the same search goes on with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline import api
from pipeline.errors import A2QError, ConfigError
from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.quantize import Source, made_by, quantize, record_of, top1_scores
from pipeline.quantize.result import write_result

__all__ = ["Found", "Trial", "chosen", "front", "search"]

_BITS = (2, 3, 4, 5, 6)
_WORTH = 0.01  # of top-1, that the choice may lose for fewer LUTs
_OF = "search.json"


@dataclass(frozen=True)
class Trial:
    """A quantization of `weight_bits` and `act_bits`: the network's `name`, its top-1 on the images to choose by and on the
    test images, the bits of its widest hidden sum, and LUTs; or why it `failed`."""

    weight_bits: int
    act_bits: int
    name: str
    top1: float = 0.0
    test_top1: float = 0.0
    widest: int = 0
    lut: int = 0
    failed: str = ""

    @property
    def bits(self) -> str:
        return f"W{self.weight_bits}A{self.act_bits}"


@dataclass(frozen=True)
class Found:
    """All `trials`, those of the `front`, from few LUTs to many, and the one that is `chosen`, with the reason."""

    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    chosen: Trial
    reason: str
    checkpoint: Path


def search(
    config: QuantizeConfig, source: Source, target_fps: float, folder: Path, say: Callable[[str], None]
) -> Found:
    """Try bits for the network of `source`, else quantized as `config` says, in `folder`.

    Raises ConfigError for images without classes, a network without hardware, a `folder` that holds another search, or where
    no trial can be built.
    """
    if not source.images.labelled:
        raise ConfigError(
            f"The images of {source.images.source} have no classes to choose by; expected a data set, or a folder that has a "
            "folder of images for each class."
        )
    without = getattr(source.network, "without_hardware", ())
    if without:
        raise ConfigError(
            f"{source.name} has the operators {', '.join(without)}, for which there is no hardware here, so nothing tells its "
            "LUTs; quantize it without --search."
        )
    folder.mkdir(parents=True, exist_ok=True)
    _same_search(folder / _OF, _described(config, source, target_fps))
    trials: list[Trial] = []
    choices = _choices(config)
    say(
        f"bits            {_BITS[0]} to {_BITS[-1]} of weights and activations are tried, whatever else is said of them"
    )
    best = -1.0
    for act_bits, widths in choices.items():
        of_these = -1.0
        for weight_bits in widths:
            trial, known = _trial(config, source, target_fps, folder, weight_bits, act_bits)
            trials.append(trial)
            say(f"{trial.bits:<15} {_said(trial)}{', as known' if known else ''}")
            if trial.failed or trial.top1 <= of_these:
                _tell_left([f"W{bits}A{act_bits}" for bits in widths if bits > weight_bits], say)
                break
            of_these = trial.top1
        if of_these <= best:
            _tell_left([f"A{bits}" for bits in choices if bits > act_bits], say)
            break
        best = of_these
    best_ones = front(trials)
    if not best_ones:
        raise ConfigError(f"No trial can be built: {trials[-1].failed}")
    pick, reason = chosen(best_ones)
    return Found(tuple(trials), best_ones, pick, reason, folder / f"{pick.name}{config.ending}")


def _tell_left(left: Sequence[str], say: Callable[[str], None]) -> None:
    if left:
        say(f"{left[0]:<15} not tried{f', nor wider up to {left[-1]}' if left[1:] else ''}: narrower ones did no worse")


def front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Those of `trials` that none has both more accuracy and fewer LUTs than, from few LUTs to many."""
    built = sorted((trial for trial in trials if not trial.failed), key=lambda trial: (trial.lut, -trial.top1))
    kept: list[Trial] = []
    for trial in built:
        if not kept or trial.top1 > kept[-1].top1:
            kept.append(trial)
    return tuple(kept)


def chosen(best_ones: Sequence[Trial]) -> tuple[Trial, str]:
    """The one of a front that is chosen, and why: the fewest LUTs of those that lose little accuracy to the best."""
    best = best_ones[-1]
    enough = best.top1 - _WORTH
    pick = next(trial for trial in best_ones if trial.top1 >= enough)
    if pick is best:
        return pick, f"no other comes within {_WORTH:.0%} of its top-1 of {best.top1:.2%}"
    return pick, (
        f"of those within {_WORTH:.0%} of the best top-1 it takes the fewest LUTs: {pick.lut:,} in place of the {best.lut:,} of "
        f"{best.bits}, for {best.top1 - pick.top1:.2%} less"
    )


def _choices(config: QuantizeConfig) -> dict[int, tuple[int, ...]]:
    """The widths of weights to try, by that of activations. Raises ConfigError where the bound leaves none."""
    result: dict[int, tuple[int, ...]] = {}
    for act_bits in _BITS:
        try:
            config.of_bits(_BITS[0], act_bits)
        except ConfigError:
            if not result:
                raise
            break  # wider ones are not within the bound either
        result[act_bits] = _BITS
    return result


def _trial(
    config: QuantizeConfig, source: Source, target_fps: float, folder: Path, weight_bits: int, act_bits: int
) -> tuple[Trial, bool]:
    """The trial of these bits, and whether it was known from before."""
    bits = config.of_bits(weight_bits, act_bits)
    name = bits.name(source.name)
    kept = folder / f"{name}.trial.json"
    if kept.is_file():
        return Trial(**json.loads(kept.read_text())), True
    trial = Trial(weight_bits, act_bits, name)
    try:
        result = quantize(bits, source)
        top1 = top1_scores(result.network, source.images.choosing).metrics["top1"]
        scores = top1_scores(result.network, source.test)
        path = write_result(bits, source, result, record_of(bits, source, result, scores), folder)
        built = api.build(
            path, out=folder / "builds" / name, until="fold", progress=False, target_fps=target_fps, golden_frames=16
        )
        assert built.lut_estimated is not None  # as `fold` ran
        lut = round(built.lut_estimated)
        trial = Trial(weight_bits, act_bits, name, top1, scores.metrics["top1"], result.widest or 0, lut)
    except A2QError as error:
        trial = Trial(weight_bits, act_bits, name, failed=str(error).partition("\n")[0])
    passing = kept.with_suffix(".passing")
    passing.write_text(json.dumps(asdict(trial), indent=2) + "\n")
    passing.replace(kept)
    return trial, False


def _said(trial: Trial) -> str:
    if trial.failed:
        return f"not built: {trial.failed}"
    return f"top-1 {trial.top1:.2%}, sums of {trial.widest} bits, {trial.lut:,} LUTs"


def _described(config: QuantizeConfig, source: Source, target_fps: float) -> dict[str, Any]:
    """What all trials of a search share."""
    made = made_by(config, source)
    shared = {name: value for name, value in made["config"].items() if name not in ("weight_bits", "act_bits")}
    return {"network": source.name, "weights": made["float_weights"], "target_fps": target_fps, **shared}


def _same_search(path: Path, described: dict[str, Any]) -> None:
    """Raise ConfigError where `path` says that its folder holds another search; else let it say this one."""
    if path.is_file():
        try:
            other = dict(json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise ConfigError(f"{path} is damaged, and with it this search. Delete {path.parent}.") from None
        if other != described:
            changed = ", ".join(sorted(key for key in {*described, *other} if described.get(key) != other.get(key)))
            raise ConfigError(
                f"{path.parent} holds another search; {changed} differs. Name another folder with --out, or delete this one."
            )
        return
    path.write_text(json.dumps(described, indent=2) + "\n")
