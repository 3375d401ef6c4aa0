"""Which operand of an adder goes into the carry chain, decided on Yosys' design.

A bit of a Xilinx carry chain takes two signals: the exclusive or of the operands' bits, which is a look-up table, and one
of these bits as it is (UG474, UG574 "Carry Chain"), which for Yosys is that of operand A. Where A comes from logic that fits
the look-up table of the exclusive or, the logic is mapped twice, inside it and beside it, and the adder takes two look-up
tables a bit where one would do. `alumacc` orders the operands by the numbers that names have in its process, where a name
that was met before has a small one: so the same adder comes out once in one way, once in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["COMMAND", "order_carry_operands"]

COMMAND = "carry_operands"
"""What stands for `order_carry_operands` among the commands of a job, see `pipeline/tools/yosys_worker.py`."""


def order_carry_operands(design: Any) -> None:
    """Swap the operands of each `$alu` in `design` that adds, where B is better in the carry chain than A.

    That is the one with fewer bits that would take look-up tables for the chain alone, or else with more constant bits.
    """
    for module in design.modules_.values():
        cells = list(module.cells_.values())
        adders = [cell for cell in cells if _adds(cell)]
        if not adders:
            continue
        drivers = {to: by for pair in module.connections() for to, by in zip(*(s.bits() for s in pair), strict=True)}
        logic = {bit for cell in cells if _is_logic(cell) for bit in _bits(cell, outputs=True)}
        taken = [
            bit for cell in cells if not _is_logic(cell) and not _is_chain(cell) for bit in _bits(cell, outputs=False)
        ]
        taken += [bit for wire in module.wires_.values() if wire.port_output for bit in _of_wire(wire)]
        inside = logic - {_driver(bit, drivers) for bit in taken}
        for cell in adders:
            operands = ([_driver(bit, drivers) for bit in _port(cell, name).bits()] for name in "AB")
            a, b = ((sum(bit in inside for bit in bits), -sum(not bit.is_wire() for bit in bits)) for bits in operands)
            if b < a:
                _swap(cell)


def _id(name: str) -> Any:
    from pyosys import libyosys

    return libyosys.IdString(f"\\{name}")


def _port(cell: Any, name: str) -> Any:
    return cell.getPort(_id(name))


def _is_chain(cell: Any) -> bool:
    return cell.type.str() == "$alu"


def _adds(cell: Any) -> bool:
    return _is_chain(cell) and _port(cell, "BI").is_fully_zero()


def _is_logic(cell: Any) -> bool:
    """Whether look-up tables drive the outputs of `cell`: not those of instances, chains, memories and registers."""
    return cell.type.str().startswith("$") and not (_is_chain(cell) or cell.is_mem_cell() or cell.is_builtin_ff())


def _bits(cell: Any, *, outputs: bool) -> list[Any]:
    """The bits of the outputs of `cell`, or of the other ports."""
    return [bit for port, bits in cell.connections().items() if cell.output(port) == outputs for bit in bits.bits()]


def _of_wire(wire: Any) -> list[Any]:
    from pyosys import libyosys

    return libyosys.SigSpec(wire).bits()


def _driver(bit: Any, drivers: Mapping[Any, Any]) -> Any:
    while bit in drivers:
        bit = drivers[bit]
    return bit


def _swap(cell: Any) -> None:
    a, b = _port(cell, "A"), _port(cell, "B")
    cell.setPort(_id("A"), b)
    cell.setPort(_id("B"), a)
    for fact in ("SIGNED", "WIDTH"):
        names = _id(f"A_{fact}"), _id(f"B_{fact}")
        values = [cell.getParam(name) for name in names]
        for name, value in zip(names, reversed(values), strict=True):
            cell.setParam(name, value)
