"""One folding for all builds that are to be compared, so that what they differ in is the accumulators.

What a layer costs follows from its accumulators, and which folding is cheapest from what layers cost. So one of the
builds, with the policy exact, is the reference: the others take its PE, SIMD, FIFO depths, styles and memories, but for layers
with columns of a kernel in a DSP, where another policy has its own. Where
all matrices are folded, networks that differ in P or method take the same reference; where styles are chosen, or weights
are part of the circuit, each network has its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import fingerprint
from pipeline.compare.points import Point, shape_of
from pipeline.config import Accumulators, BuildConfig
from pipeline.kernels.streaming_fifo import StreamingFIFO

if TYPE_CHECKING:
    from pipeline.flow import BuildResult

__all__ = ["Folding", "read_folding", "reference_for", "references"]


@dataclass(frozen=True)
class Folding:
    """How `reference` is folded: its folding file, styles and memories included, and the cycles between its frames."""

    reference: BuildConfig
    layers: dict[str, Any]
    cycles: int

    def given_to(self, config: BuildConfig, folder: Path) -> BuildConfig:
        """`config`, folded as the reference is; the folding file is kept in `folder`. The reference stays as it is."""
        if config == self.reference:
            return config
        given_layers = self.layers if config.accumulators == self.reference.accumulators else _without_taps(self.layers)
        text = json.dumps(given_layers, indent=2) + "\n"
        file = folder / f"{fingerprint.combine({'folding': text})[:16]}.json"
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            passing = file.with_name(f".{file.name}.{os.getpid()}")
            passing.write_text(text)
            passing.replace(file)
        given: dict[str, Any] = {"folding_config_file": file}
        if config.target_fps == "max":  # the rate that the reference was found to reach, half a cycle to spare
            given["target_fps"] = 1e9 / (config.synth_clk_period_ns * (self.cycles + 0.5))
        return config.model_copy(update=given)


def reference_for(config: BuildConfig) -> BuildConfig:
    """`config` with the policy that references have."""
    return config.model_copy(update={"accumulators": Accumulators()})


def references(points: Sequence[Point]) -> dict[str, list[BuildConfig]]:
    """By point (its slug), the configurations of which the first that can be folded is its reference.

    Points that are to be folded alike have the same list.
    """
    groups: dict[str, list[BuildConfig]] = {}
    result = {}
    for point in points:
        reference = reference_for(point.config)
        alike = groups.setdefault(_group(reference), [])
        if reference not in alike:
            alike.append(reference)
        result[point.slug] = alike
    return result


def read_folding(reference: BuildConfig, built: BuildResult) -> Folding:
    """The folding of `reference`, `built` until the stage fold."""
    from pipeline.folding import fold

    folder = built.results["fold"]
    return Folding(
        reference,
        json.loads((folder / "auto_folding_config.json").read_text()),
        fold.load(folder).max_cycles,
    )


def _without_taps(layers: dict[str, Any]) -> dict[str, Any]:
    """A folding file that leaves open what has columns of a kernel in a DSP: its lanes hold whole sums, which accumulators of
    other widths may not fit. Then FIFOs are others, too."""
    if not any("taps" in fields for fields in layers.values()):
        return layers
    return {
        name: fields
        for name, fields in layers.items()
        if "taps" not in fields and not name.startswith(StreamingFIFO.op_type)
    }


def _group(reference: BuildConfig) -> str:
    """The key that is common to the references of builds that are to be folded alike."""
    same = reference.model_dump(mode="json")
    if reference.mvau_style == "folded":
        same |= {"model": shape_of(reference), "seed": 0}
    return json.dumps(same, sort_keys=True)
