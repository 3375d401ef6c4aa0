// sum_o = a_i + b_i, combinational, modulo 2^Width. A module, so that synthesis with the hierarchy kept gives each node
// of a tree a carry chain of its own instead of turning neighbouring nodes into carry-save trees, which take more look-
// up tables.
//
// Width: bits of the operands and of the sum.
`default_nettype none

module adder #(
  parameter int unsigned Width = 8
) (
  input  wire  [Width-1:0] a_i,
  input  wire  [Width-1:0] b_i,
  output wire  [Width-1:0] sum_o
);

  assign sum_o = a_i + b_i;

endmodule

`default_nettype wire
