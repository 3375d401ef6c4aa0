"""Yosys' simulator, CXXRTL: a second one, which shares neither its reader nor its scheduling with Verilator.

A model is compiled with the testbench that Verilator's models have, hw/tb/stream_tb.cpp, so it takes the same streams with
the same gaps. In place of Verilator's headers there are two that look like them from there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.codegen.rtl import Design
from pipeline.tools import process
from pipeline.tools.tool import Package
from pipeline.tools.verilator import Model, ports_header

__all__ = ["build_cxxrtl_model"]

_TESTBENCH = Path(__file__).resolve().parents[2] / "hw" / "tb" / "stream_tb.cpp"
_VERILATED_H = """\
#pragma once
#include <cstddef>
#include <cstdint>
template <std::size_t Words>
struct VlWide {
    uint32_t m_storage[Words];
};
struct VerilatedContext {
    void randReset(int) {}
    void randSeed(int) {}
    void commandArgs(int, char**) {}
};
"""


def build_cxxrtl_model(design: Design, folder: Path) -> Model:
    """`design` as a model that runs like one of Verilator, but says nothing of accumulators and FIFOs, and begins with
    zeros where no reset sets a register."""
    build = folder / "cxxrtl"
    build.mkdir()
    files = " ".join(str(source.resolve()) for source in design.sources)
    commands = [
        f"read_slang -D YOSYS --top {design.name} {files}",
        *(f"hierarchy -top {design.name}", "proc", "flatten", "opt_clean"),  # flat, or cells $buf are left over
        f"write_cxxrtl -g0 {(build / 'model.h').resolve()}",
    ]
    script = f"from pyosys import libyosys\ndesign = libyosys.Design()\nfor command in {commands!r}:\n    "
    script += "libyosys.run_pass(command, design)"
    process.call([sys.executable, "-c", script], "writing the model of CXXRTL", temporary=build, cwd=design.folder)
    (build / "verilated.h").write_text(_VERILATED_H)
    (build / "ports.h").write_text(ports_header(design))
    (build / "Vtop.h").write_text("\n".join(_model_header(design)))
    runtime = Package("pyosys").require() / "share" / "include" / "backends" / "cxxrtl" / "runtime"
    # without NDEBUG it ends where a memory is read beyond its end, as windows are at the border, where nothing takes it
    command = [
        "g++",
        "-std=gnu++17",
        "-O0",
        "-w",
        "-DCXXRTL_NDEBUG",
        f"-I{build}",
        f"-I{runtime}",
        _TESTBENCH,
        "-o",
        build / "model",
    ]
    process.call(command, "compiling the model of CXXRTL", temporary=build)
    return Model(design, build / "model")


def _model_header(design: Design) -> Iterator[str]:
    """The class Vtop: the ports of `design` as Verilator has them, around a model of CXXRTL."""
    streams = [(port.name, port.bytes, "in") for port in design.inputs]
    streams += [(port.name, port.bytes, "out") for port in design.outputs]
    taken = ["ap_clk", "ap_rst_n"]
    given = []
    if len(design.weight_words):
        streams.append(("s_axis_weights", 4, "in"))
        given.append("weights_loaded")
    beats = {}
    for name, bytes_, direction in streams:
        (taken if direction == "in" else given).extend((f"{name}_tvalid", f"{name}_tdata"))
        (given if direction == "in" else taken).append(f"{name}_tready")
        beats[f"{name}_tdata"] = next((f"uint{8 * size}_t" for size in (1, 2, 4, 8) if bytes_ <= size), None)
        beats[f"{name}_tdata"] = beats[f"{name}_tdata"] or f"VlWide<{-(-bytes_ // 4)}>"
    yield '#include "model.h"\n#include "verilated.h"\n#include <cstring>\nclass Vtop {\n  public:'
    yield "    explicit Vtop(VerilatedContext*) {}\n    void final() {}"
    yield from (f"    {beats.get(name, 'uint8_t')} {name}{{}};" for name in (*taken, *given))
    yield "    void eval() {"
    yield from (f"        copy(model_.p_{_mangled(name)}.data, {name});" for name in taken)
    yield "        model_.step();"
    yield from (f"        copy({name}, model_.p_{_mangled(name)}.data);" for name in given)
    yield "    }\n  private:"
    yield "    template <typename To, typename From> static void copy(To& to, const From& from) {"
    yield "        std::memcpy(&to, &from, sizeof to < sizeof from ? sizeof to : sizeof from);\n    }"
    yield f"    cxxrtl_design::p_{_mangled(design.name)} model_;\n}};\n"


def _mangled(name: str) -> str:
    return name.replace("_", "__")
