"""Two builds of one network beside each other, layer by layer, from their report/graph.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.report import graph as graph_file
from pipeline.report.graph import BETWEEN
from pipeline.report.markdown import number

__all__ = ["Comparison", "compare"]

_FOLDED = ("mvau_style", "PE", "SIMD", "M", "digits", "lanes", "segments", "taps", "ram_style")


@dataclass(frozen=True)
class Comparison:
    """The figures of the builds `names`: `rows` has what differs, by layer, then those of the whole; the rest is `same`.

    A row is the layer, what of its style and folding changed, and LUT, DSP, cycles and accumulator bits, each as
    "a → b", or as one where both are the same.
    """

    names: tuple[str, str]
    rows: tuple[tuple[str, ...], ...]
    same: int


def compare(first: Path, second: Path) -> Comparison:
    """The builds in the folders `first` and `second`. Raises InputError where one has no such file, or they are of networks
    with no matrix in common."""
    builds = [_read(folder) for folder in (first, second)]
    try:
        return _compare(first, second, builds)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{first} or {second} has a damaged report/{graph_file.FILE} ({error!r}). Build both again."
        ) from None


def _compare(first: Path, second: Path, builds: list[dict[str, Any]]) -> Comparison:
    a, b = ({_name(layer): layer for layer in build["layers"]} for build in builds)
    kept = [name for name, layer in a.items() if layer["op_type"] not in BETWEEN]
    new = [name for name, layer in b.items() if name not in a and layer["op_type"] not in BETWEEN]
    if not any(name in b and a[name]["source"] == b[name]["source"] for name in kept if "accumulator" in a[name]):
        raise InputError(
            f"{first} and {second} have no matrix of the same name in common: they are builds of {builds[0]['name']} and {builds[1]['name']}. Name two "
            "builds of one network."
        )
    rows, same = [], 0
    for name in [*kept, *new]:
        row = _row(name, a.get(name), b.get(name))
        if row is None:
            same += 1
        else:
            rows.append(row)
    for kind in sorted(BETWEEN):
        one, other = (_together(kind, layers) for layers in (a, b))
        if one["name"] != other["name"] or one["resources"] != other["resources"]:
            label = f"{one['name']} → {other['name']}" if one["name"] != other["name"] else one["name"]
            rows.append((f"{kind} ({label})", *_figures(one, other)))
    rows.append(("all", *_figures(_whole(a), _whole(b))))
    return Comparison((_title(builds[0]), _title(builds[1])), tuple(rows), same)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "report" / graph_file.FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if not isinstance(content, dict) or not {"name", "board", "layers"} <= content.keys():
            raise ValueError("name, board and layers are not in it")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Where that build has not come to its stage report yet, go on with it."
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}). Build it again.") from None
    return content


def _title(build: Mapping[str, Any]) -> str:
    return f"{build['name']} on {build['board']} at {build.get('fclk[mhz]', 0):g} MHz"


def _name(layer: Mapping[str, Any]) -> str:
    return str(layer["name"])


def _row(name: str, a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """The row of a layer; None where all of it is the same."""
    if a is None or b is None:
        here = a or b
        assert here is not None  # it is in one of them
        return (f"{name} (only in the {'first' if b is None else 'second'})", *_figures(a, b))
    figures = _figures(a, b)
    return (name, *figures) if any("→" in figure for figure in figures) else None


def _figures(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> tuple[str, ...]:
    def both(get: Any) -> str:
        one, other = ("–" if layer is None else get(layer) for layer in (a, b))
        one, other = (number(value) if isinstance(value, int | float) else value for value in (one, other))
        return str(one) if one == other else f"{one} → {other}"

    return (
        both(_folding),
        both(lambda layer: layer["resources"]["LUT"]),
        both(lambda layer: layer["resources"]["DSP"]),
        both(lambda layer: layer["cycles"]["predicted"] if "cycles" in layer else "–"),
        both(lambda layer: layer["accumulator"]["bits"] if "accumulator" in layer else "–"),
    )


def _folding(layer: Mapping[str, Any]) -> str:
    values = {**layer.get("folding", {}), "mvau_style": layer.get("mvau_style")}
    parts = [
        str(values[key]) if key in ("mvau_style", "ram_style") else f"{key} {values[key]}"
        for key in _FOLDED
        if values.get(key)
    ]
    return ", ".join(parts) or "–"


def _together(kind: str, layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All layers of a kind as one, called by how many they are."""
    chosen = [layer for layer in layers.values() if layer["op_type"] == kind]
    return {"name": str(len(chosen)), "resources": _sum(chosen)}


def _whole(layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    cycles = [layer["cycles"]["predicted"] for layer in layers.values() if "cycles" in layer]
    return {"resources": _sum(layers.values()), "cycles": {"predicted": max(cycles, default=0)}}


def _sum(layers: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    taken = [layer["resources"] for layer in layers]
    return {key: sum(resources[key] for resources in taken) for key in ("LUT", "DSP")}
