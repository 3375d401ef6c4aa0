// The sum of signed inputs, with a register after every two levels of adders and after the last.
//
// One input passes through combinationally. A node is as wide as its inputs demand and never wider than the sum:
// two's-complement addition wraps, so the sum is exact modulo 2^SumWidth either way.
//
// Inputs:      numbers to add, at least 1.
// InputWidth:  bits of each, at least 1, two's complement.
// SumWidth:    bits of the sum, at most InputWidth + ceil(log2 Inputs) and at least InputWidth.
// Latency:     cycles from inputs to sum, ceil(ceil(log2 Inputs) / 2), as its user counts them; checked.
`default_nettype none

module adder_tree #(
  parameter int unsigned Inputs = 4,
  parameter int unsigned InputWidth = 9,
  parameter int unsigned SumWidth = 11,
  parameter int unsigned Latency = 1
) (
  input  wire                          clk_i,
  input  wire  [Inputs*InputWidth-1:0] values_i,
  output wire  [SumWidth-1:0]          sum_o
);

  localparam int unsigned Levels = $clog2(Inputs);

  if (Inputs < 1 || InputWidth < 1) begin : gen_check_sizes
    $error("%m: Inputs and InputWidth must be at least 1");
  end
  if (SumWidth < InputWidth || SumWidth > InputWidth + Levels) begin : gen_check_sum
    $error("%m: SumWidth must be in InputWidth to InputWidth + ceil(log2 Inputs)");
  end
  if (Latency != (Levels + 1) / 2) begin : gen_check_latency
    $error("%m: Latency must be half the levels of adders, rounded up");
  end

  for (genvar l = 0; l <= Levels; l++) begin : gen_level
    localparam int unsigned Nodes = (Inputs + (1 << l) - 1) >> l;
    localparam int unsigned Width = (InputWidth + l < SumWidth) ? InputWidth + l : SumWidth;
    wire [Nodes*Width-1:0] nodes;

    if (l == 0) begin : gen_inputs
      assign nodes = values_i;
    end else begin : gen_nodes
      localparam int unsigned BelowNodes = (Inputs + (1 << (l - 1)) - 1) >> (l - 1);
      localparam int unsigned BelowWidth = (InputWidth + l - 1 < SumWidth) ? InputWidth + l - 1 : SumWidth;
      wire [Nodes*Width-1:0] sums;

      for (genvar n = 0; n < Nodes; n++) begin : gen_node
        wire [BelowWidth-1:0] left = gen_level[l-1].nodes[2*n*BelowWidth+:BelowWidth];
        wire [Width-1:0] a = {{(Width-BelowWidth){left[BelowWidth-1]}}, left};
        if (2 * n + 1 < BelowNodes) begin : gen_add
          wire [BelowWidth-1:0] right = gen_level[l-1].nodes[(2*n+1)*BelowWidth+:BelowWidth];
          adder #(
            .Width(Width)
          ) u_adder (
            .a_i(a),
            .b_i({{(Width-BelowWidth){right[BelowWidth-1]}}, right}),
            .sum_o(sums[n*Width+:Width])
          );
        end else begin : gen_pass
          assign sums[n*Width+:Width] = a;
        end
      end

      if (l % 2 == 0 || l == Levels) begin : gen_register
        logic [Nodes*Width-1:0] nodes_q;
        always_ff @(posedge clk_i) nodes_q <= sums;
        assign nodes = nodes_q;
      end else begin : gen_wires
        assign nodes = sums;
      end
    end
  end

  assign sum_o = gen_level[Levels].nodes;

  if (Levels == 0) begin : gen_unclocked
    wire unused_clock = &{1'b0, clk_i};
  end

endmodule

`default_nettype wire
