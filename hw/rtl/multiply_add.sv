// p_o = a_i · b_i + c_i, modulo 2^Width, as the DSP block of an FPGA computes it: with registers at its operands, behind
// its product and behind its sum. Nothing but such a block is in it, if the operands fit one, 27 × 18 bits (UltraScale+)
// or 25 × 18 (7-series), and the sum, 48.
//
// A module of its own, so that synthesis has one multiplication that is to become a DSP, and counts it: see
// pipeline/tools/dsp_mapping.py.
//
// AWidth, BWidth:    bits of the operands, two's complement: one up to 27, the other up to 18.
// Width:             bits of the sum and of c_i, at least AWidth + BWidth.
// OperandRegisters:  registers at a_i and b_i, 1 or 2; p_o is OperandRegisters + 2 enabled cycles after them.
// AddendRegister:    a register at c_i: p_o is two enabled cycles after it, else one.
`default_nettype none

(* use_dsp = "yes" *)
module multiply_add #(
  parameter int unsigned AWidth = 27,
  parameter int unsigned BWidth = 18,
  parameter int unsigned Width = 48,
  parameter int unsigned OperandRegisters = 1,
  parameter bit AddendRegister = 1'b1
) (
  input  wire                     clk_i,
  input  wire                     en_i,
  input  wire signed [AWidth-1:0] a_i,
  input  wire signed [BWidth-1:0] b_i,
  input  wire signed [Width-1:0]  c_i,
  output wire signed [Width-1:0]  p_o
);

  if (AWidth < 1 || BWidth < 1 || AWidth > 27 || BWidth > 27 || (AWidth > 18 && BWidth > 18)) begin : gen_check_operands
    $error("%m: the operands must fit 27 by 18 bits");
  end
  if (Width < AWidth + BWidth || Width > 48) begin : gen_check_width
    $error("%m: Width must be in AWidth + BWidth to 48");
  end
  if (OperandRegisters != 1 && OperandRegisters != 2) begin : gen_check_registers
    $error("%m: OperandRegisters must be 1 or 2");
  end

  wire signed [AWidth-1:0] a;
  wire signed [BWidth-1:0] b;
  if (OperandRegisters == 2) begin : gen_operands
    logic signed [AWidth-1:0] first_a_q;
    logic signed [BWidth-1:0] first_b_q;
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        first_a_q <= a_i;
        first_b_q <= b_i;
      end
    end
    assign a = first_a_q;
    assign b = first_b_q;
  end else begin : gen_operand
    assign a = a_i;
    assign b = b_i;
  end

  wire signed [Width-1:0] c;
  if (AddendRegister) begin : gen_addend
    logic signed [Width-1:0] c_q;
    always_ff @(posedge clk_i) if (en_i) c_q <= c_i;
    assign c = c_q;
  end else begin : gen_direct
    assign c = c_i;
  end

  logic signed [AWidth-1:0] a_q;
  logic signed [BWidth-1:0] b_q;
  logic signed [Width-1:0] product_q, sum_q;
  always_ff @(posedge clk_i) begin
    if (en_i) begin
      a_q <= a;
      b_q <= b;
      product_q <= a_q * b_q;
      sum_q <= product_q + c;
    end
  end
  assign p_o = sum_q;

endmodule

`default_nettype wire
