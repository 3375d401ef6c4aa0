"""FINN's names of a network's layers in its files of folding and of styles, by release, and ours.

FINN counts each of its operators apart, in the order of its graph: MVAU_hls_0, MVAU_rtl_0. `JOINED` has what is another
operator here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.dataflow.finn_node import OPERATORS, today
from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import ConfigError
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.pool import Pool
from pipeline.text_file import shown

__all__ = ["BETWEEN_LAYERS", "JOINED", "Names", "check_network", "is_layer", "operator_of"]

# Operators of FINN that are others here, with windows of their own where it has none. StreamingMaxPool and DownSampler
# (of 1×1 convolutions with a stride) are those of FINN up to 0.10.
JOINED = {
    "StreamingMaxPool": "Pool",
    "GlobalAccPool": "Pool",
    "DownSampler": "ConvolutionInputGenerator",
}

_NAME = re.compile(r"(?P<kind>(?P<op>[A-Za-z]\w*?)(_(hls|rtl))?)_(?P<index>0|[1-9][0-9]{0,5})", re.ASCII)
_WINDOWS = "ConvolutionInputGenerator"
BETWEEN_LAYERS = ("StreamingFIFO", "StreamingDataWidthConverter")
_SHOWN = 4  # names that a message has


def operator_of(name: str) -> str:
    """The operator, as it is called today, in the name of a layer.

    >>> operator_of("MVAU_3"), operator_of("MVAU_hls_3"), operator_of("StreamingFCLayer_Batch_3")
    ('MVAU', 'MVAU', 'MVAU')
    """
    return today(re.sub(r"_[0-9]+$", "", name))


def is_layer(name: str) -> bool:
    """Whether FINN could call a layer so."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Names:
    """The names of the layers in a file, `keys`, by today's names without _hls and _rtl; `others` are no layer's.

    Where a file has several operators that are one now, they are numbered in the file's order, which is that of FINN's
    graph: it has to have them all from 0 on, and none by the name that they have together.
    """

    keys: dict[str, str]
    others: tuple[str, ...]
    former: bool  # whether there are names of FINN 0.8 or 0.9

    @classmethod
    def read(cls, keys: Collection[str], called: str) -> Names:
        """The names among the `keys` of the file that errors call `called`. Raises ConfigError for names that contradict."""
        attributes: dict[str, list[tuple[str, str, int]]] = {}
        others = []
        former = False
        for key in keys:
            if match := _NAME.fullmatch(key):
                former |= match["op"] in OPERATORS
                operator = OPERATORS.get(match["op"], match["op"])
                attributes.setdefault(operator, []).append((key, match["kind"], int(match["index"])))
            else:
                others.append(key)
        names = {}
        for operator, entries in attributes.items():
            counted_apart = len({kind for _, kind, _ in entries}) > 1
            if counted_apart:
                _check_counted_apart(called, operator, entries)
            for position, (key, _, index) in enumerate(entries):
                names[f"{operator}_{position if counted_apart else index}"] = key
        order = {key: position for position, key in enumerate(keys)}
        return cls(dict(sorted(names.items(), key=lambda item: order[item[1]])), tuple(others), former)

    def of(self, graph: LayerGraph) -> tuple[dict[str, str], str]:
        """The file's names by those of `graph`, and a sentence if it counts in another way.

        A file counts windows as FINN up to 0.10 did if it names an operator of FINN 0.8 or 0.9, a StreamingMaxPool or a
        DownSampler; or if, without any Pool, it has just as many windows as there are so.
        """
        theirs = Counter(map(operator_of, self.keys))
        joined = _joined(graph)
        fewest = sum(operator == _WINDOWS for operator, _ in _counted(graph, joined, ("StreamingMaxPool",)))
        wanted = {
            "StreamingMaxPool": self.former
            or theirs["StreamingMaxPool"]
            or (theirs[_WINDOWS], theirs["Pool"]) == (fewest, 0),
            "DownSampler": self.former or theirs["DownSampler"],
            "GlobalAccPool": theirs["GlobalAccPool"],
        }
        kinds = [op for op, is_wanted in wanted.items() if is_wanted and (op, True) in joined.values()]
        apart = {*kinds, *([_WINDOWS, "Pool"] if kinds else [])}
        counts: Counter[str] = Counter()
        names = {}
        for operator, name in _counted(graph, joined, kinds):
            names[f"{operator}_{counts[operator]}"] = name
            counts[operator] += 1
        names = {name: ours for name, ours in names.items() if operator_of(name) in apart}
        layers = {
            names.get(name, f"none for {key}") if operator_of(name) in apart else name: key
            for name, key in self.keys.items()
        }
        there = {layer.name for layer in graph}
        moved = [
            f"{key} is {ours}"
            for ours, key in layers.items()
            if ours in there and ours != f"{operator_of(key)}_{key.rpartition('_')[2]}"
        ]
        note = f"FINN counts in another way: {', '.join(moved[:_SHOWN])}" if moved else ""
        return layers, note + (f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else "")


