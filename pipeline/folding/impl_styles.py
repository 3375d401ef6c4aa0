"""The implementation of each layer that the resources are counted for.

    rtl  its module of hw/rtl, counted by Yosys
    hls  its function of hw/hls too, by Vitis HLS where that is installed

The accelerator that is stitched, simulated cycle by cycle and put on the board is that of hw/rtl in either case.

A file that FINN takes as `specialize_layers_config_file` loads unchanged:

    {"Defaults": {"preferred_impl_style": ["rtl", ["MVAU", "Thresholding"]]}, "MVAU_0": {"preferred_impl_style": "hls"}}

"all" stands for all operators, an empty string for no preference. What in it is not of this network has no effect and
is reported. FINN gives a layer without the style that is asked for the other one; here that is an error, unless all
layers were asked for at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.errors import ConfigError
from pipeline.folding.finn_names import Names, check_network
from pipeline.folding.folding_config import by_operator, check_layout
from pipeline.json_file import read_json
from pipeline.text_file import shown

__all__ = ["IMPL_STYLES", "ImplStyles", "StylesFile", "impl_styles"]

IMPL_STYLES = ("rtl", "hls")

_OPTION = "preferred_impl_style"


@dataclass(frozen=True)
class ImplStyles:
    """The style of each layer, by name, and what of the file has no effect."""

    styles: dict[str, str]
    ignored: tuple[str, ...]


def impl_styles(graph: LayerGraph, preferred: str | Mapping[str, str], file: Path | None = None) -> ImplStyles:
    """The styles of the layers of the folded `graph`.

    `preferred` is one for all layers, or by layer and operator: a layer's own comes before that of its operator. What
    it leaves open `file` may say, and what both leave open is rtl; one for all layers comes after what `file` says.
    Raises ConfigError for a file that cannot be used, for a layer or an operator of `preferred` that the graph does not
    have, and for a layer that cannot be had in HLS C++.
    """
    _check_names(graph, preferred)
    by_layer = {} if isinstance(preferred, str) else preferred
    rest = preferred if isinstance(preferred, str) else "rtl"
    read = StylesFile.load(file, graph) if file else StylesFile("", {}, {}, {}, ())
    styles = {}
    ignored = [*read.ignored, *read.unknown(graph)]
    for layer in graph:
        configured, in_file = _of(by_layer, layer), read.wanted(layer)
        if configured and in_file and configured != in_file:
            ignored.append(f"{read.key_of(layer)} (the configuration says {configured})")
        by_file = not configured and (in_file or read.of_all(layer))
        where = f"{_OPTION} of {read.path}" if by_file else _OPTION
        styles[layer.name] = _possible(layer, configured or in_file, read.of_all(layer) or rest, where)
    return ImplStyles(styles, tuple(ignored))


@dataclass(frozen=True)
class StylesFile:
    """A file of FINN. An empty style is no preference."""

    path: str
    layers: dict[str, str]  # our name to style
    defaults: dict[str, str]  # operator, or "all", to style
    keys: dict[str, str]  # our name to the file's
    ignored: tuple[str, ...]

    @classmethod
    def load(cls, path: Path, graph: LayerGraph | None = None) -> StylesFile:
        """Read the JSON file `path` for `graph`; without one its names are those of FINN today.

        Raises ConfigError for a file that cannot be read, has values that cannot be, or is of another network.
        """
        called = f"The specialize_layers_config_file {path}"
        entries = check_layout(called, read_json(path, called), f'{{"MVAU_0": {{"{_OPTION}": "hls"}}, …}}')
        given = entries.pop("Defaults", {})
        names = Names.read(entries, called)
        keys, _ = names.of(graph) if graph else (names.keys, "")
        layers = {
            name: _style(called, key, entries[key][_OPTION]) for name, key in keys.items() if _OPTION in entries[key]
        }
        defaults = {
            operator: _style(called, "Defaults", value)
            for name, entry in given.items()
            if name == _OPTION
            for operator, value in by_operator(called, name, entry)
        }
        preferred = {name: key for name, key in keys.items() if layers.get(name)}
        asking = [key for key in names.others if entries[key].get(_OPTION)]
        if graph:
            check_network(called, "specialize_layers_config_file", preferred, asking, graph, bool(defaults))
        unread = {"Defaults": given, **entries}
        others = [f"{key}.{name}" for key, entry in unread.items() for name in entry if name != _OPTION]
        return cls(str(path), layers, defaults, keys, tuple(asking + others))

    def wanted(self, layer: Layer) -> str:
        """The file's style of `layer` or of its operator. A layer's empty string takes back what defaults say."""
        return self.layers[layer.name] if layer.name in self.layers else _of(self.defaults, layer)

    def of_all(self, layer: Layer) -> str:
        return "" if layer.name in self.layers else self.defaults.get("all", "")

    def key_of(self, layer: Layer) -> str:
        return self.keys[layer.name] if layer.name in self.layers else f"{layer.name} (Defaults)"

    def unknown(self, graph: LayerGraph) -> list[str]:
        """The file's names of layers with a preference that `graph` does not have."""
        names = {layer.name for layer in graph}
        return [self.keys[name] for name, style in self.layers.items() if style and name not in names]


def _operators(layer: Layer) -> tuple[str, ...]:
    """The names that the operator of `layer` may have: a sparse or an unrolled MVAU is an MVAU to FINN."""
    return (layer.op_type, layer.name.rpartition("_")[0])


def _of(styles: Mapping[str, str], layer: Layer) -> str:
    """The style in `styles` for `layer`, or else for its operator; empty if nothing."""
    return next((styles[name] for name in (layer.name, *_operators(layer)) if name in styles), "")


def _check_names(graph: LayerGraph, preferred: str | Mapping[str, str]) -> None:
    layers = [layer.name for layer in graph]
    operators = sorted({operator for layer in graph for operator in _operators(layer)})
    for name in () if isinstance(preferred, str) else preferred:
        if name not in layers and name not in operators:
            raise ConfigError(
                f"{_OPTION} names {name}, which is no layer and no operator of this network. It has the operators "
                f"{', '.join(operators)} and the layers {', '.join(layers)}."
            )


def _possible(layer: Layer, configured: str, of_all: str, where: str) -> str:
    """The style of `layer`: `configured`, if its name or operator was asked for, else `of_all`, as `where` says."""
    style = configured or of_all
    if style == "rtl" or (not layer.has_hls and not configured):
        return "rtl"
    of = f" ({layer.source})" if layer.source else ""
    if not layer.has_hls:
        raise ConfigError(
            f"layer {layer.name}{of} is to be in HLS C++ ({where} is hls), where {layer.op_type} has no form: a FIFO is "
            "the depth of a stream there. Choose rtl for it, or leave it out."
        )
    if layer.loads_weights:
        raise ConfigError(
            f"layer {layer.name}{of} is to be in HLS C++ ({where} is hls), but its weights are in UltraRAM (ram_style "
            "ultra) and loaded at start-up, which the C++ does not do. Choose rtl for it, or block or distributed as "
            "its ram_style."
        )
    return style


def _style(called: str, key: str, value: object) -> str:
    if value not in ("", *IMPL_STYLES):
        raise ConfigError(
            f"{called} has {key}.{_OPTION} = {shown(value)}; expected one of {', '.join(IMPL_STYLES)}, or an empty string."
        )
    return str(value)
