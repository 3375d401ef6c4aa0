// The sum of one or two products, built of look-up tables by radix-4 (modified Booth) recoding of one factor.
//
// A digit of the recoded factor, in -2 … 2, selects a row: the other factor shifted, inverted or zero. A row bit is a
// function of five signals, so it shares the LUT6 of the adder that sums it up, and the +1 of a negation is the adder's
// carry in. Rows are added digit by digit, both products in turn, so that low bits are final early and adders stay
// short. A register follows every two digits.
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
  parameter int unsigned Latency = 1
) (
  input  wire                           clk_i,
  input  wire                           en_i,
  input  wire  [Terms*FactorWidth-1:0]  factor_i,
  input  wire  [Terms*RecodedWidth-1:0] recoded_i,
  output wire  [SumWidth-1:0]           sum_o
);

  localparam int unsigned Digits = RecodedSigned ? (RecodedWidth + 1) / 2 : RecodedWidth / 2 + 1;
  localparam int unsigned Stages = (Digits + 1) / 2;

  if (Terms < 1 || Terms > 2) begin : gen_check_terms
    $error("%m: Terms must be 1 or 2");
  end
  if (FactorWidth < 1 || RecodedWidth < 1 || SumWidth < 1) begin : gen_check_widths
    $error("%m: the widths must be at least 1");
  end
  if (Latency != Stages) begin : gen_check_latency
    $error("%m: Latency must be half the digits of the recoded factor, rounded up");
  end

  for (genvar s = 0; s < Stages; s++) begin : gen_stage
    wire [Terms*FactorWidth-1:0] factor;
    wire [Terms*RecodedWidth-1:0] recoded;
    wire [SumWidth-1:0] start;
    wire [SumWidth-1:0] sum;
    logic [SumWidth-1:0] sum_q;

    if (s == 0) begin : gen_first
      assign factor = factor_i;
      assign recoded = recoded_i;
      assign start = '0;
    end else begin : gen_later
      logic [Terms*FactorWidth-1:0] factor_q;
      logic [Terms*RecodedWidth-1:0] recoded_q;
      always_ff @(posedge clk_i) begin
        if (en_i) begin
          factor_q <= gen_stage[s-1].factor;
          recoded_q <= gen_stage[s-1].recoded;
        end
      end
      assign factor = factor_q;
      assign recoded = recoded_q;
      assign start = gen_stage[s-1].sum_q;
    end

    localparam int unsigned Rows = Terms * ((Digits - 2 * s < 2) ? Digits - 2 * s : 2);
    for (genvar r = 0; r < Rows; r++) begin : gen_row
      localparam int unsigned Term = r % Terms;
      localparam int unsigned Digit = 2 * s + r / Terms;
      localparam int unsigned Shift = 2 * Digit;
      // what the digits so far can reach, if the result is as wide as that
      localparam int unsigned Carry = (Digit == 0 && Term == 0) ? 0 : Terms - 1;
      localparam int unsigned Natural = FactorWidth + 2 + Shift + Carry;
      localparam int unsigned Width = (Natural < SumWidth) ? Natural : SumWidth;

      wire [SumWidth-1:0] partial;
      wire [SumWidth-1:0] total;
      wire unused_partial = &{1'b0, partial};
      if (r == 0) begin : gen_start
        assign partial = start;
      end else begin : gen_next
        assign partial = gen_row[r-1].total;
      end

      if (Shift < Width) begin : gen_add
        wire [2*Digits:0] windows;
        wire unused_windows = &{1'b0, windows};
        if (RecodedSigned) begin : gen_recoded_signed
          assign windows = {(2 * Digits)'($signed(recoded[Term*RecodedWidth+:RecodedWidth])), 1'b0};
        end else begin : gen_recoded_unsigned
          assign windows = {(2 * Digits)'(recoded[Term*RecodedWidth+:RecodedWidth]), 1'b0};
        end

        wire [Width-Shift-1:0] upper;
        digit_adder #(
          .Width(Width - Shift),
          .FactorWidth(FactorWidth),
          .FactorSigned(FactorSigned)
        ) u_digit_adder (
          .partial_i(partial[Width-1:Shift]),
          .digit_i(windows[Shift+:3]),
          .factor_i(factor[Term*FactorWidth+:FactorWidth]),
          .sum_o(upper)
        );
        if (Shift > 0) begin : gen_shifted
          assign total = SumWidth'($signed({upper, partial[Shift-1:0]}));
        end else begin : gen_unshifted
          assign total = SumWidth'($signed(upper));
        end
      end else begin : gen_beyond
        assign total = partial;
      end
    end

    assign sum = gen_row[Rows-1].total;
    always_ff @(posedge clk_i) if (en_i) sum_q <= sum;
  end

  assign sum_o = gen_stage[Stages-1].sum_q;

endmodule

`default_nettype wire
