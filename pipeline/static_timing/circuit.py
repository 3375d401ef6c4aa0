"""A unit's netlist without its hierarchy: primitives, and the nets between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Cell", "Circuit", "Net", "Pin", "flatten"]

_INVERTERS = ("INV", "LUT1")

Pin = tuple[int, str, int]  # the number of a cell, a port of it, and the bit there
_Bits = tuple[int | None, ...]  # numbers of nets, lowest bit first; None is a constant


@dataclass(frozen=True)
class Cell:
    """A primitive. `module` is the source module that it is in, `labels` what the outputs' bits are called there."""

    kind: str
    path: str  # of the instance of `module`, from the top
    module: str
    parameters: Mapping[str, str]
    inputs: Mapping[str, _Bits]
    outputs: Mapping[str, _Bits]
    labels: Mapping[str, tuple[str, ...]]

    def label(self, port: str, bit: int) -> str:
        """The source's name of the net at an output, with its path; empty where it has no name for it."""
        name = self.labels[port][bit]
        return f"{self.path}{name}" if name else ""


@dataclass
class Net:
    """A wire of one bit. No driver: an input of the unit, or nothing, drives it."""

    driver: Pin | None = None
    loads: list[Pin] = field(default_factory=list)


@dataclass(frozen=True)
class Circuit:
    """The cells and nets of a unit, and its ports by name."""

    cells: list[Cell]
    nets: list[Net]
    inputs: Mapping[str, _Bits]
    outputs: Mapping[str, _Bits]


def flatten(design: Mapping[str, Any]) -> Circuit:
    """The circuit of a netlist that `pipeline/tools/netlist.py` made.

    An inverter before a LUT is absorbed into it, as vendors' tools do: it would cost neither a LUT nor time. Yosys leaves
    such at the borders of modules, as the hierarchy is kept.
    """
    flattening = _Flattening(design["modules"])
    (top,) = (name for name, module in flattening.modules.items() if "top" in module["attributes"])
    bits: dict[Any, int] = {}
    flattening.place(top, "", bits)
    return flattening.circuit(top, bits)


class _Flattening:
    """Numbers for bits are given as modules are placed; those that turn out to be one wire are joined."""

    def __init__(self, modules: Mapping[str, Any]) -> None:
        self.modules = modules
        self._names = {name: _names(module["netnames"]) for name, module in modules.items()}
        self._joined: list[int] = []  # for each number one that it is the same wire as, or itself
        self._constant: set[int] = set()
        # path, module, cell, and the numbers of its pins
        self._cells: list[tuple[str, str, Mapping[str, Any], dict[str, list[int | None]]]] = []

    def place(self, name: str, path: str, bits: dict[Any, int]) -> None:
        """Add the module `name` as the instance at `path`, with the numbers of its ports' bits in `bits`."""
        module = self.modules[name]
        for label, entry in module["cells"].items():
            wires = {port: [self._number(bits, bit) for bit in row] for port, row in entry["connections"].items()}
            kind = entry["type"]
            if kind not in self.modules:
                self._cells.append((path, name, entry, wires))
                continue
            inner: dict[Any, int] = {}
            for port, described in self.modules[kind]["ports"].items():
                for bit, outer in zip(described["bits"], wires.get(port, ()), strict=False):
                    if outer is None:
                        continue
                    if isinstance(bit, str):
                        self._constant.add(outer)
                    elif bit in inner:
                        self._joined[self._root(outer)] = self._root(inner[bit])
                    else:
                        inner[bit] = outer
            self.place(kind, f"{path}{label}.", inner)

    def circuit(self, top: str, bits: dict[Any, int]) -> Circuit:
        """The circuit that was placed, with the ports of the module `top`, whose bits have the numbers `bits`."""
        constant = {self._root(number) for number in self._constant}
        roots: dict[int, int] = {}

        def nets_of(numbers: list[int | None]) -> _Bits:
            chosen = []
            for number in numbers:
                root = None if number is None else self._root(number)
                chosen.append(None if root is None or root in constant else roots.setdefault(root, len(roots)))
            return tuple(chosen)

        cells = []
        for path, name, entry, wires in self._cells:
            directions = entry["port_directions"]
            outputs = [port for port in wires if directions[port] == "output"]
            names = self._names[name]
            cells.append(
                Cell(
                    entry["type"],
                    path,
                    self.modules[name]["attributes"]["source"],
                    entry["parameters"],
                    {port: nets_of(numbers) for port, numbers in wires.items() if port not in outputs},
                    {port: nets_of(wires[port]) for port in outputs},
                    {port: tuple(names.get(bit, "") for bit in entry["connections"][port]) for port in outputs},
                )
            )
        ports: dict[str, dict[str, _Bits]] = {"input": {}, "output": {}}
        for port, described in self.modules[top]["ports"].items():
            numbers = [self._number(bits, bit) for bit in described["bits"]]
            ports[described["direction"]][port] = nets_of(numbers)
        outside = {net for row in ports["output"].values() for net in row}
        return _connected(_absorb(cells, outside), [Net() for _ in roots], ports["input"], ports["output"])

    def _number(self, bits: dict[Any, int], bit: Any) -> int | None:
        if isinstance(bit, str):
            return None
        if bit not in bits:
            bits[bit] = len(self._joined)
            self._joined.append(bits[bit])
        return bits[bit]

    def _root(self, number: int) -> int:
        while self._joined[number] != number:
            self._joined[number] = self._joined[self._joined[number]]
            number = self._joined[number]
        return number


