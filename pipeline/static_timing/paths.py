"""The longest ways through a circuit, by delays alone: a static timing analysis without a placement."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pipeline.errors import ToolError
from pipeline.static_timing.circuit import Circuit, Pin
from pipeline.static_timing.delays import CellDelays, NetDelay
from pipeline.static_timing.primitives import arcs, clock_to_out, is_clock, setups

__all__ = ["REGISTERS", "Analysis", "End", "Hop", "Path", "TimingGraph", "Ways"]

REGISTERS = ""  # stands for all registers of a unit, where an input's name would say where ways begin

_PACKED = re.compile("LUT[1-6]|INV|MUXF[789]|CARRY4")
_RESETS = ("ap_rst_n", "rst_ni")
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Hop:
    """A cell on a path: the net before it, and itself."""

    unit: str  # the layer that it is in; empty where one unit is looked at
    cell: str  # type of the primitive; input or output at the border of what is looked at
    pin: str  # where the path comes in
    module: str  # the source module that it is in
    signal: str  # what the source calls its output; where the path ends, the register; may be empty
    fan_out: int  # of the net before it
    net_ns: float
    cell_ns: float  # clock to output at the start, setup at the end


@dataclass(frozen=True)
class Path:
    """A path from a register to a register, first hop first; `ns` is with setup and clock uncertainty."""

    ns: float
    hops: tuple[Hop, ...]

    @property
    def mhz(self) -> float:
        return 1000 / self.ns

    @property
    def start(self) -> Hop:
        return self.hops[0]

    @property
    def end(self) -> Hop:
        return self.hops[-1]

    @property
    def luts(self) -> int:
        """The levels of LUTs, and of what a memory of LUTs is read through."""
        return sum(hop.cell.startswith(("LUT", "INV", "RAM")) for hop in self.hops[1:-1])

    @property
    def carries(self) -> int:
        """The carry chains that it goes through."""
        return sum(hop.cell == "CARRY4" and hop.pin != "CI" for hop in self.hops)

    @property
    def fan_out(self) -> int:
        """The most loads of a net on it."""
        return max(hop.fan_out for hop in self.hops)

    @property
    def pair(self) -> tuple[str, ...]:
        """The key that is common to two paths that differ in nothing but the bit: where they start and end."""
        start, end = self.start, self.end
        return start.unit, _INDEX.sub("", start.signal), end.unit, _INDEX.sub("", end.signal), end.pin


@dataclass(frozen=True)
class End:
    """A pin that a clock edge samples, with what it takes to be there before it, from the start of `Ways`."""

    pin: Pin
    net: int
    ns: float  # setup included, clock uncertainty not


class TimingGraph:
    """The ways from net to net in a circuit, whichever the delay of nets.

    Nets that a clock pin is on are no part of any path. Raises ToolError for a primitive without delays, and for a loop
    that no register breaks.
    """

    def __init__(self, circuit: Circuit, delays: CellDelays) -> None:
        self.circuit = circuit
        self.delays = delays
        self.fan_out = [len(net.loads) for net in circuit.nets]
        self.ways: dict[Pin, list[tuple[int, float]]] = {}  # from an input pin of a cell to nets
        self.launched: dict[int, float] = {}  # nets that registers drive
        self.setups: dict[Pin, float] = {}
        self.ports = {
            net: f"{port}[{i}]" if len(bits) > 1 else port
            for port, bits in circuit.inputs.items()
            for i, net in enumerate(bits)
            if net is not None
        }
        clocks: set[int] = set()
        for number, cell in enumerate(circuit.cells):
            for port, bit, out, out_bit, ns in arcs(cell, delays):
                source = cell.inputs[port][bit]
                target = cell.outputs[out][out_bit] if out in cell.outputs else None
                if source is not None and target is not None:
                    self.ways.setdefault((number, port, bit), []).append((target, ns))
            for out, ns in clock_to_out(cell, delays):
                for net in cell.outputs[out]:
                    if net is not None:
                        self.launched[net] = max(ns, self.launched.get(net, 0.0))
            for port, ns in setups(cell, delays):
                for i, net in enumerate(cell.inputs[port]):
                    if net is not None:
                        self.setups[number, port, i] = ns
            clocks.update(
                net for port, bits in cell.inputs.items() if is_clock(cell, port) for net in bits if net is not None
            )
        self.clocks = clocks
        self.order = self._order()

    def starts(self, port: str) -> dict[int, float]:
        """The nets at which ways from the input `port` begin, or from REGISTERS, and when."""
        if port == REGISTERS:
            return self.launched
        return {net: 0.0 for net in self.circuit.inputs[port] if net is not None and net not in self.clocks}

    def is_reset(self, net: int) -> bool:
        return self.ports.get(net) in _RESETS

    def _order(self) -> list[int]:
        """The nets, each behind all that lead to it."""
        waiting = [0] * len(self.circuit.nets)
        for targets in self.ways.values():
            for target, _ in targets:
                waiting[target] += 1
        ready = deque(net for net, count in enumerate(waiting) if not count)
        order = []
        while ready:
            net = ready.popleft()
            order.append(net)
            for pin in self.circuit.nets[net].loads:
                for target, _ in self.ways.get(pin, ()):
                    waiting[target] -= 1
                    if not waiting[target]:
                        ready.append(target)
        if len(order) < len(waiting):
            stuck = next(net for net, count in enumerate(waiting) if count)
            driver = self.circuit.nets[stuck].driver
            assert driver is not None  # it waits for a cell
            cell = self.circuit.cells[driver[0]]
            raise ToolError(
                f"a loop that no register breaks goes through a {cell.kind} of {cell.path or 'the top '}"
                f"(module {cell.module}), so its paths have no end"
            )
        return order


class Ways:
    """How late what starts at one place comes to every net of a circuit, and by which way."""

    def __init__(self, graph: TimingGraph, net_delay: NetDelay, starts: Mapping[int, float]) -> None:
        self._graph = graph
        self._net_delay = net_delay
        self.arrival = dict(starts)
        self._before: dict[int, tuple[Pin, int]] = {}  # the pin by which the latest comes, and the net it is on
        for net in graph.order:
            at = self.arrival.get(net)
            if at is None:
                continue
            for pin in graph.circuit.nets[net].loads:
                targets = graph.ways.get(pin)
                if not targets:
                    continue
                there = at + self.to(net, pin)
                for target, ns in targets:
                    if there + ns > self.arrival.get(target, -1.0):
                        self.arrival[target] = there + ns
                        self._before[target] = (pin, net)

    def ends(self) -> Iterator[End]:
        """Every pin that a clock edge samples and that a way leads to."""
        for pin, setup in self._graph.setups.items():
            cell, port, bit = pin
            net = self._graph.circuit.cells[cell].inputs[port][bit]
            if net in self.arrival:
                yield End(pin, net, self.arrival[net] + self.to(net, pin) + setup)

    def latest_at(self, port: str) -> int | None:
        """The net of the output `port` that is the latest; None where no way leads to it."""
        reached = [net for net in self._graph.circuit.outputs[port] if net in self.arrival]
        return max(reached, key=self.arrival.__getitem__) if reached else None

    def to(self, net: int, pin: Pin) -> float:
        """The delay of the net to the pin of a load."""
        graph, cells = self._graph, self._graph.circuit.cells
        driver = graph.circuit.nets[net].driver
        if driver is None:
            return self._net_delay.of(1 if graph.is_reset(net) else graph.fan_out[net])
        source, load, port = cells[driver[0]].kind, cells[pin[0]].kind, pin[1]
        if source == load == "CARRY4" and port == "CI":
            return 0.0
        if _PACKED.fullmatch(source):
            if load.startswith("MUXF") and port != "S":
                return 0.0
            if load.startswith("FD") and port == "D" and self._lies_beside(net, "FD", "D"):
                return 0.0
            if load == "CARRY4" and port == "S" and source != "CARRY4" and self._lies_beside(net, "CARRY4", "S"):
                return 0.0
        way = self._net_delay.of(graph.fan_out[net])
        return way + graph.delays.carry_to_net if (source, driver[1]) == ("CARRY4", "O") else way

    def _lies_beside(self, net: int, kind: str, port: str) -> bool:
        """Whether the one load of that kind is in the slice of its driver."""
        loads = self._graph.circuit.nets[net].loads
        if not self._net_delay.shares:
            return len(loads) == 1
        return (
            sum(self._graph.circuit.cells[cell].kind.startswith(kind) and name == port for cell, name, _ in loads) == 1
        )

    def hops_to(self, net: int, unit: str) -> list[Hop]:
        """The hops by which the latest comes to a net: the cell or the input that it starts at first, its driver last."""
        hops = []
        while net in self._before:
            pin, source = self._before[net]
            cell = self._graph.circuit.cells[pin[0]]
            way = self.to(source, pin)
            took = self.arrival[net] - self.arrival[source] - way
            fan_out = self._graph.fan_out[source]
            hops.append(Hop(unit, cell.kind, pin[1], cell.module, self._label(net), fan_out, way, took))
            net = source
        driver = self._graph.circuit.nets[net].driver
        kind, module = "input", ""
        if driver is not None:
            kind, module = self._graph.circuit.cells[driver[0]].kind, self._graph.circuit.cells[driver[0]].module
        hops.append(Hop(unit, kind, "", module, self._label(net), 0, 0.0, self.arrival[net]))
        return hops[::-1]

    def hop_at(self, end: End, unit: str) -> Hop:
        """The last hop of the path to `end`."""
        number, port, _ = end.pin
        cell = self._graph.circuit.cells[number]
        names = (cell.label(out, i) for out, bits in cell.outputs.items() for i in range(len(bits)))
        way = self.to(end.net, end.pin)
        fan_out = self._graph.fan_out[end.net]
        return Hop(
            unit, cell.kind, port, cell.module, next(filter(None, names), ""), fan_out, way, self._graph.setups[end.pin]
        )

    def _label(self, net: int) -> str:
        driver = self._graph.circuit.nets[net].driver
        if driver is None:
            return self._graph.ports.get(net, "")
        number, port, bit = driver
        return self._graph.circuit.cells[number].label(port, bit)


class Analysis:
    """One unit with one net delay: the ways from its registers and from each of its inputs, each worked out when asked."""

    def __init__(self, graph: TimingGraph, net_delay: NetDelay) -> None:
        self.graph = graph
        self.net_delay = net_delay
        self.ways = cache(self._ways)
        self.ends = cache(self._ends)

    def _ways(self, port: str) -> Ways:
        return Ways(self.graph, self.net_delay, self.graph.starts(port))

    def _ends(self, port: str) -> Sequence[End]:
        """The ends at a clock edge of the ways from `port`, the latest first."""
        return sorted(self.ways(port).ends(), key=lambda end: (-end.ns, end.pin))
