"""FINN's folding JSON: which PE, SIMD, memories and FIFO depths a user wants, layer by layer.

A file of FINN loads unchanged. A name such as MVAU_hls_0 or MVAU_rtl_0 means our MVAU_0. FINN counts the HLS and the
RTL layers of one operator apart; where a file has both, they are numbered in the order in which the file has them,
which is that of FINN's graph. `Defaults` gives attributes to all layers ("all") or to a list of operators, as {"PE":
[4, ["MVAU_hls"]]}.

FINN's attributes that choose among implementations which do not exist here are accepted and reported as ignored, and so
are layers that the network does not have, such as a Thresholding that is fused into an MVAU here.

What FINN has no word for: `mvau_style` says that an MVAU is sparse or unrolled, see `styles.py`. Then its PE, SIMD and
lanes, or its digits, are those of this style; else PE and SIMD are those of a folded one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.dataflow.folding import STYLES
from pipeline.errors import ConfigError
from pipeline.kernels.base import Kernel
from pipeline.kernels.matrix_vector import RAM_STYLES

__all__ = ["ATTRIBUTES", "LANES", "FoldingConfig", "LayerFolding", "by_operator", "our_names", "read_json"]

# What of FINN's attributes decides something here. LabelSelect compares one element a cycle whatever its PE.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "MVAU": ("PE", "SIMD", "ram_style", "mem_mode", "mvau_style", "lanes", "digits"),
    "ConvolutionInputGenerator": ("SIMD",),
    "FMPadding": ("SIMD",),
    "Thresholding": ("PE",),
    "Pool": ("PE",),
    "AddStreams": ("PE",),
    "DuplicateStreams": ("PE",),
    "StreamingFIFO": ("depth",),
}

LANES = {"folded": ("PE", "SIMD"), "sparse": ("PE", "SIMD", "lanes"), "unrolled": ("digits",)}  # of an MVAU, by style
_MEM_MODES = {"const": "internal_embedded", "decoupled": "internal_decoupled"}  # as older files say
_WORDS: dict[str, tuple[str, ...]] = {
    "ram_style": RAM_STYLES,
    "mem_mode": ("internal_embedded", "internal_decoupled", "external"),
    "mvau_style": STYLES,
}

_NAME = re.compile(r"(?P<op>.+?)(_(?P<backend>hls|rtl))?_(?P<index>\d+)")


@dataclass(frozen=True)
class LayerFolding:
    """What the file asks for one layer; `key` is the layer's name in the file."""

    key: str
    values: dict[str, int | str]


@dataclass(frozen=True)
class FoldingConfig:
    """A folding file. `layers` goes by our names (MVAU_0), in the file's order."""

    path: str
    layers: dict[str, LayerFolding]
    defaults: dict[str, dict[str, int | str]]  # operator, or "all", to values
    ignored: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> FoldingConfig:
        """Read the JSON file `path`. Raises ConfigError for a file that cannot be read or has values that cannot be."""
        return cls.parse(read_json(path, f"The folding file {path}"), str(path))

    @classmethod
    def parse(cls, content: object, path: str) -> FoldingConfig:
        """The folding in the JSON object `content`; `path` is what errors call it."""
        if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
            raise ConfigError(f'The folding file {path} must be an object of objects: {{"MVAU_0": {{"PE": 2}}, …}}.')
        entries = {key: entry for key, entry in content.items() if key != "Defaults"}
        names, ignored = our_names(list(entries))
        layers = {}
        for key, entry in entries.items():
            if key not in names:
                continue
            meaning = ATTRIBUTES.get(names[key].rpartition("_")[0], ())
            layers[names[key]] = LayerFolding(
                key, {name: _value(path, key, name, value) for name, value in entry.items() if name in meaning}
            )
            ignored += [f"{key}.{name}" for name in entry if name not in meaning]
        defaults, without_meaning = _defaults(path, content.get("Defaults", {}))
        return cls(path, layers, defaults, tuple(ignored + without_meaning))

    def wanted(self, layer: Kernel) -> dict[str, int | str]:
        """The values for `layer`, by FINN's attribute: the defaults for all, those of its operator, its own."""
        meaning = ATTRIBUTES.get(layer.op_type, ())
        own = self.layers[layer.name].values if layer.name in self.layers else {}
        found = {**self.defaults.get("all", {}), **self.defaults.get(layer.op_type, {}), **own}
        return {name: value for name, value in found.items() if name in meaning}

    def lanes(self, layer: Kernel, style: str = "") -> dict[str, int]:
        """The parallelism it asks for, by the fields of a folding (`folding.py`); none for an MVAU that it wants in
        another `style`."""
        wanted = self.wanted(layer)
        names = LANES.get(style, ("PE", "SIMD"))
        if style and wanted.get("mvau_style", "folded") != style:
            return {}
        return {name.lower(): value for name, value in wanted.items() if name in names}  # type: ignore[misc]

    def key_of(self, layer: Kernel) -> str:
        """What the file calls `layer`, for messages."""
        return self.layers[layer.name].key if layer.name in self.layers else f"{layer.name} (Defaults)"

    def without_layer(self, layers: Sequence[Kernel]) -> tuple[str, ...]:
        """The names of the file that none of `layers` has."""
        names = {layer.name for layer in layers}
        return tuple(entry.key for name, entry in self.layers.items() if name not in names)