def _names(netnames: Mapping[str, Any]) -> dict[int, str]:
    """For each bit of a module, the name the source has for it: that of a register, else the shortest."""
    names: dict[int, tuple[tuple[bool, int], str]] = {}
    for label, entry in netnames.items():
        if entry["hide_name"]:
            continue
        wide = len(entry["bits"]) > 1
        rank = (not label.endswith("_q"), len(label))
        for i, bit in enumerate(entry["bits"]):
            if not isinstance(bit, str) and (bit not in names or rank < names[bit][0]):
                names[bit] = (rank, f"{label}[{i}]" if wide else label)
    return {bit: name for bit, (_, name) in names.items()}


def _absorb(cells: list[Cell], outside: set[int | None]) -> list[Cell]:
    """`cells` with what a LUT reads behind an inverter taken from before it, without the inverters that none reads."""
    before: dict[int, int | None] = {}
    for cell in cells:
        if cell.kind in _INVERTERS:
            ((source,),) = cell.inputs.values()
            ((output,),) = cell.outputs.values()
            if output is not None:
                before[output] = source

    def origin(net: int | None) -> int | None:
        while net in before:
            net = before[net]
        return net

    changed = []
    for cell in cells:
        if before and re.fullmatch("LUT[2-6]", cell.kind):
            inputs = {port: tuple(map(origin, bits)) for port, bits in cell.inputs.items()}
            cell = replace(cell, inputs=inputs)
        changed.append(cell)
    read = outside | {net for cell in changed for bits in cell.inputs.values() for net in bits}
    return [
        cell
        for cell in changed
        if cell.kind not in _INVERTERS or any(net in read for bits in cell.outputs.values() for net in bits)
    ]


def _connected(
    cells: list[Cell], nets: list[Net], inputs: Mapping[str, _Bits], outputs: Mapping[str, _Bits]
) -> Circuit:
    for number, cell in enumerate(cells):
        for port, bits in cell.outputs.items():
            for i, net in enumerate(bits):
                if net is not None:
                    nets[net].driver = (number, port, i)
        for port, bits in cell.inputs.items():
            for i, net in enumerate(bits):
                if net is not None:
                    nets[net].loads.append((number, port, i))
    return Circuit(cells, nets, inputs, outputs)
