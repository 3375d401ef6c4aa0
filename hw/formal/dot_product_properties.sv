// dot_product: the sum of its products, modulo 2^SumWidth, so many cycles later.
`default_nettype none

module dot_product_properties #(
  parameter int unsigned Simd = 3,
  parameter int unsigned InputWidth = 2,
  parameter bit InputSigned = 1'b0,
  parameter int unsigned WeightWidth = 2,
  parameter bit RecodeInput = 1'b0,
  parameter int unsigned ProductWidth = 4,
  parameter int unsigned SumWidth = 6
) (
  input wire                        clk_i,
  input wire                        rst_ni,
  input wire [Simd*InputWidth-1:0]  inputs_i,
  input wire [Simd*WeightWidth-1:0] weights_i
);

  localparam int unsigned ProductLatency =
      !RecodeInput ? (WeightWidth + 1) / 2 : InputSigned ? (InputWidth + 1) / 2 : InputWidth / 2 + 1;
  localparam int unsigned TreeLatency = $clog2(Simd) / 2;
  localparam int unsigned Latency = ProductLatency + TreeLatency;

  wire [SumWidth-1:0] sum;

  dot_product #(
    .Simd(Simd),
    .InputWidth(InputWidth),
    .InputSigned(InputSigned),
    .WeightWidth(WeightWidth),
    .RecodeInput(RecodeInput),
    .ProductWidth(ProductWidth),
    .SumWidth(SumWidth),
    .ProductLatency(ProductLatency),
    .TreeLatency(TreeLatency)
  ) u_cell (
    .clk_i(clk_i),
    .inputs_i(inputs_i),
    .weights_i(weights_i),
    .sum_o(sum)
  );

  // the operands of the sum that is at the output, and whether they have come behind the reset
  logic [Simd*InputWidth-1:0] inputs_q[Latency];
  logic [Simd*WeightWidth-1:0] weights_q[Latency];
  logic [Latency-1:0] checked_q = '0;
  always_ff @(posedge clk_i) begin
    inputs_q[0] <= inputs_i;
    weights_q[0] <= weights_i;
    for (int unsigned i = 1; i < Latency; i++) begin
      inputs_q[i] <= inputs_q[i-1];
      weights_q[i] <= weights_q[i-1];
    end
    checked_q <= Latency'({checked_q, rst_ni});
  end

  logic signed [31:0] element;
  logic signed [31:0] expected;
  always_comb begin
    expected = 32'sd0;
    for (int unsigned s = 0; s < Simd; s++) begin
      element = InputSigned ? 32'(signed'(inputs_q[Latency-1][s*InputWidth+:InputWidth]))
                            : 32'(inputs_q[Latency-1][s*InputWidth+:InputWidth]);
      expected = expected + element * 32'(signed'(weights_q[Latency-1][s*WeightWidth+:WeightWidth]));
    end
    if (checked_q[Latency-1]) is_the_sum_of_products : assert (sum == SumWidth'(expected));
  end

endmodule

`default_nettype wire
