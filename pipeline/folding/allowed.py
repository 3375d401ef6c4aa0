"""The choices for each MVAU: the styles and memories that the configuration, the folding file and the board leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.devices.boards import Board
from pipeline.errors import ConfigError
from pipeline.folding.folding_config import FoldingConfig, folded_alike
from pipeline.kernels.matrix_vector import RES_TYPES, STYLES, lane_attributes

__all__ = ["Allowed", "allowed"]

_OF_MODE = {"internal_embedded": ("unrolled",), "internal_decoupled": ("folded", "sparse", "dsp")}
_MODE_OF = {style: mode for mode, styles in _OF_MODE.items() for style in styles}
_CANNOT_BE = {"sparse": "has no weights of zero to leave out", "dsp": "has rows that see different inputs"}


@dataclass(frozen=True)
class Allowed:
    """By MVAU, what computes its matrix (see `styles.py`) and what its weights may be stored in."""

    styles: Mapping[str, tuple[str, ...]]
    ram_styles: Mapping[str, str]
    ignored: tuple[str, ...]  # what of the folding file has no effect, and why

    @property
    def open(self) -> list[str]:
        """The MVAUs of which the style is left open."""
        return [name for name, styles in self.styles.items() if len(styles) > 1]

    def memories(self) -> dict[str, tuple[str, ...]]:
        """The memories that are asked for the weights of each."""
        return {name: (kind,) for name, kind in self.ram_styles.items()}

    def more_memories(self, board: Board) -> dict[str, tuple[str, ...]]:
        """The same, with all that `board` has where it is left to synthesis."""
        every = ("auto", "distributed", "block", *(("ultra",) if board.capacity.uram else ()))
        return {name: every if kind == "auto" else (kind,) for name, kind in self.ram_styles.items()}


def allowed(
    graph: LayerGraph,
    mvau_style: str | Mapping[str, str],
    ram_style: str | Mapping[str, str],
    config: FoldingConfig | None,
    board: Board,
) -> Allowed:
    """`mvau_style` and `ram_style` are for all MVAUs or by name, others being auto. What they leave open, as auto,
    `config` may settle; one whose PE or SIMD it sets is folded, in LUTs or in DSPs as its resType says.

    Raises ConfigError for a layer that the graph does not have, for memories of what has none, and for UltraRAM that
    the board does not have.
    """
    mvaus = [layer for layer in graph if layer.styles]
    asked_styles = _by_name("mvau_style", mvau_style, mvaus)
    asked_memories = _by_name("ram_style", ram_style, mvaus)
    wishes = {layer.name: config.wanted(layer) if config else {} for layer in mvaus}
    styles = {
        layer.name: _styles(layer, asked_styles[layer.name], wishes[layer.name], isinstance(mvau_style, str))
        for layer in mvaus
    }
    if isinstance(ram_style, str) and ram_style != "auto" and set(styles.values()) == {("unrolled",)}:
        raise ConfigError(
            f"ram_style is {ram_style}, but every MVAU is unrolled: their weights are the circuits, not in memories. Take "
            "ram_style out, or choose another mvau_style."
        )
    memories, ignored = {}, []
    for layer in mvaus:
        wanted = wishes[layer.name]
        key = config.key_of(layer) if config else ""
        if unmet := _unmet(layer, wanted, styles[layer.name]):
            ignored += [f"{key}.{name} ({why})" for name, why in unmet.items()]
        if styles[layer.name] == ("unrolled",) and not isinstance(ram_style, str) and layer.name in ram_style:
            raise ConfigError(
                f"ram_style names {layer.name}, which is unrolled: its weights are the circuit, not in a memory. Take it "
                "out, or choose another mvau_style for it."
            )
        memories[layer.name] = asked_memories[layer.name]
        if "ram_style" in wanted:
            if memories[layer.name] == "auto":
                memories[layer.name] = str(wanted["ram_style"])
            elif memories[layer.name] != wanted["ram_style"]:
                ignored.append(f"{key}.ram_style (the configuration says {memories[layer.name]})")
        if memories[layer.name] == "ultra" and not board.capacity.uram and styles[layer.name] != ("unrolled",):
            of = f" ({layer.source})" if layer.source else ""
            by_file = config if asked_memories[layer.name] == "auto" else None
            where = f"{key}.ram_style of {by_file.path}" if by_file else "ram_style"
            raise ConfigError(
                f"layer {layer.name}{of} is to have its weights in UltraRAM ({where} is ultra), but the {board.name} has "
                "none. Choose block, distributed or auto for it, or a board with URAM: `a2q boards` lists them."
            )
    return Allowed(styles, memories, tuple(ignored))


def _by_name(option: str, value: str | Mapping[str, str], mvaus: list[Layer]) -> dict[str, str]:
    names = [layer.name for layer in mvaus]
    if isinstance(value, str):
        return dict.fromkeys(names, value)
    for name in value:
        if name not in names:
            raise ConfigError(f"{option} names {name}, which is no MVAU of this network; it has {', '.join(names)}.")
    return {name: value.get(name, "auto") for name in names}


def _styles(layer: Layer, style: str, wanted: Mapping[str, int | str], of_all: bool) -> tuple[str, ...]:
    """The styles of `layer`, of which `style` is asked, of all layers or of it; what a layer cannot be is folded where all
    are asked to be it, and an error else."""
    if style == "auto" and "mvau_style" in wanted:
        style, of_all = str(wanted["mvau_style"]), False
    if style != "auto":
        if style not in layer.styles and not of_all:
            raise ConfigError(
                f"{layer.name} is to be {style}; it can be {' or '.join(layer.styles)}: a {layer.op_type} "
                f"{_CANNOT_BE[style]}."
            )
        return (style if style in layer.styles else "folded",)
    made_of = wanted.get("resType")
    if made_of == "dsp" and "dsp" in layer.styles:
        return ("dsp",)
    kinds: Iterable[str] = _OF_MODE.get(str(wanted.get("mem_mode")), STYLES)
    if lanes := [name for name in wanted if any(name in lane_attributes(kind) for kind in RES_TYPES.values())]:
        kinds = [kind for kind in RES_TYPES.values() if set(lanes) <= set(lane_attributes(kind))]
    return tuple(kind for kind in kinds if kind in layer.styles and (made_of != "lut" or kind != "dsp")) or ("folded",)


def _unmet(layer: Layer, wanted: Mapping[str, int | str], styles: tuple[str, ...]) -> dict[str, str]:
    """The attributes of `wanted` that have no effect on `layer`, which may have these `styles`, and why."""
    unmet: dict[str, str] = {}
    mode = wanted.get("mem_mode")
    if mode and mode not in _OF_MODE:
        unmet["mem_mode"] = "weights from outside the design cannot be built"
    if mode in _OF_MODE and all(mode != _MODE_OF[style] for style in styles):
        unmet["mem_mode"] = f"it is {' or '.join(styles)}, so {_MODE_OF[styles[0]]}"
    made_of = wanted.get("resType")
    if (made_of == "dsp" and "dsp" not in styles) or (made_of == "lut" and styles == ("dsp",)):
        who = "mvau_style" if wanted.get("mvau_style") == styles[0] else "the configuration"
        possible = made_of == "lut" or "dsp" in layer.styles
        unmet["resType"] = f"{who} says {styles[0]}" if possible else f"a {layer.op_type} {_CANNOT_BE['dsp']}"
    if len(styles) > 1:
        return unmet
    (style,) = styles
    of_file = str(wanted.get("mvau_style", "folded"))
    if "mvau_style" in wanted and of_file != style:
        unmet["mvau_style"] = f"the configuration says {style}"
    for name in dict.fromkeys(name for kind in STYLES for name in lane_attributes(kind)):
        alike = folded_alike(of_file, style)
        if name in wanted and (not alike or name not in lane_attributes(style)):
            unmet[name] = f"none for what is {style}" if alike else f"it is {style}"
    if "ram_style" in wanted and style == "unrolled":
        unmet["ram_style"] = "it is unrolled: its weights are the circuit"
    return unmet
