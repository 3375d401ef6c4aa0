"""The modules multiply_add and dsp_accumulator of hw/rtl as DSP blocks, by Yosys' commands: nothing else becomes one.

`synth_xilinx` would put every multiplication of a design into DSPs, and for UltraScale+ leaves the registers beside them. Its
own passes do better on those modules alone: `mul2dsp` makes the block of the multiplication, `xilinx_dsp` draws registers and
the addition into it. That knows the DSP48E1 of the 7-series. The DSP48E2 has the same registers and the same adder by the
same names, so it is called a DSP48E1 meanwhile; its wider operand is connected already.

Of an accumulator without a multiplier they know nothing: ACCUMULATOR_MAP has it as a block.
"""

from __future__ import annotations

from pipeline.devices.dsps import PORTS

__all__ = ["ACCUMULATOR", "ACCUMULATOR_MAP", "MAP_FILE", "MODULE", "commands"]

MODULE, ACCUMULATOR = "multiply_add", "dsp_accumulator"
MAP_FILE = "dsp_accumulator_map.v"
ACCUMULATOR_MAP = """\
// hw/rtl/dsp_accumulator.sv as a DSP block without its multiplier (UG479, UG579): P = C + (A:B or P), with a register at P.
// BLOCK is the block, D_BITS and OPMODE_BITS those of its ports.
module dsp_accumulator_map (clk_i, valid_i, first_i, start_i, value_i, sum_o);
  input clk_i, valid_i, first_i;
  input [47:0] start_i, value_i;
  output [47:0] sum_o;
  `BLOCK #(
    .ACASCREG(0), .ADREG(0), .ALUMODEREG(0), .AREG(0), .A_INPUT("DIRECT"), .BCASCREG(0), .BREG(0), .B_INPUT("DIRECT"),
    .CARRYINREG(0), .CARRYINSELREG(0), .CREG(0), .DREG(0), .INMODEREG(0), .MREG(0), .OPMODEREG(0), .PREG(1),
    .USE_MULT("NONE"), .USE_SIMD("ONE48")
  ) _TECHMAP_REPLACE_ (
    .CLK(clk_i), .A(start_i[47:18]), .B(start_i[17:0]), .C(value_i), .D({`D_BITS{1'b0}}), .ACIN(30'b0), .BCIN(18'b0),
    .PCIN(48'b0), .CARRYIN(1'b0), .CARRYINSEL(3'b0), .ALUMODE(4'b0), .INMODE(5'b0),
    .OPMODE({{(`OPMODE_BITS-4){1'b0}}, 3'b111, first_i}),
    .CEP(valid_i), .RSTP(1'b0), .P(sum_o)
  );
endmodule
"""

_BLOCKS = {"xc7": ("DSP48E1", "xc7"), "xcup": ("DSP48E2", "xcu")}  # the block, and what Yosys' files call its family
_OPERATION_BITS = {"xc7": 7, "xcup": 9}
_LEAST_BITS = 2  # of an operand in DSPs; of what is smaller, Yosys would make look-up tables


def commands(family: str) -> list[str]:
    """What maps the modules in a design of `family` behind `synth_xilinx -run prepare:map_dsp`, where ACCUMULATOR_MAP is in
    the file MAP_FILE."""
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
    ports = f"-D BLOCK={block} -D D_BITS={wide} -D OPMODE_BITS={_OPERATION_BITS[family]}"
    return [
        f"chtype -set {ACCUMULATOR}_map t:{ACCUMULATOR}*",
        f"techmap -map {MAP_FILE} {ports}",
        f"select {MODULE}*",
        f"techmap -map +/mul2dsp.v -map +/xilinx/{files}_dsp_map.v {defines}",
        *("opt_expr -fine", "wreduce"),
        f"chtype -set DSP48E1 t:{block}",
        "xilinx_dsp -family xc7",
        f"chtype -set {block} t:DSP48E1",
        "select -clear",
    ]
