"""The programs that stages look for on PATH."""

from __future__ import annotations

import re

from pipeline.tools.tool import Program

__all__ = ["PROGRAMS"]

# https://gcc.gnu.org/onlinedocs/gcc/Environment-Variables.html; AMD's UG973 for its patches, MYVIVADO and XILINX_PATH.
_GXX = ("CPATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX")
_AMD = ("MYVIVADO", "XILINX_PATH")
_NO_GXX = (
    "the C++ simulation needs g++, which is not on PATH; install it and try again, or leave the simulation out "
    "with simulation: {cppsim_frames: 0}"
)
_NO_VIVADO = "Vivado is not there: no program called vivado is on PATH. Source its settings64.sh first."
_NO_VITIS = "Vitis HLS is not there: no program called vitis_hls or vitis-run is on PATH. Source its settings64.sh."
# who packaged g++ stands in brackets; without a number, the line is its version
_GXX_NUMBER = re.compile(r"^(?:\(.*?\)|[^(])*?(\d+\.\d+(?:\.\d+)?)|^.*")
_VIVADO_NUMBER = re.compile(r"vivado v(\S+)", re.IGNORECASE)
_VITIS_NUMBER = re.compile(r"\bv(\d{4}\.\d[\d.]*)")

PROGRAMS = {
    program.name: program
    for program in (
        Program("g++", "--version", _GXX_NUMBER, _GXX, missing=_NO_GXX),
        Program(
            *("vivado", "-version", _VIVADO_NUMBER, _AMD),
            title="Vivado",
            missing=_NO_VIVADO,
            first_error="ERROR",
            grace_s=10.0,  # in which it gives its licence back
        ),
        Program("vitis_hls", "-version", _VITIS_NUMBER, _AMD, title="Vitis HLS", missing=_NO_VITIS),
        Program("vitis-run", "--version", _VITIS_NUMBER, _AMD, title="Vitis HLS", missing=_NO_VITIS),
    )
}
"""All programs that stages look for on PATH, by name."""