def read_json(path: Path, called: str) -> object:
    """The content of the JSON file `path`, which errors call `called`. Raises ConfigError if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{called} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{called} is not JSON: {error}.") from error


def our_names(keys: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Our name for each of the file's, and the file's names that are no layer's."""
    found: dict[str, list[tuple[str, str | None, int]]] = {}
    ignored = []
    for key in keys:
        match = _NAME.fullmatch(key)
        if match:
            found.setdefault(match["op"], []).append((key, match["backend"], int(match["index"])))
        else:
            ignored.append(key)
    names = {}
    for op, entries in found.items():
        counted_apart = len({backend for _, backend, _ in entries}) > 1
        for position, (key, _, index) in enumerate(entries):
            names[key] = f"{op}_{position if counted_apart else index}"
    return names, ignored


def _defaults(path: str, content: Mapping) -> tuple[dict[str, dict[str, int | str]], list[str]]:
    """By operator, or "all", the default values; and what has no meaning here.

    A bare value, {"PE": 4}, which FINN's own loader refuses, is taken for all layers.
    """
    known = {name for names in ATTRIBUTES.values() for name in names}
    defaults: dict[str, dict[str, int | str]] = {}
    ignored = []
    for name, entry in content.items():
        if name not in known:
            ignored.append(f"Defaults.{name}")
            continue
        for operator, value in by_operator(f"The folding file {path}", name, entry):
            defaults.setdefault(operator, {})[name] = _value(path, "Defaults", name, value)
    return defaults, ignored


def by_operator(called: str, name: str, entry: object) -> Iterator[tuple[str, object]]:
    """Operator, or "all", and value, of what the file that errors call `called` has as Defaults.`name`."""
    pairs = entry if isinstance(entry, list) else [entry, "all"]
    if len(pairs) % 2:
        raise ConfigError(
            f"{called} has Defaults.{name} = {entry!r}; expected [value, operators], with operators "
            '"all" or a list such as ["MVAU_hls"].'
        )
    for value, operators in zip(pairs[::2], pairs[1::2], strict=True):
        for operator in [operators] if isinstance(operators, str) else operators:
            yield re.sub(r"_(hls|rtl)$", "", str(operator)), value


def _value(path: str, layer: str, name: str, value: object) -> int | str:
    if name in _WORDS:
        word = _MEM_MODES.get(str(value), value) if name == "mem_mode" else value
        if word not in _WORDS[name]:
            raise ConfigError(
                f"The folding file {path} has {layer}.{name} = {value!r}; expected one of {', '.join(_WORDS[name])}."
            )
        return str(word)
    if type(value) is not int or value < 1:
        raise ConfigError(f"The folding file {path} has {layer}.{name} = {value!r}; expected an integer of 1 or more.")
    return value
