// The sum of SIMD products of an input and a weight, exact modulo 2^SumWidth, a new one every cycle.
//
// Pairs of products, then a tree of adders; no node is wider than the sum.
//
// Simd:           products.
// InputWidth:     bits of an input.
// InputSigned:    inputs are two's complement.
// WeightWidth:    bits of a weight, two's complement.
// RecodeInput:    recode the input in the multipliers instead of the weight (see product_pair).
// ProductWidth:   bits that hold every product, two's complement.
// SumWidth:       bits of the sum, at most ProductWidth + ceil(log2 Simd).
// ProductLatency, TreeLatency: cycles in product_pair and adder_tree, which check them; a sum comes so many behind its
//                 operands.
`default_nettype none

module dot_product #(
  parameter int unsigned Simd = 8,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter int unsigned WeightWidth = 4,
  parameter bit RecodeInput = 1'b0,
  parameter int unsigned ProductWidth = 8,
  parameter int unsigned SumWidth = 11,
  parameter int unsigned ProductLatency = 2,
  parameter int unsigned TreeLatency = 1
) (
  input  wire                         clk_i,
  input  wire  [Simd*InputWidth-1:0]  inputs_i,
  input  wire  [Simd*WeightWidth-1:0] weights_i,
  output wire  [SumWidth-1:0]         sum_o
);

  localparam int unsigned Pairs = (Simd + 1) / 2;
  localparam int unsigned PairNatural = ProductWidth + ((Simd > 1) ? 1 : 0);
  localparam int unsigned PairWidth = (PairNatural < SumWidth) ? PairNatural : SumWidth;
  localparam int unsigned FactorWidth = RecodeInput ? WeightWidth : InputWidth;
  localparam int unsigned RecodedWidth = RecodeInput ? InputWidth : WeightWidth;

  wire [Simd*FactorWidth-1:0] factors;
  wire [Simd*RecodedWidth-1:0] recoded;
  if (RecodeInput) begin : gen_recode_inputs
    assign factors = weights_i;
    assign recoded = inputs_i;
  end else begin : gen_recode_weights
    assign factors = inputs_i;
    assign recoded = weights_i;
  end

  wire [Pairs*PairWidth-1:0] pairs;
  for (genvar p = 0; p < Pairs; p++) begin : gen_pair
    localparam int unsigned Terms = (2 * p + 1 < Simd) ? 2 : 1;
    product_pair #(
      .Terms(Terms),
      .FactorWidth(FactorWidth),
      .FactorSigned(RecodeInput ? 1'b1 : InputSigned),
      .RecodedWidth(RecodedWidth),
      .RecodedSigned(RecodeInput ? InputSigned : 1'b1),
      .SumWidth(PairWidth),
      .Latency(ProductLatency)
    ) u_product_pair (
      .clk_i(clk_i),
      .factor_i(factors[2*p*FactorWidth+:Terms*FactorWidth]),
      .recoded_i(recoded[2*p*RecodedWidth+:Terms*RecodedWidth]),
      .sum_o(pairs[p*PairWidth+:PairWidth])
    );
  end

  adder_tree #(
    .Inputs(Pairs),
    .InputWidth(PairWidth),
    .SumWidth(SumWidth),
    .Latency(TreeLatency)
  ) u_adder_tree (
    .clk_i(clk_i),
    .values_i(pairs),
    .sum_o(sum_o)
  );

endmodule

`default_nettype wire
