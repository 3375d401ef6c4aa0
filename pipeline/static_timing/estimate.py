"""The longest paths of a build, estimated from the netlists of its units: by layer, module and signal.

An estimate of what place and route may reach, between an optimistic and a pessimistic delay of nets; docs/timing.md has
the model. Nothing here was placed, routed or measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path as File
from typing import Any

from pipeline.dataflow.graph import LayerGraph
from pipeline.static_timing.circuit import flatten
from pipeline.static_timing.delays import CELL_DELAYS, graded
from pipeline.static_timing.network import Network, NetworkTiming
from pipeline.static_timing.paths import Analysis, Hop, Path, TimingGraph
from pipeline.tools.netlist import read_netlist

__all__ = [
    "OPTIMISTIC",
    "PESSIMISTIC",
    "LongestPath",
    "TimingEstimate",
    "connections",
    "estimate",
    "network_of",
    "timing_of",
]

OPTIMISTIC, PESSIMISTIC = "optimistic", "pessimistic"
_WORST = 10
_INSTANCE = "u_layer."  # of the layer in its wrapper
_HANDSHAKE = (("tvalid", False), ("tdata", False), ("tready", True))  # and whether it goes against the stream


@dataclass(frozen=True)
class LongestPath:
    """The longest path that ends in a layer, in ns by the name of the net delay; the rest is of the pessimistic one."""

    op_type: str
    ns: dict[str, float]
    luts: int  # levels of LUTs
    carries: int  # carry chains
    fan_out: int  # the most loads of a net on it
    start: str  # <layer>: <signal>
    end: str


@dataclass(frozen=True)
class TimingEstimate:
    """The estimate for a build. `worst` are its longest paths by the pessimistic net delay, the longest first."""

    method: str
    part: str  # family and speed grade that the delays are of
    clock_period_ns: float  # what the build wants
    layers: dict[str, LongestPath]
    worst: tuple[Path, ...]

    def slowest(self, net: str) -> str:
        """The layer with the longest path by the net delay called `net`."""
        return max(self.layers, key=lambda name: self.layers[name].ns[net])

    def mhz(self, net: str) -> float:
        """The clock that the longest path of all allows by the net delay called `net`."""
        return 1000 / self.layers[self.slowest(net)].ns[net]

    def too_slow(self, net: str) -> list[str]:
        """The layers whose longest path by the net delay called `net` takes more than the clock's period."""
        return [name for name, layer in self.layers.items() if layer.ns[net] > self.clock_period_ns]

    @property
    def verdict(self) -> str:
        """Whether the clock that the build wants is within reach, in a clause."""
        wanted = f"the clock wanted, {1000 / self.clock_period_ns:.0f} MHz,"
        if layers := self.too_slow(OPTIMISTIC):
            return f"{wanted} is OUT OF REACH even so ({_count(layers)} too slow)"
        if layers := self.too_slow(PESSIMISTIC):
            return f"{wanted} may be out of reach ({_count(layers)} too slow pessimistically)"
        return f"{wanted} is within reach of both"

    @property
    def summary(self) -> str:
        """One sentence."""
        slowest = self.slowest(PESSIMISTIC)
        return (
            f"estimated {self.mhz(PESSIMISTIC):.0f} MHz pessimistic, {self.mhz(OPTIMISTIC):.0f} optimistic on {self.part}, "
            f"slowest is {slowest}; {self.verdict}"
        )

    def to_json(self) -> dict[str, Any]:
        mhz = {net: round(self.mhz(net), 1) for net in (OPTIMISTIC, PESSIMISTIC)}
        layers = {name: asdict(layer) for name, layer in self.layers.items()}
        worst = [{"mhz": round(path.mhz, 1), **asdict(path)} for path in self.worst]
        facts = {"method": self.method, "part": self.part, "clock_period_ns": self.clock_period_ns}
        return {"known": "estimated", **facts, "mhz": mhz, "layers": layers, "worst": worst}

    @classmethod
    def load(cls, path: File) -> TimingEstimate:
        """The estimate that `to_json` gave, from the file `path`."""
        content = json.loads(path.read_text())
        return cls(
            content["method"],
            content["part"],
            content["clock_period_ns"],
            {name: LongestPath(**layer) for name, layer in content["layers"].items()},
            tuple(Path(entry["ns"], tuple(Hop(**hop) for hop in entry["hops"])) for entry in content["worst"]),
        )


def estimate(
    graph: LayerGraph, netlists: Mapping[str, File], family: str, part: str, clock_period_ns: float
) -> TimingEstimate:
    """The estimate of `graph` from the netlists of its layers, and of what else stands in `netlists`, in `family` of Yosys.

    Where `part`, the name of one, is of another speed grade than the delays, the estimate says so. Raises ToolError for a
    primitive without known delays, or a loop that no register breaks.
    """
    delays = CELL_DELAYS[family]
    op_types = {layer.name: layer.op_type for layer in graph}
    surroundings = [name for name in netlists if name not in op_types]
    network = network_of(netlists, connections(graph, surroundings), family)
    optimistic, pessimistic = (timing_of(network, index) for index in range(len(delays.nets)))
    layers: dict[str, LongestPath] = {}
    paths: list[Path] = []
    for name in netlists:
        longest = pessimistic.worst(name, _WORST)
        if not longest:
            continue  # nothing in it is timed
        paths += longest
        best, path = optimistic.worst(name, 1)[0], longest[0]
        layers[name] = LongestPath(
            op_types.get(name, name),
            {OPTIMISTIC: best.ns, PESSIMISTIC: path.ns},
            path.luts,
            path.carries,
            path.fan_out,
            place(path.start),
            place(path.end),
        )
    nets = " or ".join(
        f"{net.base:g} ns{f' and {net.per_doubling:g} ns more for each doubling of the fan-out above 16' if net.per_doubling else ''}"
        for net in delays.nets
    )
    return TimingEstimate(
        method=f"estimated from the netlists that LUTs are counted from: delays of cells of {delays.part}; for a net {nets}; "
        f"{delays.uncertainty:g} ns of clock uncertainty; no placement, no routing",
        part=graded(delays, part),
        clock_period_ns=clock_period_ns,
        layers=layers,
        worst=tuple(sorted(_distinct(paths), key=lambda path: -path.ns)[:_WORST]),
    )