def _check_counted_apart(called: str, operator: str, entries: Sequence[tuple[str, str, int]]) -> None:
    """Raise ConfigError unless the `entries` (name, kind, index) of an operator say which layer each is of."""
    kinds: dict[str, list[tuple[str, int]]] = {}
    for key, kind, index in entries:
        kinds.setdefault(kind, []).append((key, index))
    made = [kind for kind in kinds if kind.endswith(("_hls", "_rtl"))]
    if made and operator in kinds:
        one, other = kinds[operator][0][0], kinds[made[0]][0][0]
        raise ConfigError(
            f"{called} has {one} and {other}: FINN counts {made[0]} apart, so that which of the layers it is cannot be told. Call all "
            f"of them {operator}_0, {operator}_1, …, or name all as FINN does."
        )
    if [index for _, _, index in entries] == list(range(len(entries))):
        return  # counted together
    for named in kinds.values():
        for position, (key, index) in enumerate(named):
            if index != position:
                raise ConfigError(
                    f"{called} has {key}, and not all before it: FINN counts {' and '.join(kinds)} apart, so that which of the layers "
                    f"it is cannot be told. Leave all of them in, in FINN's order, or call them {operator}_0, {operator}_1, …."
                )


def check_network(
    called: str, option: str, layers: Mapping[str, str], others: Collection[str], graph: LayerGraph, defaults: bool
) -> None:
    """Raise ConfigError if the file that errors call `called`, of `option`, is of another network than `graph`.

    So it is if the network has none of its layers, or less than half of its MVAUs. `layers` gives the file's names by
    ours, `others` are its names of no layer, `defaults` says whether it has defaults.
    """
    ours = [layer.name for layer in graph]
    named = {name: key for name, key in layers.items() if operator_of(key) not in BETWEEN_LAYERS}
    missing = [key for name, key in named.items() if name not in ours]
    matrices = [key for key in named.values() if operator_of(key) == "MVAU"]
    strange = [key for key in missing if operator_of(key) == "MVAU"]
    if 2 * len(strange) > len(matrices):
        unknown = strange
    elif (layers or others) and len(missing) == len(layers) and not defaults:
        unknown = [*missing, *others]
    else:
        return
    raise ConfigError(
        f"{called} is of another network: this one has no {_some(unknown)}. It has {_some(ours)}. Name the file of this "
        f"network, or leave {option} out."
    )


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(shown, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _joined(graph: LayerGraph) -> dict[str, tuple[str, bool]]:
    """By layer that is, or is part of, one of JOINED in FINN: that operator, and whether it is folded as this layer."""
    readers = {stream: layer for layer in graph for stream in layer.input_names}
    joined: dict[str, tuple[str, bool]] = {}
    for layer in graph:
        if not isinstance(layer, ConvolutionInputGenerator):
            continue
        reader = readers.get(layer.output_names[0])
        while reader is not None and reader.between_layers:
            reader = readers.get(reader.output_names[0])
        if isinstance(reader, Pool):
            operator = ""
            if reader.function == "max" and layer.stride == layer.kernel == layer.span:
                operator = "StreamingMaxPool"
            elif reader.function == "sum" and layer.kernel == layer.shape[:2]:
                operator = "GlobalAccPool"
            if operator:
                joined |= {layer.name: (operator, False), reader.name: (operator, True)}
        elif layer.kernel == (1, 1):
            joined[layer.name] = ("DownSampler", True)
    return joined


def _counted(
    graph: LayerGraph, joined: Mapping[str, tuple[str, bool]], kinds: Collection[str]
) -> Iterator[tuple[str, str]]:
    """FINN's operator and our name of each layer that FINN has, of JOINED only `kinds`."""
    for layer in graph:
        operator, is_the_one = joined.get(layer.name, ("", False))
        if operator not in kinds:
            yield operator_of(layer.name), layer.name
        elif is_the_one:
            yield operator, layer.name
