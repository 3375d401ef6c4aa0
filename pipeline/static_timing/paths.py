"""The longest paths of a circuit, by delays alone: a static timing analysis without a placement."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import ToolError
from pipeline.static_timing.circuit import Circuit, Pin
from pipeline.static_timing.delays import CellDelays, NetDelay
from pipeline.static_timing.primitives import CLOCKS, arcs, clock_to_out, setups

__all__ = ["Analysis", "Hop", "Path", "analyse"]

_ENDLESS = "a loop without a register goes through"
_PACKED = re.compile("LUT[1-6]|INV|MUXF[789]|CARRY4")
_RESETS = frozenset({"ap_rst_n"})
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Hop:
    """A cell on a path: the net before it, and itself."""

    cell: str  # type of the primitive
    pin: str  # where the path comes in
    module: str  # the source module that it is in
    signal: str  # what the source calls its output, or the input where the path ends; may be empty
    fan_out: int  # of the net before it
    net_ns: float
    cell_ns: float  # clock to output at the start, setup at the end


@dataclass(frozen=True)
class Path:
    """A path from a register, or from an input of the unit, to a register or an output, first hop first."""

    ns: float  # with setup and clock uncertainty
    hops: tuple[Hop, ...]

    @property
    def mhz(self) -> float:
        return 1000 / self.ns

    @property
    def start(self) -> str:
        return self.hops[0].signal

    @property
    def end(self) -> str:
        return self.hops[-1].signal

    @property
    def luts(self) -> int:
        """The levels of LUTs."""
        return sum(hop.cell.startswith("LUT") or hop.cell == "INV" for hop in self.hops)

    @property
    def carries(self) -> int:
        """The carry chains that it goes through."""
        chains = zip(self.hops, self.hops[1:], strict=False)
        return sum(hop.cell == "CARRY4" and not (last.cell == "CARRY4" and hop.pin == "CI") for last, hop in chains)

    @property
    def fan_out(self) -> int:
        """The most loads of a net on it."""
        return max(hop.fan_out for hop in self.hops)


@dataclass(frozen=True)
class _End:
    pin: Pin | None  # None at an output of the unit
    net: int
    label: str
    ns: float


class Analysis:
    """Arrival times in a circuit for one net delay; see `analyse`."""

    def __init__(self, circuit: Circuit, delays: CellDelays, net_delay: NetDelay) -> None:
        self._circuit = circuit
        self._delays = delays
        self._net_delay = net_delay
        self._arrival: dict[int, float] = {}
        self._before: dict[int, tuple[Pin, int] | None] = {}  # the pin by which the latest comes, and its net
        self._fan_out = [len(net.loads) for net in circuit.nets]
        self._ports: dict[int, str] = {}
        self._clocks = self._clock_nets()
        self._propagate()
        self._ends = sorted(self._find_ends(), key=lambda end: -end.ns)

    def worst(self, count: int) -> list[Path]:
        """The `count` longest paths, one for each pair of registers whatever the bit."""
        chosen: list[Path] = []
        seen = set()
        for end in self._ends:
            if len(chosen) == count:
                break
            path = self._path(end)
            pair = (_INDEX.sub("", path.start), _INDEX.sub("", path.end), path.hops[-1].pin)
            if pair not in seen:
                seen.add(pair)
                chosen.append(path)
        return chosen

    def _clock_nets(self) -> set[int]:
        """Nets that lead to clock pins, which are no part of a path."""
        return {
            bits[0]
            for cell in self._circuit.cells
            for port, bits in cell.inputs.items()
            if port in CLOCKS and bits[0] is not None
        }

    def _to(self, net: int, pin: Pin) -> float:
        """What the net takes to the pin `pin` of a load."""
        driver = self._circuit.nets[net].driver
        fan_out = self._fan_out[net]
        if driver is None:
            return self._net_delay.of(1 if self._ports.get(net, "").split("[")[0] in _RESETS else fan_out)
        source = self._circuit.cells[driver[0]].kind
        load, port = self._circuit.cells[pin[0]].kind, pin[1]
        if source == "CARRY4" and load == "CARRY4" and port == "CI":
            return 0.0
        if _PACKED.fullmatch(source):
            if load.startswith("MUXF") and port != "S":
                return 0.0
            if port == "D" and load.startswith("FD") and self._only(net, "FD", "D"):
                return 0.0
            if load == "CARRY4" and port == "S" and not source.startswith("CARRY") and self._only(net, "CARRY4", "S"):
                return 0.0
        return self._net_delay.of(fan_out)

    def _only(self, net: int, kind: str, port: str) -> bool:
        """Whether the net has one load of that kind, which then lies beside the driver."""
        loads = self._circuit.nets[net].loads
        if not self._net_delay.shares:
            return len(loads) == 1
        return sum(self._circuit.cells[cell].kind.startswith(kind) and name == port for cell, name, _ in loads) == 1

    def _propagate(self) -> None:
        circuit, delays = self._circuit, self._delays
        ways: dict[Pin, list[tuple[int, float]]] = {}
        waiting: dict[int, int] = {}
        for number, cell in enumerate(circuit.cells):
            for port, bit, out, out_bit, ns in arcs(cell, delays):
                source = cell.inputs[port][bit] if port in cell.inputs else None
                target = cell.outputs[out][out_bit] if out in cell.outputs else None
                if source is not None and target is not None:
                    ways.setdefault((number, port, bit), []).append((target, ns))
                    waiting[target] = waiting.get(target, 0) + 1
            for out, ns in clock_to_out(cell, delays):
                for target in cell.outputs[out]:
                    if target is not None and ns > self._arrival.get(target, -1.0):
                        self._arrival[target] = ns
                        self._before[target] = None
        for port, bits in circuit.inputs.items():
            for i, net in enumerate(bits):
                if net is not None and net not in self._clocks:
                    self._arrival[net] = delays.clk_to_q  # of the register at the other side
                    self._before[net] = None
                    self._ports[net] = f"{port}[{i}]" if len(bits) > 1 else port
        ready = deque(net for net in range(len(circuit.nets)) if not waiting.get(net))
        done = 0
        while ready:
            net = ready.popleft()
            done += 1
            for pin in circuit.nets[net].loads:
                if pin not in ways:
                    continue
                arrival = self._arrival.get(net)
                at = None if arrival is None else arrival + self._to(net, pin)
                for target, ns in ways[pin]:
                    if at is not None and at + ns > self._arrival.get(target, -1.0):
                        self._arrival[target] = at + ns
                        self._before[target] = (pin, net)
                    waiting[target] -= 1
                    if not waiting[target]:
                        ready.append(target)
        if done != len(circuit.nets):
            stuck = next(net for net, count in waiting.items() if count)
            cell = circuit.cells[circuit.nets[stuck].driver[0]]
            raise ToolError(f"{_ENDLESS} {cell.path}{cell.kind} in module {cell.module}")

    def _find_ends(self) -> list[_End]:
        ends = []
        for number, cell in enumerate(self._circuit.cells):
            label = next((cell.label(port, i) for port, bits in cell.outputs.items() for i, _ in enumerate(bits)), "")
            for port, ns in setups(cell, self._delays):
                for i, net in enumerate(cell.inputs[port]):
                    if net in self._arrival:
                        pin = (number, port, i)
                        ends.append(_End(pin, net, label, self._arrival[net] + self._to(net, pin) + ns))
        for port, bits in self._circuit.outputs.items():
            for i, net in enumerate(bits):
                if net in self._arrival:
                    label = f"{port}[{i}]" if len(bits) > 1 else port
                    way = self._net_delay.of(self._fan_out[net] + 1)
                    ends.append(_End(None, net, label, self._arrival[net] + way + self._delays.setup_d))
        return [_End(end.pin, end.net, end.label, end.ns + self._delays.uncertainty) for end in ends]

    def _path(self, end: _End) -> Path:
        hops = [self._last(end)]
        net = end.net
        while (before := self._before[net]) is not None:
            pin, source = before
            number, port, _ = pin
            way = self._to(source, pin)
            cell = self._circuit.cells[number]
            took = self._arrival[net] - self._arrival[source] - way
            hops.append(Hop(cell.kind, port, cell.module, self._label(net), self._fan_out[source], way, took))
            net = source
        driver = self._circuit.nets[net].driver
        kind, module = ("input", "") if driver is None else self._kind(driver)
        hops.append(Hop(kind, "", module, self._label(net), 0, 0.0, self._arrival[net]))
        return Path(end.ns, tuple(reversed(hops)))

    def _last(self, end: _End) -> Hop:
        fan_out = self._fan_out[end.net]
        if end.pin is None:
            way = self._net_delay.of(fan_out + 1)
            return Hop("output", "", "", end.label, fan_out + 1, way, self._delays.setup_d)
        kind, module = self._kind(end.pin)
        way = self._to(end.net, end.pin)
        setup = end.ns - self._delays.uncertainty - self._arrival[end.net] - way
        return Hop(kind, end.pin[1], module, end.label, fan_out, way, setup)

    def _kind(self, pin: Pin) -> tuple[str, str]:
        cell = self._circuit.cells[pin[0]]
        return cell.kind, cell.module

    def _label(self, net: int) -> str:
        driver = self._circuit.nets[net].driver
        if driver is None:
            return self._ports.get(net, "")
        number, port, bit = driver
        return self._circuit.cells[number].label(port, bit)


def analyse(circuit: Circuit, delays: CellDelays) -> Mapping[str, Analysis]:
    """The arrival times in `circuit`, by the name of the net delay.

    An input of the unit comes from a register outside, an output goes to one: a net lies between. Nets that a clock pin is
    on are ideal, and the fan-out of an input that is a reset costs nothing.
    """
    return {net.name: Analysis(circuit, delays, net) for net in delays.nets}
