"""Registers around a unit, filled and emptied bit by bit, so that it can be placed and routed alone.

A unit has more ports than a part has pins. Here it is instantiated in a module with a clock and three pins: its inputs
come from registers that are filled from a chain of others, its outputs go to registers and from there, through another
chain, out. So every path of the unit begins and ends at a register, as it does between its neighbours in a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ToolError

__all__ = ["CLOCK", "MODULE", "UNIT", "declaration", "harness"]

MODULE = "harness"
UNIT = "u_unit"  # the instance of the unit in it
CLOCK = "clk_i"

_CLOCKS = ("ap_clk", "clk_i")
_HEADER = re.compile(r"^module\s+(\w+)\s*\((.*?)\);", re.DOTALL | re.MULTILINE)
_PORT = re.compile(r"(input|output)\s+(?:wire|logic)\s*(?:\[(\d+):0\]\s*)?(\w+)")

_TEXT = """// generated: {unit} between registers that are filled and emptied bit by bit
module {module} (input wire {clock}, input wire en_i, input wire bit_i, output reg bit_o);
  reg en_q;
  reg [{inputs}:0] chain_q, inputs_q;
  reg [{outputs}:0] outputs_q, results_q;
  wire [{outputs}:0] outputs;
  always @(posedge {clock}) begin
    en_q <= en_i;
    chain_q <= {{chain_q, bit_i}};
    if (en_q) inputs_q <= chain_q;
    outputs_q <= outputs;
    results_q <= en_q ? outputs_q : results_q << 1;
    bit_o <= results_q[{outputs}];
  end
`ifndef YOSYS
  (* keep_hierarchy = "yes" *)
`endif
  {unit} {instance} (
    {connections}
  );
endmodule
"""


@dataclass(frozen=True)
class _Port:
    name: str
    bits: int
    output: bool


def harness(unit: Path) -> str:
    """The Verilog of the module MODULE around the module that the file `unit` is named after.

    One of its ports is a clock, ap_clk or clk_i; all others are synchronous to it. Raises ToolError where the file holds
    no such module with a plain list of ports.
    """
    connections, used = [], {False: 0, True: 0}
    for port in _ports(unit):
        if port.name in _CLOCKS:
            connections.append(f".{port.name}({CLOCK})")
            continue
        low = used[port.output]
        used[port.output] += port.bits
        signal = "outputs" if port.output else "inputs_q"
        connections.append(f".{port.name}({signal}[{low + port.bits - 1}:{low}])")
    return _TEXT.format(
        module=MODULE,
        clock=CLOCK,
        unit=unit.stem,
        instance=UNIT,
        inputs=used[False] - 1,
        outputs=used[True] - 1,
        connections=",\n    ".join(connections),
    )


def declaration(unit: Path) -> str:
    """The Verilog of a module with the ports of the one that the file `unit` is named after, and nothing in it."""
    ports = ", ".join(
        f"{'output' if port.output else 'input'} wire [{port.bits - 1}:0] {port.name}" for port in _ports(unit)
    )
    return f"(* blackbox *) module {unit.stem} ({ports}); endmodule\n"


def _ports(unit: Path) -> list[_Port]:
    for name, header in _HEADER.findall(re.sub(r"//.*", "", unit.read_text())):
        ports = [_Port(port, int(high or 0) + 1, way == "output") for way, high, port in _PORT.findall(header)]
        whole = len(ports) == header.count(",") + 1
        clocked = sum(port.name in _CLOCKS for port in ports) == 1
        if name == unit.stem and whole and clocked and {port.output for port in ports} == {True, False}:
            return ports
    raise ToolError(
        f"{unit} holds no module {unit.stem} with a clock called {' or '.join(_CLOCKS)}, inputs and outputs, all of them "
        "wires with numbers for bounds; no registers can be put around it"
    )
