// product_pair for a simulation: the same ports and cycles, with the multiplication left to the simulator. It stands in the
// place of hw/rtl/product_pair.sv where a whole network is simulated, and is proven to be equal (see hw/formal).
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

  // modulo 2^SumWidth, so that factors of other widths are cut or extended to that
  localparam int unsigned FactorBits = (FactorWidth < SumWidth) ? FactorWidth : SumWidth;
  localparam int unsigned RecodedBits = (RecodedWidth < SumWidth) ? RecodedWidth : SumWidth;

  wire [SumWidth-1:0] products[Terms];
  for (genvar t = 0; t < Terms; t++) begin : gen_product
    wire [FactorWidth-1:0] factor = factor_i[t*FactorWidth+:FactorWidth];
    wire [RecodedWidth-1:0] recoded = recoded_i[t*RecodedWidth+:RecodedWidth];
    wire factor_sign = FactorSigned & factor[FactorWidth-1];
    wire recoded_sign = RecodedSigned & recoded[RecodedWidth-1];
    assign products[t] = {{(SumWidth-FactorBits){factor_sign}}, factor[FactorBits-1:0]}
        * {{(SumWidth-RecodedBits){recoded_sign}}, recoded[RecodedBits-1:0]};
  end

  logic [SumWidth-1:0] sums_q[Latency];
  always_ff @(posedge clk_i) begin
    sums_q[0] <= (Terms > 1) ? products[0] + products[Terms-1] : products[0];
    for (int unsigned i = 1; i < Latency; i++) sums_q[i] <= sums_q[i-1];
  end
  assign sum_o = sums_q[Latency-1];

endmodule

`default_nettype wire
