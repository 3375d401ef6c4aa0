// sum_o = value_i · multiplier_i + addend_i, modulo 2^SumWidth, in one DSP or in two (see multiply_add for what fits one).
//
// Of two the first multiplies the 17 lowest bits of the value, which take a sign of 0, and adds the addend. The second
// multiplies the bits above them, and adds the sum of the first without its 17 lowest bits: those are the result's.
//
// Dsps:             1 or 2.
// ValueWidth:       bits of a value.
// Signed:           values are two's complement.
// MultiplierWidth:  bits of a multiplier, unsigned.
// SumWidth:         bits of the sum and of the addend, two's complement, at most 48.
// Unread:           bits at the end of the sum that nobody reads.
//
// The sum is there Dsps + 2 enabled cycles after value_i and multiplier_i, and Dsps + 1 after addend_i.
`default_nettype none

module dsp_scale #(
  parameter int unsigned Dsps = 1,
  parameter int unsigned ValueWidth = 18,
  parameter bit Signed = 1'b1,
  parameter int unsigned MultiplierWidth = 8,
  parameter int unsigned SumWidth = 32,
  parameter int unsigned Unread = 0
) (
  input  wire                        clk_i,
  input  wire                        en_i,
  input  wire  [ValueWidth-1:0]      value_i,
  input  wire  [MultiplierWidth-1:0] multiplier_i,
  input  wire  [SumWidth-1:0]        addend_i,
  output wire  [SumWidth-1:0]        sum_o
);

  if (Dsps != 1 && Dsps != 2) begin : gen_check_dsps
    $error("%m: Dsps must be 1 or 2");
  end
  if (SumWidth < 1 || SumWidth > 48) begin : gen_check_sum
    $error("%m: SumWidth must be in 1 to 48");
  end

  // both operands with a sign
  localparam int unsigned FactorWidth = Signed ? ValueWidth : ValueWidth + 1;
  wire [ValueWidth:0] value = {Signed & value_i[ValueWidth-1], value_i};
  wire [MultiplierWidth:0] multiplier = {1'b0, multiplier_i};
  wire unused_value = &{1'b0, value};
  wire [SumWidth+47:0] addend = {{48{addend_i[SumWidth-1]}}, addend_i};
  wire unused_addend = &{1'b0, addend};

  if (Dsps == 1) begin : gen_one
    localparam int unsigned ProductWidth = FactorWidth + MultiplierWidth + 1;
    localparam int unsigned Width = (SumWidth > ProductWidth) ? SumWidth : ProductWidth;
    wire [Width-1:0] total;
    multiply_add #(
      .AWidth(MultiplierWidth + 1),
      .BWidth(FactorWidth),
      .Width(Width)
    ) u_multiply_add (
      .clk_i(clk_i),
      .en_i(en_i),
      .a_i(multiplier),
      .b_i(value[FactorWidth-1:0]),
      .c_i(addend[Width-1:0]),
      .p_o(total)
    );
    wire unused_total = &{1'b0, total};
    assign sum_o = total[SumWidth-1:0];
  end else begin : gen_two
    localparam int unsigned LowWidth = 17;
    localparam int unsigned HighWidth = (FactorWidth > LowWidth) ? FactorWidth - LowWidth : 1;
    wire [HighWidth+LowWidth+ValueWidth:0] split = {{(HighWidth+LowWidth){value[ValueWidth]}}, value};
    wire unused_split = &{1'b0, split};
    wire [47:0] low, high;
    multiply_add #(
      .AWidth(MultiplierWidth + 1),
      .BWidth(LowWidth + 1),
      .Width(48)
    ) u_low (
      .clk_i(clk_i),
      .en_i(en_i),
      .a_i(multiplier),
      .b_i({1'b0, split[LowWidth-1:0]}),
      .c_i(addend[47:0]),
      .p_o(low)
    );
    multiply_add #(
      .AWidth(MultiplierWidth + 1),
      .BWidth(HighWidth),
      .Width(48),
      .OperandRegisters(2),
      .AddendRegister(1'b0)
    ) u_high (
      .clk_i(clk_i),
      .en_i(en_i),
      .a_i(multiplier),
      .b_i(split[HighWidth+LowWidth-1:LowWidth]),
      .c_i({{LowWidth{low[47]}}, low[47:LowWidth]}),
      .p_o(high)
    );
    wire [47+LowWidth:0] total;
    assign total[47+LowWidth:LowWidth] = high;
    if (Unread < LowWidth) begin : gen_low
      logic [LowWidth-1:Unread] low_q;  // of the beat at the second DSP's sum
      always_ff @(posedge clk_i) if (en_i) low_q <= low[LowWidth-1:Unread];
      assign total[LowWidth-1:Unread] = low_q;
    end
    localparam int unsigned Zeros = (Unread < LowWidth) ? Unread : LowWidth;
    if (Zeros > 0) begin : gen_unread
      assign total[Zeros-1:0] = '0;
    end
    wire unused_total = &{1'b0, total, low};
    assign sum_o = total[SumWidth-1:0];
  end

endmodule

`default_nettype wire
