"""The longest paths of units that are connected: through as many of them as no register stands between.

Each distinct unit is looked at once: what its registers, and each of its inputs, take to its outputs and to its
registers. These are then added up along the connections, port by port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from pipeline.errors import ToolError
from pipeline.static_timing.delays import NetDelay
from pipeline.static_timing.paths import REGISTERS, Analysis, End, Hop, Path, TimingGraph

__all__ = ["Network", "NetworkTiming"]

_BITS_SHOWN = 4000  # ends of a unit that are looked through for those which differ in more than the bit


@dataclass(frozen=True)
class Network:
    """Units by name, and for an input of a unit the output of a unit that drives it.

    An input that nothing drives comes from a register outside, an output that nothing reads goes to one.
    """

    units: Mapping[str, TimingGraph]
    drivers: Mapping[tuple[str, str], tuple[str, str]]


class NetworkTiming:
    """The paths of a network with one net delay."""

    def __init__(self, network: Network, net_delay: NetDelay, analyses: Mapping[int, Analysis]) -> None:
        """`analyses` has that of each unit's graph, by its id: equal units share one."""
        self._network = network
        self._net_delay = net_delay
        self._analyses = {name: analyses[id(graph)] for name, graph in network.units.items()}
        # for each output when it comes, and from which input, or REGISTERS; None where it is a constant
        self._late: dict[tuple[str, str], tuple[float, str | None]] = {}
        self._pending: set[tuple[str, str]] = set()
        self._read = set(network.drivers.values())

    def worst(self, unit: str, count: int) -> list[Path]:
        """The `count` longest paths that end in `unit`, one for each pair of registers, whatever the bit."""
        ends = sorted(self._ends(unit), key=lambda item: -item[0])
        chosen: dict[tuple[str, ...], Path] = {}
        for ns, port, end in islice(ends, _BITS_SHOWN):
            if len(chosen) == count:
                break
            path = self._path(unit, ns, port, end)
            chosen.setdefault(path.pair, path)
        return list(chosen.values())

    def _ends(self, unit: str) -> Iterator[tuple[float, str, End | str]]:
        """The paths that end in `unit`: their time, start and pin; or an output that goes outside."""
        analysis = self._analyses[unit]
        circuit = analysis.graph.circuit
        for port in (REGISTERS, *circuit.inputs):
            before = self._at_start(unit, port)
            if before is None:
                continue
            for end in islice(analysis.ends(port), _BITS_SHOWN):
                yield before + end.ns + analysis.graph.delays.uncertainty, port, end
        for port in circuit.outputs:
            if (unit, port) not in self._read:
                at, source = self._at_output(unit, port)
                if source is not None:
                    yield at + self._net_delay.of(1) + analysis.graph.delays.uncertainty, source, port

    def _at_start(self, unit: str, port: str) -> float | None:
        """When the input is there, of the net behind it nothing yet; None for a constant. 0 for REGISTERS."""
        if port == REGISTERS:
            return 0.0
        driver = self._network.drivers.get((unit, port))
        if driver is None:
            return self._analyses[unit].graph.delays.clk_to_q
        at, source = self._at_output(*driver)
        return None if source is None else at

    def _at_output(self, unit: str, port: str) -> tuple[float, str | None]:
        """The entry of `_late` for an output; worked out if need be."""
        key = (unit, port)
        if key in self._late:
            return self._late[key]
        if key in self._pending:
            raise ToolError(f"a loop that no register breaks goes through the port {port} of {unit}")
        self._pending.add(key)
        analysis = self._analyses[unit]
        latest: tuple[float, str | None] = (0.0, None)
        for source in (REGISTERS, *analysis.graph.circuit.inputs):
            ways = analysis.ways(source)
            net = ways.latest_at(port)
            if net is None:
                continue
            before = self._at_start(unit, source)
            if before is not None and (latest[1] is None or before + ways.arrival[net] > latest[0]):
                latest = (before + ways.arrival[net], source)
        self._pending.discard(key)
        self._late[key] = latest
        return latest

    def _path(self, unit: str, ns: float, source: str, end: End | str) -> Path:
        analysis = self._analyses[unit]
        ways = analysis.ways(source)
        if isinstance(end, End):
            hops, last = ways.hops_to(end.net, unit), ways.hop_at(end, unit)
        else:
            net = ways.latest_at(end)
            assert net is not None  # the path that was found ends there
            hops = ways.hops_to(net, unit)
            last = Hop(unit, "output", "", "", end, analysis.graph.fan_out[net] + 1, self._net_delay.of(1), 0.0)
        return Path(ns, (*self._joined(unit, source, hops), last))

    def _joined(self, unit: str, source: str, hops: list[Hop]) -> list[Hop]:
        """`hops`, which begin at `source` of `unit`, with those before them in the units before it."""
        if source == REGISTERS:
            return hops
        driver = self._network.drivers.get((unit, source))
        if driver is None:
            launched = self._analyses[unit].graph.delays.clk_to_q
            return [Hop(unit, "input", "", "", hops[0].signal, 0, 0.0, launched), *hops[1:]]
        _, before = self._at_output(*driver)
        assert before is not None  # the signal at the input of `unit` is not a constant
        ways = self._analyses[driver[0]].ways(before)
        net = ways.latest_at(driver[1])
        assert net is not None
        return [*self._joined(driver[0], before, ways.hops_to(net, driver[0])), *hops[1:]]
