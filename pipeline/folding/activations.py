"""What finds the levels of layers with thresholds: a search among them, or a requantizer that is proven to be equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.requantize import WORTHWHILE_MULTIPLIER_BITS
from pipeline.dataflow.roles import Activating
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.threshold_search import MAX_THRESHOLDS

__all__ = ["ACTIVATION_STYLES", "Activations", "activations"]

ACTIVATION_STYLES = ("auto", "thresholds", "requantize")


@dataclass(frozen=True)
class Activations:
    """`graph`, whose layers have requantizers where they must; `open` are the layers with one that may have it, by name,
    in the place of those of the graph."""

    graph: LayerGraph
    open: Mapping[str, Layer]


def activations(graph: LayerGraph, activation_style: str | Mapping[str, str]) -> Activations:
    """`activation_style` is for all layers with thresholds, or by name, others being auto: a requantizer where there is
    one and it is estimated to take fewer LUTs. A layer whose levels are those of a requantizer, as they are too many for
    thresholds, has that one.

    Raises ConfigError for a layer without levels, UnsupportedError for one that must have a requantizer and has none, or
    must have thresholds and has too many levels.
    """
    layers = {layer.name: layer for layer in graph if isinstance(layer, Activating) and layer.activates}
    by_name = activation_style if isinstance(activation_style, Mapping) else {}
    for name in by_name:
        if name not in layers:
            has = f"those with any are {', '.join(layers)}" if layers else "no layer has any"
            raise ConfigError(f"activation_style names {name}, which is no layer with thresholds; {has}.")
    rest = activation_style if isinstance(activation_style, str) else "auto"
    styles = {name: by_name.get(name, rest) for name in layers}
    for name, style in styles.items():
        if style == "thresholds" and layers[name].thresholds is None:
            raise UnsupportedError(
                f"layer {_described(layers[name])} is to have thresholds (activation_style is thresholds), but has "
                f"{layers[name].level_steps + 1:,} levels, and there are at most {MAX_THRESHOLDS} thresholds a channel. "
                "Choose auto or requantize for it: its requantizer gives every level exactly."
            )
    searched = {name: layer for name, layer in layers.items() if layer.thresholds is not None}
    made = {name: layer.with_requantizer() for name, layer in searched.items() if styles[name] != "thresholds"}
    must: dict[str, Layer] = {}
    for name, layer in made.items():
        if styles[name] != "requantize":
            continue
        if layer is None:
            raise UnsupportedError(
                f"layer {_described(layers[name])} is to have a requantizer (activation_style is requantize), but no "
                f"multiplier of up to {WORTHWHILE_MULTIPLIER_BITS} bits gives the levels of its thresholds: they are not evenly spaced in every "
                "channel. Choose auto or thresholds for it."
            )
        must[name] = layer
    return Activations(
        replace(graph, layers=tuple(must.get(layer.name, layer) for layer in graph)),
        {name: layer for name, layer in made.items() if layer is not None and name not in must},
    )


def _described(layer: Layer) -> str:
    return f"{layer.name} ({layer.source})" if layer.source else layer.name
