"""FINN's folding JSON: which PE, SIMD, memories and FIFO depths a user wants, layer by layer.

A file of FINN loads unchanged, also of FINN 0.8 to 0.10: `pipeline/dataflow/finn_node.py` and `JOINED` say how they name what is built here.
A name such as MVAU_hls_0, MVAU_rtl_0 or MatrixVectorActivation_0 means our MVAU_0. FINN counts each of its operators
apart; where a file has several that are one here, they are numbered in the order in which the file has them, which is
that of FINN's graph. `Defaults` gives attributes to all layers ("all") or to a list of operators, as {"PE": [4,
["MVAU_hls"]]}.

FINN's attributes that choose among implementations which do not exist here are accepted and reported as ignored, and so
are layers that the network does not have, such as a Thresholding that is fused into an MVAU here. A file of another network
is an error. A file of which
nothing, or too little, is of the network is an error.

`resType` says what multiplies in a folded MVAU: `lut`, `dsp`, which is the style of this name (see `styles.py`), or `auto`, as
where nothing is said: then it is one of the two. What FINN has no word for: `mvau_style` says that an MVAU is sparse or
unrolled. Then its PE, SIMD and lanes, or its digits, are those of this style; else PE and SIMD are those of a folded one, in
LUTs or DSPs, and its segments and taps those of one in DSPs; without taps it has 1.

FINN has `M`, the pixels side by side in a beat, for its generators, and does not build it; here every layer that takes several
has it. Of a generator it counts the pixels that it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.dataflow.finn_node import today
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.registry import kernels
from pipeline.errors import ConfigError
from pipeline.folding.finn_names import BETWEEN_LAYERS, JOINED, Names, check_network, is_layer, operator_of
from pipeline.json_file import read_json
from pipeline.kernels.matrix_vector import RAM_STYLES, RES_TYPES, STYLES, lane_attributes
from pipeline.text_file import shown

__all__ = ["FoldingConfig", "LayerFolding", "attributes_of", "by_operator", "check_layout", "folded_alike"]

_MEM_MODES = {"const": "internal_embedded", "decoupled": "internal_decoupled"}  # as older files say
_WORDS: dict[str, tuple[str, ...]] = {
    "ram_style": RAM_STYLES,
    "mem_mode": ("internal_embedded", "internal_decoupled", "external", "external_mem", "dynamic"),
    "mvau_style": STYLES,
    "resType": ("auto", *RES_TYPES),
}

_MOST = 1 << 20  # lanes, or elements of a FIFO


@dataclass(frozen=True)
class LayerFolding:
    """The values of the file for one layer; `key` is the layer's name in the file."""

    key: str
    values: dict[str, int | str]


