// The sum of one or two products, built of look-up tables by radix-4 (modified Booth) recoding of one factor.
//
// A digit of the recoded factor, in -2 … 2, selects a row: the other factor shifted, inverted or zero. A row bit is a
// function of five signals, so it shares the LUT6 of the adder that sums it up, and the +1 of a negation is the adder's
// carry in. Rows are added digit by digit, both products in turn, so that low bits are final early and adders stay
// short. A register follows every digit: no path has more than two adders.
//
// Terms:          products to add, 1 or 2.
// FactorWidth:    bits of the factor that is taken whole.
// FactorSigned:   it is two's complement.
// RecodedWidth:   bits of the factor that is recoded.
// RecodedSigned:  it is two's complement.
// SumWidth:       bits of the result, which is exact modulo 2^SumWidth.
// Latency:        cycles from operands to sum, as its user counts them; checked.
`default_nettype none

module product_pair #(
  parameter int unsigned Terms = 2,
  parameter int unsigned FactorWidth = 4,
  parameter bit FactorSigned = 1'b0,
  parameter int unsigned RecodedWidth = 4,
  parameter bit RecodedSigned = 1'b1,
  parameter int unsigned SumWidth = 9,
  parameter int unsigned Latency = 2
) (
  input  wire                           clk_i,
  input  wire  [Terms*FactorWidth-1:0]  factor_i,
  input  wire  [Terms*RecodedWidth-1:0] recoded_i,
  output wire  [SumWidth-1:0]           sum_o
);

  localparam int unsigned Digits = RecodedSigned ? (RecodedWidth + 1) / 2 : RecodedWidth / 2 + 1;

  if (Terms < 1 || Terms > 2) begin : gen_check_terms
    $error("%m: Terms must be 1 or 2");
  end
  if (FactorWidth < 1 || RecodedWidth < 1 || SumWidth < 1) begin : gen_check_widths
    $error("%m: the widths must be at least 1");
  end
  if (Latency != Digits) begin : gen_check_latency
    $error("%m: Latency must be the digits of the recoded factor");
  end

  for (genvar d = 0; d < Digits; d++) begin : gen_digit
    localparam int unsigned Shift = 2 * d;
    wire [Terms*FactorWidth-1:0] factor;
    wire [Terms*RecodedWidth-1:0] recoded;
    wire [SumWidth-1:0] start;
    logic [SumWidth-1:0] sum_q;

    if (d == 0) begin : gen_first
      assign factor = factor_i;
      assign recoded = recoded_i;
      assign start = '0;
    end else begin : gen_later
      logic [Terms*FactorWidth-1:0] factor_q;
      logic [Terms*RecodedWidth-1:0] recoded_q;
      always_ff @(posedge clk_i) begin
        factor_q <= gen_digit[d-1].factor;
        recoded_q <= gen_digit[d-1].recoded;
      end
      assign factor = factor_q;
      assign recoded = recoded_q;
      assign start = gen_digit[d-1].sum_q;
    end

    for (genvar t = 0; t < Terms; t++) begin : gen_row
      // what the digits so far can reach, if the result is as wide as that
      localparam int unsigned Carry = (d == 0 && t == 0) ? 0 : Terms - 1;
      localparam int unsigned Natural = FactorWidth + 2 + Shift + Carry;
      localparam int unsigned Width = (Natural < SumWidth) ? Natural : SumWidth;

      wire [SumWidth-1:0] partial;
      wire [SumWidth-1:0] total;
      wire unused_partial = &{1'b0, partial};
      if (t == 0) begin : gen_start
        assign partial = start;
      end else begin : gen_next
        assign partial = gen_row[t-1].total;
      end

      if (Shift < Width) begin : gen_add
        // the recoded factor with a zero below and two signs above: a digit looks at three bits from its own on
        wire [RecodedWidth-1:0] term = recoded[t*RecodedWidth+:RecodedWidth];
        wire sign = RecodedSigned & term[RecodedWidth-1];
        wire [RecodedWidth+2:0] windows = {sign, sign, term, 1'b0};
        wire unused_windows = &{1'b0, windows};

        wire [Width-Shift-1:0] upper;
        digit_adder #(
          .Width(Width - Shift),
          .FactorWidth(FactorWidth),
          .FactorSigned(FactorSigned)
        ) u_digit_adder (
          .partial_i(partial[Width-1:Shift]),
          .digit_i(windows[Shift+:3]),
          .factor_i(factor[t*FactorWidth+:FactorWidth]),
          .sum_o(upper)
        );
        assign total[SumWidth-1:Shift] = {{(SumWidth - Width) {upper[Width-Shift-1]}}, upper};
        if (Shift > 0) begin : gen_below
          assign total[Shift-1:0] = partial[Shift-1:0];
        end
      end else begin : gen_beyond
        assign total = partial;
      end
    end

    always_ff @(posedge clk_i) sum_q <= gen_row[Terms-1].total;
  end

  assign sum_o = gen_digit[Digits-1].sum_q;

endmodule

`default_nettype wire
