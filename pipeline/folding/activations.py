"""What finds the levels of layers with thresholds: a search among them, or a requantizer that is proven to be equal.

What multiplies by scales, such as a requantizer, does so in look-up tables ("lut") or in DSPs ("dsp", see
`pipeline/devices/dsps.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.requantize import WORTHWHILE_MULTIPLIER_BITS
from pipeline.dataflow.roles import Activating, Scaling
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.threshold_search import MAX_THRESHOLDS

__all__ = ["ACTIVATION_STYLES", "SCALE_MULTIPLIERS", "Activations", "activations"]

ACTIVATION_STYLES = ("auto", "thresholds", "requantize")
SCALE_MULTIPLIERS = ("lut", "dsp", "auto")


@dataclass(frozen=True)
class Activations:
    """`graph`, whose layers have requantizers and multiply in DSPs where they must; `open` are those that may take the place
    of its layers, by name and by what multiplies in them."""

    graph: LayerGraph
    open: Mapping[str, Mapping[str, Layer]]


def activations(
    graph: LayerGraph,
    activation_style: str | Mapping[str, str],
    scale_multiplier: str | Mapping[str, str] = "auto",
    family: str = "xcup",
) -> Activations:
    """`activation_style` is for all layers with thresholds, or by name, others being auto: a requantizer where there is
    one and it is estimated to take fewer LUTs. A layer with more levels than thresholds can give has its requantizer.

    `scale_multiplier` is what multiplies in requantizers, and by the scales of other layers, or by name, others being auto:
    look-up tables, DSPs of Yosys' `family`, or auto, which is DSPs as far as the board has them and they are estimated to save
    LUTs enough, see `pipeline/folding/selection.py`. What needs no multiplication is the same with any.

    Raises ConfigError for a layer without thresholds, or without anything to multiply by; UnsupportedError for one that must
    have a requantizer and has none, must have thresholds and has too many levels, or must multiply in DSPs that do not hold
    it.
    """
    layers = {layer.name: layer for layer in graph if isinstance(layer, Activating) and layer.activates}
    scaling: dict[str, Scaling] = {layer.name: layer for layer in graph if isinstance(layer, Scaling) and layer.scales}
    scaling = {**layers, **scaling}
    searched = {name: layer for name, layer in layers.items() if layer.thresholds is not None}
    styles = _by_layer("activation_style", activation_style, layers, "auto", "thresholds")
    multipliers = _by_layer("scale_multiplier", scale_multiplier, scaling, "auto", "thresholds or scales")
    must: dict[str, Layer] = {}
    may: dict[str, dict[str, Layer]] = {}
    for name, plain in scaling.items():
        style = styles.get(name, "requantize")
        if name in layers and name not in searched:
            if style == "thresholds":
                raise UnsupportedError(
                    f"layer {_described(plain)} is to have thresholds (activation_style is thresholds), but has "
                    f"{layers[name].level_steps + 1:,} levels, and there are at most {MAX_THRESHOLDS} thresholds a channel. "
                    "Choose auto or requantize for it: its requantizer gives every level exactly."
                )
            style = "requantize"  # which it has
        if style == "thresholds":
            continue
        layer = searched[name].with_requantizer() if name in searched else plain
        kinds = {} if layer is None else _kinds(layer, multipliers[name], family)
        if style == "requantize":
            if not kinds:
                raise UnsupportedError(_refusal(plain, layer))
            must[name] = kinds.pop(next(iter(kinds)))
        if kinds:
            may[name] = kinds
    return Activations(replace(graph, layers=tuple(must.get(layer.name, layer) for layer in graph)), may)


def _by_layer(
    option: str, wanted: str | Mapping[str, str], layers: Mapping[str, Layer], other: str, what: str
) -> dict[str, str]:
    """The value of `option` for each of `layers`, those with `what`; `other` for those that it does not name. Raises
    ConfigError for another layer."""
    if isinstance(wanted, str):
        return dict.fromkeys(layers, wanted)
    for name in wanted:
        if name not in layers:
            has = f"those with any are {', '.join(layers)}" if layers else "no layer has any"
            raise ConfigError(f"{option} names {name}, which is no layer with {what}; {has}.")
    return dict.fromkeys(layers, other) | dict(wanted)


def _kinds(layer: Scaling, multiplier: str, family: str) -> dict[str, Layer]:
    """What may compute `layer`, by what multiplies in it, look-up tables first."""
    kinds: dict[str, Layer] = {}
    if multiplier != "dsp" or not layer.scales:
        kinds["lut"] = layer
    if multiplier != "lut" and layer.scales:
        in_dsps = layer.with_multipliers_in_dsps(family)
        kinds |= {"dsp": in_dsps} if in_dsps else {}
    return kinds


def _refusal(plain: Layer, layer: Layer | None) -> str:
    if layer is None:
        return (
            f"layer {_described(plain)} is to have a requantizer (activation_style is requantize), but no multiplier of up to "
            f"{WORTHWHILE_MULTIPLIER_BITS} bits gives the levels of its thresholds: they are not evenly spaced in every "
            "channel. Choose auto or thresholds for it."
        )
    return (
        f"layer {_described(plain)} is to multiply in DSPs (scale_multiplier is dsp), but its values and scales, or their products, "
        "are wider than two DSPs hold. Choose lut or auto for it."
    )


def _described(layer: Layer) -> str:
    return f"{layer.name} ({layer.source})" if layer.source else layer.name
