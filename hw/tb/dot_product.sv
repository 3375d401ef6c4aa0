// dot_product for a simulation: the same ports and cycles, with products and sum left to the simulator. It stands in the
// place of hw/rtl/dot_product.sv where a whole network is simulated, and is proven to be equal (see hw/formal).
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

  localparam int unsigned Latency = ProductLatency + TreeLatency;
  // modulo 2^SumWidth, so that factors of other widths are cut or extended to that
  localparam int unsigned InputBits = (InputWidth < SumWidth) ? InputWidth : SumWidth;
  localparam int unsigned WeightBits = (WeightWidth < SumWidth) ? WeightWidth : SumWidth;

  wire [SumWidth-1:0] sums[Simd];
  for (genvar s = 0; s < Simd; s++) begin : gen_product
    wire [InputWidth-1:0] element = inputs_i[s*InputWidth+:InputWidth];
    wire [WeightWidth-1:0] weight = weights_i[s*WeightWidth+:WeightWidth];
    wire element_sign = InputSigned & element[InputWidth-1];
    wire weight_sign = weight[WeightWidth-1];
    wire [SumWidth-1:0] product = {{(SumWidth-InputBits){element_sign}}, element[InputBits-1:0]}
        * {{(SumWidth-WeightBits){weight_sign}}, weight[WeightBits-1:0]};
    if (s == 0) begin : gen_first
      assign sums[0] = product;
    end else begin : gen_next
      assign sums[s] = sums[s-1] + product;
    end
  end

  logic [Latency*SumWidth-1:0] sums_q;
  always_ff @(posedge clk_i) sums_q <= (Latency * SumWidth)'({sums_q, sums[Simd-1]});
  assign sum_o = sums_q[(Latency-1)*SumWidth+:SumWidth];

  wire unused_sizes = &{1'b0, RecodeInput, 32'(ProductWidth)};

endmodule

`default_nettype wire