@dataclass(frozen=True)
class FoldingConfig:
    """A folding file. `layers` goes by our names (MVAU_0), in the file's order. `note` says how it counts, if otherwise."""

    path: str
    layers: dict[str, LayerFolding]
    defaults: dict[str, dict[str, int | str]]  # operator, or "all", to values
    ignored: tuple[str, ...]
    note: str = ""

    @classmethod
    def load(cls, path: Path, graph: LayerGraph | None = None) -> FoldingConfig:
        """Read the JSON file `path` for `graph`; without one its names are those of FINN today.

        Raises ConfigError for a file that cannot be read, has values that cannot be, or is of another network.
        """
        return cls.parse(read_json(path, f"The folding file {path}"), str(path), graph)

    @classmethod
    def parse(cls, content: object, path: str, graph: LayerGraph | None = None) -> FoldingConfig:
        """The folding in the JSON object `content`; `path` is what errors call it.

        Without `graph` its names are those of FINN today.
        """
        entries = check_layout(f"The folding file {path}", content, '{"MVAU_0": {"PE": 2}, …}')
        given = entries.pop("Defaults", {})
        names = Names.read(entries, f"The folding file {path}")
        layers, note = names.of(graph) if graph else (names.keys, "")
        ignored = list(names.others)
        folding = {}
        for name, key in layers.items():
            meaning = _meaning(operator_of(key))
            folding[name] = LayerFolding(
                key, {name: _value(path, key, name, value) for name, value in entries[key].items() if name in meaning}
            )
            ignored += [f"{key}.{name}" for name in entries[key] if name not in meaning]
        defaults, without_meaning = _defaults(path, given)
        ignored += without_meaning
        if graph:
            called = f"The folding file {path}"
            check_network(called, "folding_config_file", layers, names.others, graph, bool(defaults))
            there = {"all", *BETWEEN_LAYERS, *(layer.op_type for layer in graph)}
            ignored += [
                f"Defaults.{name} of {operator}"
                for operator, values in defaults.items()
                if operator not in there
                for name in values
            ]
        return cls(path, folding, defaults, tuple(ignored), note)

    def wanted(self, layer: Layer) -> dict[str, int | str]:
        """The values for `layer`, by FINN's attribute: the defaults for all, those of its operator, its own."""
        meaning = attributes_of(layer.finn_operator)
        values_of_layer = self.layers[layer.name].values if layer.name in self.layers else {}
        values = {**self.defaults.get("all", {}), **self.defaults.get(layer.op_type, {}), **values_of_layer}
        return {name: value for name, value in values.items() if name in meaning}

    def lanes(self, layer: Layer, style: str = "") -> dict[str, int]:
        """The parallelism it asks for, by the fields of a folding (`folding.py`); none for an MVAU that it wants in
        another `style`, where the same words mean something else."""
        wanted = self.wanted(layer)
        names = [name for name in (lane_attributes(style) if style else ("PE", "SIMD")) if name != "M"]
        if style and not folded_alike(str(wanted.get("mvau_style", "folded")), style):
            return {}
        return {name.lower(): value for name, value in wanted.items() if name in names}  # type: ignore[misc]

    def pixels(self, layer: Layer) -> int | None:
        """The pixels side by side that it asks for, FINN's M."""
        m = self.wanted(layer).get("M")
        return None if m is None else int(m)

    def key_of(self, layer: Layer) -> str:
        """The file's name of `layer`, for messages."""
        return self.layers[layer.name].key if layer.name in self.layers else f"{layer.name} (Defaults)"

    def without_layer(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """The names of the file that none of `layers` has."""
        names = {layer.name for layer in layers}
        return tuple(entry.key for name, entry in self.layers.items() if name not in names)


def folded_alike(style: str, other: str) -> bool:
    """Whether PE and SIMD mean the same in two styles: as they do in those that FINN's resType tells apart."""
    return style == other or {style, other} <= set(RES_TYPES.values())


def attributes_of(operator: str) -> tuple[str, ...]:
    """The attributes of FINN's `operator` that have a meaning here."""
    of_kernels = (kernel.finn_attributes for kernel in kernels().values() if kernel.finn_operator == operator)
    return tuple(dict.fromkeys(attribute for attributes in of_kernels for attribute in attributes))


def check_layout(called: str, content: object, example: str) -> dict[str, dict[str, Any]]:
    """`content` as an object of objects. Raises ConfigError, which calls it `called` and gives an `example`."""
    if not isinstance(content, dict):
        raise ConfigError(f"{called} holds {shown(content)}; it must be an object of objects: {example}.")
    for key, entry in content.items():
        if not isinstance(entry, dict):
            raise ConfigError(f"{called} has {shown(key)}: {shown(entry)}; it must be an object of objects: {example}.")
    return dict(content)


def _meaning(operator: str) -> tuple[str, ...]:
    """What of the attributes of FINN's `operator` decides something: a StreamingMaxPool takes all channels at once there."""
    return () if operator == "StreamingMaxPool" else attributes_of(JOINED.get(operator, operator))


def _defaults(path: str, content: dict[str, Any]) -> tuple[dict[str, dict[str, int | str]], list[str]]:
    """By operator, or "all", the default values; and what has no meaning here.

    A bare value, {"PE": 4}, which FINN's own loader refuses, is taken for all layers.
    """
    known = {name for kernel in kernels().values() for name in kernel.finn_attributes}
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
    wrong = len(pairs) % 2 or not all(_are_names(operators) for operators in pairs[1::2])
    if wrong:
        raise ConfigError(
            f"{called} has Defaults.{name} = {shown(entry)}; expected [value, operators], with operators "
            '"all" or a list such as ["MVAU_hls"].'
        )
    for value, operators in zip(pairs[::2], pairs[1::2], strict=True):
        for operator in [operators] if isinstance(operators, str) else operators:
            yield today(operator), value


def _are_names(operators: object) -> bool:
    names = operators if isinstance(operators, list) else [operators]
    return all(isinstance(name, str) and not is_layer(name) for name in names)


def _value(path: str, layer: str, name: str, value: object) -> int | str:
    called = f"The folding file {path} has {layer}.{name} = {shown(value)}"
    if name in _WORDS:
        word = _MEM_MODES.get(value, value) if name == "mem_mode" and isinstance(value, str) else value
        if word not in _WORDS[name]:
            raise ConfigError(f"{called}; expected one of {', '.join(_WORDS[name])}.")
        return str(word)
    if type(value) is not int or not 1 <= value <= _MOST:
        raise ConfigError(f"{called}; expected an integer of 1 or more, up to {_MOST}.")
    return value
