// The products of the columns of a row of words, added up and accumulated in a chain of DSPs: a DSP for each column, which
// adds its product to the sum of the ones before it, and one that accumulates. No sum is a tree of adders.
//
// The operands of columns 0 and 1 come in the same cycle, those of column c > 1 c - 1 cycles later: the first column takes
// them into one register, the others into two, as many as a DSP has. The sum of a step is there Columns + 2 cycles after its
// operands of column 0. In that cycle valid_i and first_i belong to it, see dsp_accumulator. Nothing in here stops.
//
// Columns:      products of a step.
// AWidth:       bits of a word, two's complement (see multiply_add).
// BWidth:       bits of a factor, two's complement.
// Accumulates:  else every step is a sum, start_i is a constant, which the first column adds, and sum_o is the sum of a step
//               Columns + 2 cycles after its operands.
`default_nettype none

module dsp_chain #(
  parameter int unsigned Columns = 1,
  parameter int unsigned AWidth = 27,
  parameter int unsigned BWidth = 18,
  parameter bit Accumulates = 1'b1
) (
  input  wire                      clk_i,

  input  wire [Columns*AWidth-1:0] a_i,
  input  wire [Columns*BWidth-1:0] b_i,

  input  wire                      valid_i,
  input  wire                      first_i,
  input  wire [47:0]               start_i,
  output wire [47:0]               sum_o
);

  // of one bit, synthesis would make look-up tables
  localparam int unsigned ABits = (AWidth > 1) ? AWidth : 2;
  localparam int unsigned BBits = (BWidth > 1) ? BWidth : 2;

  wire [47:0] sums[Columns];
  for (genvar c = 0; c < Columns; c++) begin : gen_column
    wire [47:0] addend;
    if (c == 0) begin : gen_first
      assign addend = Accumulates ? '0 : start_i;
    end else begin : gen_next
      assign addend = sums[c-1];
    end
    multiply_add #(
      .AWidth(ABits),
      .BWidth(BBits),
      .Width(48),
      .OperandRegisters((c == 0) ? 1 : 2),
      .AddendRegister(1'b0)
    ) u_multiply_add (
      .clk_i(clk_i),
      .en_i(1'b1),
      .a_i({{(ABits-AWidth){a_i[c*AWidth+AWidth-1]}}, a_i[c*AWidth+:AWidth]}),
      .b_i({{(BBits-BWidth){b_i[c*BWidth+BWidth-1]}}, b_i[c*BWidth+:BWidth]}),
      .c_i(addend),
      .p_o(sums[c])
    );
  end

  if (Accumulates) begin : gen_accumulator
    dsp_accumulator u_accumulator (
      .clk_i(clk_i),
      .valid_i(valid_i),
      .first_i(first_i),
      .start_i(start_i),
      .value_i(sums[Columns-1]),
      .sum_o(sum_o)
    );
  end else begin : gen_sum
    assign sum_o = sums[Columns-1];
    wire unused_control = &{1'b0, valid_i, first_i};
  end

endmodule

`default_nettype wire
