"""Netlists of Xilinx' primitives as Verilog that Verilator simulates, with the models of those primitives.

The models of look-up tables, carry, flip-flops, distributed memory, shift registers and the DSPs of the 7-series are Yosys'
own (its share folder, xilinx/cells_sim.v). Yosys has none of block RAM, UltraRAM and the DSPs of UltraScale+: those are in
hw/gate_level, from UG473, UG573 and UG579.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import UnsupportedError
from pipeline.files import GATE_MODELS
from pipeline.tools.tool import Package

__all__ = ["count_cells", "gate_sources", "models_of", "verilog"]

_MODULE = r"^module {name}\b.*?^endmodule$"
_LUTS = {f"LUT{inputs}": inputs for inputs in range(1, 7)}
_CONTENT = re.compile(r"(INITP?)_[0-9A-F]{2}")  # a piece of a block RAM's content

Netlist = Mapping[str, Any]


def gate_sources() -> list[Path]:
    """The files of hw/gate_level, by name."""
    return sorted(GATE_MODELS.glob("*.sv"))


def count_cells(netlist: Netlist) -> dict[str, int]:
    """The primitives of a netlist by type, in all instances of its modules."""
    modules = netlist["modules"]
    (top,) = (name for name, module in modules.items() if "top" in module["attributes"])
    counted: Counter[str] = Counter()

    def visit(module: str) -> None:
        for cell in modules[module]["cells"].values():
            if cell["type"] in modules:
                visit(cell["type"])
            else:
                counted[cell["type"]] += 1

    visit(top)
    return dict(counted)


def models_of(primitives: Iterable[str]) -> str:
    """The Verilog of Yosys' models of `primitives`, those excepted that hw/gate_level models.

    Raises UnsupportedError for one of which there is no model.
    """
    text = (Package("pyosys").require() / "share" / "xilinx" / "cells_sim.v").read_text()
    present = {path.stem for path in gate_sources()} | _LUTS.keys()
    modules = []
    for name in sorted(set(primitives) - present):
        match = re.search(_MODULE.format(name=re.escape(name)), text, re.MULTILINE | re.DOTALL)
        if match is None or not re.search(r"\b(assign|always)\b", match.group()):
            raise UnsupportedError(
                f"the netlist holds {name}, of which there is no simulation model: neither Yosys' cells_sim.v nor "
                f"hw/gate_level has one. Write hw/gate_level/{name}.sv, or leave the layer out of the gate-level simulation"
            )
        modules.append(match.group() + "\n")
    return "\n".join(modules)


def verilog(netlist: Netlist, prefix: str) -> str:
    """The modules of a netlist in Verilog, each name behind `prefix`. Its content in one number, not in pieces, is what a
    block RAM gets."""
    modules = netlist["modules"]
    return "\n".join(
        "\n".join(_module(prefix, name, module, modules.keys())) + "\n" for name, module in modules.items()
    )


def _module(prefix: str, name: str, module: Mapping[str, Any], known: Any) -> Iterator[str]:
    nets = {bit for cell in module["cells"].values() for bits in cell["connections"].values() for bit in bits}
    nets.update(bit for port in module["ports"].values() for bit in port["bits"])
    yield f"module {prefix}{name} ({', '.join(module['ports'])}); /* verilator no_inline_module */"
    for port, facts in module["ports"].items():
        yield f"  {facts['direction']} wire [{len(facts['bits']) - 1}:0] {port};"
    wires = [f"n{bit}" for bit in sorted(bit for bit in nets if isinstance(bit, int))]
    if wires:
        yield f"  wire {', '.join(wires)};"
    for port, facts in module["ports"].items():
        ends = (f"{{{_bits(facts['bits'])}}}", port)
        yield "  assign {} = {};".format(*(ends if facts["direction"] == "input" else reversed(ends)))
    for i, cell in enumerate(module["cells"].values()):
        if cell["type"] in _LUTS:
            pins = cell["connections"]
            address = [pins[f"I{pin}"][0] for pin in range(_LUTS[cell["type"]])]
            init = cell["parameters"]["INIT"]
            yield f"  assign {_bits(pins['O'])} = 1'({len(init)}'b{init} >> {{{_bits(address)}}});"
            continue
        instance = f"{prefix}{cell['type']}" if cell["type"] in known else cell["type"]
        parameters = ", ".join(f".{key}({value})" for key, value in _parameters(cell["parameters"]))
        pins = ", ".join(f".{pin}({{{_bits(bits)}}})" for pin, bits in cell["connections"].items() if bits)
        yield f"  {instance} {f'#({parameters}) ' if parameters else ''}c{i} ({pins});"
    yield "endmodule"


def _bits(bits: Sequence[int | str]) -> str:
    return ", ".join(f"n{bit}" if isinstance(bit, int) else f"1'b{bit}" for bit in reversed(bits))


def _parameters(parameters: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    pieces: dict[str, dict[str, str]] = {}
    for key, value in parameters.items():
        if piece := _CONTENT.fullmatch(key):
            pieces.setdefault(piece[1], {})[key] = value
        elif re.fullmatch("[01xz]+", value):
            yield key, f"{len(value)}'b{value}"
        else:
            yield key, f'"{value.rstrip()}"'  # Yosys puts a space behind a text that could be bits
    for key, parts in pieces.items():
        content = "".join(parts[name] for name in sorted(parts, reverse=True))
        yield key, f"{len(content)}'b{content}"
