// product_pair: the sum of its products, modulo 2^SumWidth, so many cycles later.
`default_nettype none

module product_pair_properties #(
  parameter int unsigned Terms = 2,
  parameter int unsigned FactorWidth = 4,
  parameter bit FactorSigned = 1'b0,
  parameter int unsigned RecodedWidth = 4,
  parameter bit RecodedSigned = 1'b1,
  parameter int unsigned SumWidth = 9
) (
  input wire                          clk_i,
  input wire                          rst_ni,
  input wire [Terms*FactorWidth-1:0]  factor_i,
  input wire [Terms*RecodedWidth-1:0] recoded_i
);

  localparam int unsigned Latency = RecodedSigned ? (RecodedWidth + 1) / 2 : RecodedWidth / 2 + 1;

  wire [SumWidth-1:0] sum;

  product_pair #(
    .Terms(Terms),
    .FactorWidth(FactorWidth),
    .FactorSigned(FactorSigned),
    .RecodedWidth(RecodedWidth),
    .RecodedSigned(RecodedSigned),
    .SumWidth(SumWidth),
    .Latency(Latency)
  ) u_cell (
    .clk_i(clk_i),
    .factor_i(factor_i),
    .recoded_i(recoded_i),
    .sum_o(sum)
  );

  // the factors of the sum that is at the output, and whether they have come behind the reset
  logic [Terms*FactorWidth-1:0] factors_q[Latency];
  logic [Terms*RecodedWidth-1:0] recoded_q[Latency];
  logic [Latency-1:0] checked_q = '0;
  always_ff @(posedge clk_i) begin
    factors_q[0] <= factor_i;
    recoded_q[0] <= recoded_i;
    for (int unsigned i = 1; i < Latency; i++) begin
      factors_q[i] <= factors_q[i-1];
      recoded_q[i] <= recoded_q[i-1];
    end
    checked_q <= Latency'({checked_q, rst_ni});
  end

  logic signed [31:0] factor;
  logic signed [31:0] recoded;
  logic signed [31:0] expected;
  always_comb begin
    expected = 32'sd0;
    for (int unsigned t = 0; t < Terms; t++) begin
      factor = FactorSigned ? 32'(signed'(factors_q[Latency-1][t*FactorWidth+:FactorWidth]))
                            : 32'(factors_q[Latency-1][t*FactorWidth+:FactorWidth]);
      recoded = RecodedSigned ? 32'(signed'(recoded_q[Latency-1][t*RecodedWidth+:RecodedWidth]))
                              : 32'(recoded_q[Latency-1][t*RecodedWidth+:RecodedWidth]);
      expected = expected + factor * recoded;
    end
    if (checked_q[Latency-1]) is_the_sum_of_products : assert (sum == SumWidth'(expected));
  end

endmodule

`default_nettype wire
