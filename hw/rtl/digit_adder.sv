// Adds to a partial sum a factor times one radix-4 digit: sum_o = partial_i + digit · factor_i, modulo 2^Width.
// Combinational.
//
// The digit is the window of three bits that modified Booth recoding looks at: -2·b2 + b1 + b0. A bit of the shifted,
// inverted or zero factor depends on five signals, so it fits the LUT6 of the adder's bit, and the +1 of a negation is
// the carry in: the cell takes Width look-up tables. It is a module so that synthesis with the hierarchy kept does not
// turn chains of it into carry-save trees, which have nothing to share with the selection of the digit.
//
// Width:         bits of the sums, two's complement.
// FactorWidth:   bits of the factor.
// FactorSigned:  it is two's complement.
`default_nettype none

module digit_adder #(
  parameter int unsigned Width = 8,
  parameter int unsigned FactorWidth = 4,
  parameter bit FactorSigned = 1'b0
) (
  input  wire  [Width-1:0]       partial_i,
  input  wire  [2:0]             digit_i,
  input  wire  [FactorWidth-1:0] factor_i,
  output wire  [Width-1:0]       sum_o
);

  wire one = digit_i[1] ^ digit_i[0];
  wire two = digit_i == 3'b011 || digit_i == 3'b100;
  wire negative = digit_i[2];

  // the factor with its sign, and a zero below for the row of twice the factor
  wire [FactorWidth+2:0] signs = {{2{FactorSigned & factor_i[FactorWidth-1]}}, factor_i, 1'b0};
  wire [FactorWidth+1:0] once = signs[FactorWidth+2:1];
  wire [FactorWidth+1:0] twice = signs[FactorWidth+1:0];
  wire [FactorWidth+1:0] magnitude = ({(FactorWidth + 2) {two}} & twice) | ({(FactorWidth + 2) {one}} & once);
  wire [FactorWidth+1:0] row = magnitude ^ {(FactorWidth + 2) {negative}};
  wire [Width+FactorWidth+1:0] addend = {{Width{row[FactorWidth+1]}}, row};
  wire [Width:0] carry = {{Width{1'b0}}, negative};

  wire unused_upper = &{1'b0, addend, carry};  // their upper bits

  assign sum_o = partial_i + addend[Width-1:0] + carry[Width-1:0];

endmodule

`default_nettype wire
