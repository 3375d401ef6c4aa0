"""The modules hw/rtl/multiply_add.sv of a design as DSP blocks, by Yosys' commands: nothing else of it becomes one.

`synth_xilinx` would put every multiplication of a design into DSPs, and for UltraScale+ leaves the registers beside them. Its
own passes do better on those modules alone: `mul2dsp` makes the block of the multiplication, `xilinx_dsp` draws registers and
the addition into it. That knows the DSP48E1 of the 7-series. The DSP48E2 has the same registers and the same adder by the
same names, so it is called a DSP48E1 meanwhile; its wider operand is connected already.
"""

from __future__ import annotations

from pipeline.devices.dsps import PORTS

__all__ = ["MODULE", "commands"]

MODULE = "multiply_add"

_BLOCKS = {"xc7": ("DSP48E1", "xc7"), "xcup": ("DSP48E2", "xcu")}  # the block, and what Yosys' files call its family
_LEAST_BITS = 2  # of an operand in DSPs; of what is smaller, Yosys would make look-up tables


def commands(family: str) -> list[str]:
    """What maps the modules in a design of `family` behind `synth_xilinx -run prepare:map_dsp`."""
    block, files = _BLOCKS[family]
    wide, narrow = PORTS[family]
    sizes = {
        "DSP_A_MAXWIDTH": wide,
        "DSP_B_MAXWIDTH": narrow,
        "DSP_A_MAXWIDTH_PARTIAL": narrow,
        **dict.fromkeys(("DSP_A_MINWIDTH", "DSP_B_MINWIDTH", "DSP_Y_MINWIDTH"), _LEAST_BITS),
        "DSP_SIGNEDONLY": 1,
        "DSP_NAME": f"$__MUL{wide}X{narrow}",
    }
    defines = " ".join(f"-D {name}={value}" for name, value in sizes.items())
    return [
        f"select {MODULE}*",
        f"techmap -map +/mul2dsp.v -map +/xilinx/{files}_dsp_map.v {defines}",
        *("opt_expr -fine", "wreduce"),
        f"chtype -set DSP48E1 t:{block}",
        "xilinx_dsp -family xc7",
        f"chtype -set {block} t:DSP48E1",
        "select -clear",
    ]
