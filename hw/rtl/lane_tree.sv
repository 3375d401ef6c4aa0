// The sum of lanes in offset binary, which is 2^(bits - 1) more than a number in two's complement, in offset binary: a bit
// more for each level of adders. Two of them are added as they are, since both offsets together are that of the sum. A
// register follows every two levels, and the last. adder_tree, whose numbers are in two's complement, would do with the
// highest bit of each lane and of the sum inverted, for more look-up tables: 83 instead of 69 for eight lanes of 9 bits.
//
// Inputs:   lanes to add, at least 2.
// Width:    bits of each, at least 1.
// Latency:  cycles from lanes to sum, ceil(ceil(log2 Inputs) / 2), as its user counts them; checked.
`default_nettype none

module lane_tree #(
  parameter int unsigned Inputs = 2,
  parameter int unsigned Width = 11,
  parameter int unsigned Latency = 1,
  localparam int unsigned Levels = $clog2(Inputs)
) (
  input  wire                    clk_i,
  input  wire [Inputs*Width-1:0] lanes_i,
  output wire [Width+Levels-1:0] sum_o
);

  if (Inputs < 2 || Width < 1) begin : gen_check
    $error("%m: Inputs must be at least 2 and Width at least 1");
  end
  if (Latency != (Levels + 1) / 2) begin : gen_check_latency
    $error("%m: Latency must be half the levels of adders, rounded up");
  end

  for (genvar l = 0; l <= Levels; l++) begin : gen_level
    localparam int unsigned Nodes = (Inputs + (1 << l) - 1) >> l;
    localparam int unsigned Bits = Width + l;
    wire [Nodes*Bits-1:0] nodes;
    if (l == 0) begin : gen_inputs
      assign nodes = lanes_i;
    end else begin : gen_nodes
      localparam int unsigned BelowNodes = (Inputs + (1 << (l - 1)) - 1) >> (l - 1);
      localparam int unsigned BelowBits = Bits - 1;
      wire [Nodes*Bits-1:0] sums;
      for (genvar n = 0; n < Nodes; n++) begin : gen_node
        wire [BelowBits-1:0] left = gen_level[l-1].nodes[2*n*BelowBits+:BelowBits];
        if (2 * n + 1 < BelowNodes) begin : gen_add
          wire [BelowBits-1:0] right = gen_level[l-1].nodes[(2*n+1)*BelowBits+:BelowBits];
          assign sums[n*Bits+:Bits] = {1'b0, left} + {1'b0, right};
        end else begin : gen_alone
          // plus 0, which is the highest bit alone
          assign sums[n*Bits+:Bits] = {left[BelowBits-1], left ^ {1'b1, {(BelowBits - 1) {1'b0}}}};
        end
      end
      if (l % 2 == 0 || l == Levels) begin : gen_register
        logic [Nodes*Bits-1:0] nodes_q;
        always_ff @(posedge clk_i) nodes_q <= sums;
        assign nodes = nodes_q;
      end else begin : gen_wires
        assign nodes = sums;
      end
    end
  end
  assign sum_o = gen_level[Levels].nodes;

endmodule

`default_nettype wire
