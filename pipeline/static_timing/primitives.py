"""The effect of each primitive on a path: where one starts, where one ends, and what leads through."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from pipeline.errors import ToolError
from pipeline.static_timing.circuit import Cell
from pipeline.static_timing.delays import CellDelays

__all__ = ["Arc", "arcs", "clock_to_out", "is_clock", "setups"]

Arc = tuple[str, int, str, int, float]  # input port and bit, output port and bit, ns

_CLOCKS = frozenset(
    ["C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK", "CLKA", "CLKB", "G", "REGCLKARDRCLK", "REGCLKB", "REGCLKBWRCLK"]
)
_LUT = re.compile("LUT[1-6]|INV|LUT6_2")
_MUX = re.compile("MUXF[789]")
_FLIP_FLOP = re.compile("FD[RSCP]E(_1)?|LD[CP]E")
_SHIFT = re.compile("SRLC?(16|32)E")
_LUTRAM = re.compile(r"RAM(32|64|128|256|512)(M|M8|M16|X1S|X1D)(_1)?")
_BLOCK = re.compile("RAMB(18|36)E[12]")
_DSP = re.compile("DSP48E[12]")  # with a register at P, of a multiplier also before it: nothing goes through it


def is_clock(cell: Cell, port: str) -> bool:
    """Whether the input `port` of `cell` is a clock. C is that of a flip-flop, and the addend of a DSP."""
    return port in _CLOCKS and not (port == "C" and _DSP.fullmatch(cell.kind))


def arcs(cell: Cell, delays: CellDelays) -> Iterator[Arc]:
    """The ways from an input of `cell` to an output. Raises ToolError for a primitive that is not known."""
    kind = cell.kind
    if _LUT.fullmatch(kind):
        for port in cell.inputs:
            for out in cell.outputs:
                yield port, 0, out, 0, delays.lut
    elif _MUX.fullmatch(kind):
        for port in cell.inputs:
            yield port, 0, "O", 0, delays.mux_select if port == "S" else delays.mux_in
    elif kind == "CARRY4":
        yield from _carry(delays)
    elif _SHIFT.fullmatch(kind):
        for port, bits in cell.inputs.items():
            if port.startswith("A"):
                for i in range(len(bits)):
                    yield port, i, "Q", 0, delays.lut
    elif _LUTRAM.fullmatch(kind):
        yield from _lutram(cell, delays)
    elif not any(pattern.fullmatch(kind) for pattern in (_FLIP_FLOP, _BLOCK, _DSP)) and kind != "URAM288":
        raise ToolError(
            f"the netlist has a cell {kind} in module {cell.module}, of which no delays are known; add it to "
            "pipeline/static_timing/primitives.py if it is a primitive of the family"
        )


def _carry(delays: CellDelays) -> Iterator[Arc]:
    for i in range(4):
        for j in range(i, 4):
            for port in ("S", "DI"):
                if port == "S" or j > i:
                    yield port, i, "O", j, delays.carry_sum
                yield port, i, "CO", j, delays.carry_entry
    for j in range(4):
        yield "CYINIT", 0, "O", j, delays.carry_sum
        yield "CYINIT", 0, "CO", j, delays.carry_entry
        yield "CI", 0, "O", j, delays.carry_exit
        yield "CI", 0, "CO", j, delays.carry_step if j == 3 else delays.carry_exit


def _lutram(cell: Cell, delays: CellDelays) -> Iterator[Arc]:
    """Reads are not clocked: those of several LUTs go through the multiplexers beside them."""
    digits = re.search(r"\d+", cell.kind)
    assert digits is not None  # such as RAM64M8
    depth = int(digits[0])
    way = delays.lut + delays.mux_in * {128: 1, 256: 2, 512: 3}.get(depth, 0)
    for out, data in cell.outputs.items():
        if out.startswith("DO") and len(out) == 3:
            address = f"ADDR{out[2]}"
        else:
            address = "DPRA" if out == "DPO" else "A"
        ports = [port for port in cell.inputs if re.fullmatch(rf"{address}\d*", port)]
        for port in ports:
            for i in range(len(cell.inputs[port])):
                for j in range(len(data)):
                    yield port, i, out, j, way


def clock_to_out(cell: Cell, delays: CellDelays) -> Iterator[tuple[str, float]]:
    """The outputs of `cell` that a clock edge changes, and how long after it."""
    kind = cell.kind
    if _FLIP_FLOP.fullmatch(kind):
        yield "Q", delays.clk_to_q
    elif _SHIFT.fullmatch(kind):
        for out in cell.outputs:
            yield out, delays.srl_clk_to_out
    elif _LUTRAM.fullmatch(kind):
        for out in cell.outputs:
            yield out, delays.lutram_clk_to_out
    elif _BLOCK.fullmatch(kind):
        for out in cell.outputs:
            side = "B" if out.startswith(("DOB", "DOPB", "DOUTB", "DOUTPB")) else "A"
            registered = _set(cell, f"DO{side}_REG")
            yield out, delays.bram_clk_to_out_registered if registered else delays.bram_clk_to_out
    elif kind == "URAM288":
        for out in cell.outputs:
            registered = _set(cell, "OREG_B" if out.endswith("_B") else "OREG_A")
            yield out, delays.uram_clk_to_out_registered if registered else delays.uram_clk_to_out
    elif _DSP.fullmatch(kind):
        yield "P", delays.dsp_clk_to_out


def setups(cell: Cell, delays: CellDelays) -> Iterator[tuple[str, float]]:
    """The inputs of `cell` that a clock edge samples, and how long before it they must be there."""
    kind = cell.kind
    for port in cell.inputs:
        if is_clock(cell, port):
            continue
        if _FLIP_FLOP.fullmatch(kind):
            yield port, {"D": delays.setup_d, "CE": delays.setup_enable}.get(port, delays.setup_reset)
        elif _SHIFT.fullmatch(kind):
            if port in ("D", "CE"):
                yield port, delays.srl_setup if port == "D" else delays.setup_enable
        elif _LUTRAM.fullmatch(kind):
            if port not in _read_addresses(kind):
                yield port, delays.lutram_setup
        elif _BLOCK.fullmatch(kind):
            yield port, delays.bram_setup_data if port.startswith("DI") else delays.bram_setup
        elif kind == "URAM288":
            yield port, delays.uram_setup
        elif _DSP.fullmatch(kind):
            if port in ("A", "B", "OPMODE") and cell.parameters.get("USE_MULT", "").strip() == "NONE":
                yield port, delays.dsp_setup_sum  # an accumulator has no registers before its sum
            elif port in ("A", "B", "C"):
                yield port, delays.dsp_setup_sum if port == "C" and not _set(cell, "CREG") else delays.dsp_setup
            else:
                yield port, delays.setup_enable


def _read_addresses(kind: str) -> Collection[str]:
    """The address ports of a memory of LUTs that writes do not use: they do the last one of several, or A beside DPRA."""
    if "X" in kind:
        return ("DPRA", *(f"DPRA{i}" for i in range(8)))
    return [f"ADDR{lut}" for lut in ("ABCDEFG" if kind.endswith(("M8", "M16")) else "ABC")]


def _set(cell: Cell, parameter: str) -> bool:
    """Whether a parameter is on: in Yosys' JSON a number is a string of binary digits."""
    value = cell.parameters.get(parameter, "FALSE").strip()
    return value == "TRUE" or (set(value) <= {"0", "1"} and "1" in value)
