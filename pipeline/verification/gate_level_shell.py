"""The netlists of what stands between a network and the processors, beside their SystemVerilog, driven at random.

hw/gate_level/shell_traffic.sv reads and writes registers, sends and takes words as a DMA does, and stands for the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.codegen.accelerator import SHELL, converter_parameters, shell_parameters
from pipeline.codegen.render import write_template
from pipeline.codegen.rtl import Design, Port
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.tools.gates import count_cells
from pipeline.tools.verilator import build_model
from pipeline.verification.gate_compare import Compared, beats, gate_module, require_equal, write_gates

__all__ = ["RESET_CYCLES", "ShellRun", "simulate_shell"]

RESET_CYCLES = 3  # that suffice for all that a processor or a DMA sees; hw/rtl/accelerator_shell.sv says so
_RESETS = 6  # on average, each after frames enough for a few transfers

_TOP = "gate_level_shell"
_CONVERTER = "streaming_data_width_converter"
_DONE = Port((1, 1, 1), IntType(0, 255), 1, name="m_axis_0", stream="done")
# ports of the shell that mean something only while another is high
_MEANT = {
    "bresp_o": "bvalid_o",
    "rdata_o": "rvalid_o",
    "rresp_o": "rvalid_o",
    "out_data_o": "out_valid_o",
    "out_keep_o": "out_valid_o",
    "out_last_o": "out_valid_o",
    "core_in_data_o": "core_in_valid_o",
    "weights_data_o": "weights_valid_o",
}
_TRAFFIC = (
    *("awaddr_o", "awvalid_o", "wdata_o", "wstrb_o", "wvalid_o", "bready_o", "araddr_o", "arvalid_o", "rready_o"),
    *("in_valid_o", "in_data_o", "in_keep_o", "in_last_o", "out_ready_o"),
    *("overflow_o", "weights_ready_o", "weights_loaded_o"),
)
_WATCHED = {"awready_i": "awready_o", "wready_i": "wready_o", "arready_i": "arready_o", "in_ready_i": "in_ready_o"}


@dataclass(frozen=True)
class ShellRun:
    """One netlist beside what it is mapped from: its primitives, the cycles of traffic, frames that came in meanwhile, and in
    how many cycles it offered words of data."""

    name: str
    cells: int
    frames: int
    cycles: int
    beats: int


def simulate_shell(
    design: Design,
    netlists: Mapping[str, Mapping[str, Any]],
    folder: Path,
    models: Path,
    *,
    seed: int,
    reset_cycles: int = RESET_CYCLES,
    cycles: int | None = None,
) -> tuple[ShellRun, ...]:
    """Simulate the netlists of the shell around `design` and its converters, by name, beside their SystemVerilog.

    Both begin in states of their own, drawn with `seed`, and are equal from the end of their first reset on, which takes
    `reset_cycles`, as later ones do. There are a few of them in `cycles`, by default as many as that takes. Files are written to `folder`, compiled models kept in `models`. Raises
    VerificationError naming the module, the cycle, the port and both values where a netlist differs.
    """
    try:
        companions = write_gates(list(netlists.values()), folder)
    except UnsupportedError as error:
        raise UnsupportedError(f"gate-level simulation of {', '.join(netlists)}: {error}") from None
    shell = shell_parameters(design)
    reset_every = 10_000 + 8 * (shell["InputWords"] + shell["OutputWords"])
    cycles = cycles or _RESETS * reset_every
    traffic = {"ResetCycles": reset_cycles, "ResetEvery": reset_every, "Cycles": cycles}
    compared = _write_top(design, netlists, folder, traffic)
    top = Design(_TOP, folder, (), (_DONE,), {}, companions)
    result = build_model(top, models, jobs=1, optimized=False).run(
        {}, {_DONE.stream: 1}, stalls=seed, idle_limit=cycles + 10_000
    )
    (frames,) = result.stats[f"TOP.{_TOP}.u_traffic"]["frames"]
    runs = []
    for i, (name, netlist) in enumerate(netlists.items()):
        require_equal(f"the module {name}", i, compared[i], result.stats, _TOP, seed)
        cells = sum(count_cells(netlist).values())
        offered = beats(i, compared[i], result.stats, _TOP)
        runs.append(ShellRun(name, cells, frames, result.cycles, offered))
    return tuple(runs)


def _write_top(
    design: Design, netlists: Mapping[str, Mapping[str, Any]], folder: Path, traffic: Mapping[str, int]
) -> list[list[Compared]]:
    """Write the module _TOP, with the shell around `design`, its converters and the netlists of both; returns what is
    compared of each."""
    shell, converters = shell_parameters(design), converter_parameters(design)
    sides = {f"{side}_converter": parameters for side, parameters in converters.items()}
    signals: dict[str, int] = {}
    units, compared = [], []
    # what the network has is the shell's, or that of a converter
    network = {
        name: f"core_{name}" for name in ("in_valid", "in_ready", "in_data", "out_valid", "out_ready", "out_data")
    }
    for side in converters:
        end = side.removesuffix("put")
        network |= {f"{end}_{part}": f"network_{end}_{part}" for part in ("valid", "ready", "data")}
    for i, (name, netlist) in enumerate(netlists.items()):
        ports = _ports(netlist)
        names = {port: _signal(name, port, network) for port in ports}
        signals |= {names[port]: bits for port, (_, bits) in ports.items() if port not in ("clk_i", "rst_ni")}
        meant = _MEANT if name == SHELL else {"out_data_o": "out_valid_o"}
        beside = [
            Compared(port, bits, names[port], names[meant[port]] if port in meant else Compared.meant)
            for port, (direction, bits) in ports.items()
            if direction == "output"
        ]
        units.append(
            {
                "rtl": SHELL if name == SHELL else _CONVERTER,
                "parameters": shell if name == SHELL else sides[name],
                "gates": gate_module(netlist, i),
                "in_use": "shell_rst_n" if name == SHELL else "shell_rst_n && core_rst_n",
                "driven": [(port, names[port]) for port, (direction, _) in ports.items() if direction == "input"],
                "given": [(port, names[port]) for port, (direction, _) in ports.items() if direction == "output"],
                "compared": beside,
            }
        )
        compared.append(beside)
    in_bits, out_bits = signals[network["in_data"]], signals[network["out_data"]]
    write_template(
        "gate_level_shell.sv.jinja",
        folder / f"{_TOP}.sv",
        name=_TOP,
        signals=sorted(signals.items()),
        traffic_parameters={
            "InputBytes": shell["InputBytes"],
            "OutputBytes": shell["OutputBytes"],
            "InputWords": shell["InputWords"],
            "NetworkInputBytes": in_bits // 8,
            "NetworkOutputBytes": out_bits // 8,
            "NetworkInputWords": shell["InputWords"] * shell["InputBytes"] * 8 // in_bits,
            "NetworkOutputWords": shell["OutputWords"] * shell["OutputBytes"] * 8 // out_bits,
            "OverflowFlags": shell["OverflowFlags"],
            **traffic,
        },
        traffic_ports=[
            *((port, f"{port[:-2]}") for port in _TRAFFIC),
            *((port, signal[:-2]) for port, signal in _WATCHED.items()),
            ("core_rst_ni", "core_rst_n"),
            ("network_in_valid_i", network["in_valid"]),
            ("network_in_ready_o", network["in_ready"]),
            ("network_out_valid_o", network["out_valid"]),
            ("network_out_ready_i", network["out_ready"]),
            ("network_out_data_o", network["out_data"]),
        ],
        units=units,
    )
    return compared


def _ports(netlist: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Direction and bits of each port of the top of `netlist`."""
    (top,) = (module for module in netlist["modules"].values() if "top" in module["attributes"])
    return {name: (port["direction"], len(port["bits"])) for name, port in top["ports"].items()}


def _signal(name: str, port: str, network: Mapping[str, str]) -> str:
    """The signal that `port` of the shell, or of a converter, is connected to."""
    stem = port.removesuffix("_i").removesuffix("_o").removesuffix("_ni").removesuffix("_no")
    if port == "clk_i":
        return "ap_clk"
    if port == "rst_ni":
        return "shell_rst_n" if name == SHELL else "core_rst_n"
    if port == "core_rst_no":
        return "core_rst_n"
    if name == SHELL:
        return stem
    side = name.removesuffix("put_converter")  # in, out
    at_network = stem.startswith("out_") == (side == "in")
    part = stem.partition("_")[2]
    return network[f"{side}_{part}"] if at_network else f"core_{side}_{part}"