def network_of(
    netlists: Mapping[str, File], drivers: Mapping[tuple[str, str], tuple[str, str]], family: str
) -> Network:
    """The units in `netlists`, connected by `drivers` as far as both ends are there; units of one file share their graph."""
    graphs: dict[File, TimingGraph] = {}
    units = {}
    for name, file in netlists.items():
        key = file.resolve()
        if key not in graphs:
            graphs[key] = TimingGraph(flatten(read_netlist(file)), CELL_DELAYS[family])
        units[name] = graphs[key]
    return Network(units, {read: written for read, written in drivers.items() if {read[0], written[0]} <= units.keys()})


def timing_of(network: Network, net: int) -> NetworkTiming:
    """The paths of `network` with the net delay of that index."""
    graphs = {id(graph): graph for graph in network.units.values()}
    analyses = {key: Analysis(graph, graph.delays.nets[net]) for key, graph in graphs.items()}
    nets = {graph.delays.nets[net] for graph in graphs.values()}
    return NetworkTiming(network, nets.pop(), analyses)


def connections(graph: LayerGraph, surroundings: Sequence[str] = ()) -> dict[tuple[str, str], tuple[str, str]]:
    """For each input of a layer's wrapper that a layer drives, or one of `surroundings`, the output that does.

    Ports are those of the wrappers of single layers: s_axis_<i>_* and m_axis_<i>_*. `surroundings` are the shell and the
    converters, which `pipeline/synthesis/synth.py` names.
    """
    writers = {stream: (layer.name, i) for layer in graph for i, stream in enumerate(layer.output_names)}
    drivers: dict[tuple[str, str], tuple[str, str]] = {}
    for layer in graph:
        for i, stream in enumerate(layer.input_names):
            if stream in writers:
                writer, j = writers[stream]
                for signal, backwards in _HANDSHAKE:
                    ends = [(layer.name, f"s_axis_{i}_{signal}"), (writer, f"m_axis_{j}_{signal}")]
                    reader, driver = reversed(ends) if backwards else ends
                    drivers[reader] = driver
    return drivers | _around(graph, writers, surroundings)


def _around(
    graph: LayerGraph, writers: Mapping[str, tuple[str, int]], surroundings: Sequence[str]
) -> dict[tuple[str, str], tuple[str, str]]:
    """The connections of the shell with the network, through converters where there are any."""
    if not surroundings:
        return {}
    shell, *converters = surroundings
    drivers: dict[tuple[str, str], tuple[str, str]] = {}

    def join(writer: str, write: str, reader: str, read: str) -> None:
        """Connect two streams whose ports are called by patterns with the signal's name, and _o and _i behind or not."""
        for signal in ("valid", "data"):
            drivers[reader, read.format(signal, "i")] = (writer, write.format(signal, "o"))
        drivers[writer, write.format("ready", "i")] = (reader, read.format("ready", "o"))

    reader = next(
        (layer.name, i) for layer in graph for i, stream in enumerate(layer.input_names) if stream == graph.input
    )
    into, out_of = f"s_axis_{reader[1]}_t{{}}", f"m_axis_{writers[graph.output][1]}_t{{}}"
    last = writers[graph.output][0]
    if "input_converter" in converters:
        join(shell, "core_in_{}_{}", "input_converter", "in_{}_{}")
        join("input_converter", "out_{}_{}", reader[0], into)
    else:
        join(shell, "core_in_{}_{}", reader[0], into)
    if "output_converter" in converters:
        join(last, out_of, "output_converter", "in_{}_{}")
        join("output_converter", "out_{}_{}", shell, "core_out_{}_{}")
    else:
        join(last, out_of, shell, "core_out_{}_{}")
    return drivers


def _distinct(paths: Sequence[Path]) -> list[Path]:
    """One of the paths that differ in nothing but the layer: equal units have equal paths."""
    seen: dict[tuple[object, ...], Path] = {}
    for path in paths:
        inner = {hop.unit for hop in path.hops}
        same = (
            tuple((hop.cell, hop.module, hop.signal, hop.fan_out) for hop in path.hops)
            if len(inner) == 1
            else path.pair
        )
        seen.setdefault((round(path.ns, 6), same), path)
    return list(seen.values())


def place(hop: Hop) -> str:
    """The place of a hop: layer, signal and, where the source does not give it away, module."""
    signal = hop.signal.removeprefix(_INSTANCE)
    what = signal or (f"a {hop.cell} of {hop.module}" if hop.module else hop.cell)
    return f"{hop.unit}: {what}"


def _count(layers: Sequence[str]) -> str:
    return f"{len(layers)} layer{'s' if len(layers) > 1 else ''}"
