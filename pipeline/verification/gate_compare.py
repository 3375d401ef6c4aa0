"""Netlists beside the SystemVerilog that they are mapped from: their files, and what hw/gate_level/gate_compare.sv saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.codegen.render import write_text
from pipeline.errors import VerificationError
from pipeline.tools.gates import count_cells, gate_sources, models_of, verilog

__all__ = ["Compared", "beats", "gate_module", "require_equal", "write_gates"]

_GATES = "gates"  # the file of the netlists and of the primitives' models, beside the top


@dataclass(frozen=True)
class Compared:
    """A port of a netlist, the signal that it must equal, and when it means something: expressions of the top."""

    port: str
    bits: int
    signal: str
    meant: str = "1'b1"


def write_gates(netlists: Sequence[Mapping[str, Any]], folder: Path) -> tuple[str, ...]:
    """Write `netlists` and the models that they need into `folder`; returns the names of the files, as a Design has them.

    Raises UnsupportedError for a primitive without a model.
    """
    text = models_of({cell for netlist in netlists for cell in count_cells(netlist)})
    gates = "\n".join(verilog(netlist, _prefix(i)) for i, netlist in enumerate(netlists))
    write_text(folder / f"{_GATES}.sv", f"{text}\n{gates}")
    for source in gate_sources():
        write_text(folder / source.name, source.read_bytes())
    return (*(source.stem for source in gate_sources()), _GATES)


def gate_module(netlist: Mapping[str, Any], number: int) -> str:
    """The name of the top of `netlist`, the one of that number among those of `write_gates`, in its file."""
    (module,) = (name for name, facts in netlist["modules"].items() if "top" in facts["attributes"])
    return f"{_prefix(number)}{module}"


def require_equal(
    what: str,
    number: int,
    compared: Iterable[Compared],
    stats: Mapping[str, Mapping[str, list[Any]]],
    top: str,
    seed: int,
) -> None:
    """Raise VerificationError where a port of the netlist of that number in the module `top`, of `what`, was not equal."""
    seen = {port.port: _seen(stats, top, number, port) for port in compared}
    differences = [(*facts["difference"][0], port) for port, facts in seen.items() if "difference" in facts]
    if differences:
        cycle, rtl, gates, port = min(differences)
        raise VerificationError(
            f"the netlist of {what} differs from its SystemVerilog: {port} is {gates:#x} instead of {rtl:#x} in cycle "
            f"{cycle:,} after a reset, with the stalls of seed {seed}. Synthesis has changed what it computes: report it to "
            "Yosys, and do not trust the counts of it"
        )


def beats(number: int, compared: Iterable[Compared], stats: Mapping[str, Mapping[str, list[Any]]], top: str) -> int:
    """In how many cycles ports that mean something at times only were compared."""
    meant = [port for port in compared if port.meant != Compared.meant and port.port.endswith(("_tdata", "out_data_o"))]
    return sum(_seen(stats, top, number, port)["compared"][0] for port in meant)


def _seen(
    stats: Mapping[str, Mapping[str, list[Any]]], top: str, number: int, port: Compared
) -> Mapping[str, list[Any]]:
    return stats[f"TOP.{top}.compare_{number}_{port.port}"]


def _prefix(number: int) -> str:
    return f"gates_{number}_"
