// One lane of an MVAU: the dot product of SIMD inputs and SIMD weights, added to an accumulator.
//
// Operands come with the clock edge before; their sum reaches the accumulator stage after ProductLatency + TreeLatency
// cycles, where valid_i, first_i and last_i must be aligned with it. The result of a row is at acc_o in the
// cycle after its last_i. No node is wider than the accumulator, unless CheckOverflow asks for all there is to a sum:
// overflow_o is high for the cycle after one in which an addition left the accumulator's width.
//
// Simd:          products a cycle.
// InputWidth:    bits of an input.
// InputSigned:   inputs are two's complement.
// WeightWidth:   bits of a weight, two's complement.
// RecodeInput:   recode the input in the multipliers instead of the weight (see dot_product).
// ProductWidth:  bits that hold every product, two's complement.
// AccWidth:      bits of the accumulator, two's complement.
// HasBias:       the accumulator starts from start_i, else from 0.
// StartWidth:    bits of start_i, two's complement.
// ProductLatency, TreeLatency: cycles of the products and of their sum: see dot_product.
// CheckOverflow: drive overflow_o, which is 0 otherwise.
`default_nettype none

module mvau_pe #(
  parameter int unsigned Simd = 8,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter int unsigned WeightWidth = 4,
  parameter bit RecodeInput = 1'b0,
  parameter int unsigned ProductWidth = 8,
  parameter int unsigned AccWidth = 14,
  parameter bit HasBias = 1'b0,
  parameter int unsigned StartWidth = 1,
  parameter int unsigned ProductLatency = 2,
  parameter int unsigned TreeLatency = 1,
  parameter bit CheckOverflow = 1'b0
) (
  input  wire                         clk_i,
  input  wire                         rst_ni,
  input  wire  [Simd*InputWidth-1:0]  inputs_i,
  input  wire  [Simd*WeightWidth-1:0] weights_i,

  // the accumulator stage
  input  wire                         valid_i,
  input  wire                         first_i,
  input  wire                         last_i,
  input  wire  [StartWidth-1:0]       start_i,
  output wire  [AccWidth-1:0]         acc_o,
  output wire                         overflow_o
);

  localparam int unsigned SumNatural = ProductWidth + $clog2(Simd);
  localparam int unsigned SumWidth = (CheckOverflow || SumNatural < AccWidth) ? SumNatural : AccWidth;

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
  ) u_dot_product (
    .clk_i(clk_i),
    .inputs_i(inputs_i),
    .weights_i(weights_i),
    .sum_o(sum)
  );

  localparam int unsigned SumBits = (SumWidth < AccWidth) ? SumWidth : AccWidth;
  wire [AccWidth-1:0] addend = {{(AccWidth-SumBits){sum[SumWidth-1]}}, sum[SumBits-1:0]};
  wire [AccWidth-1:0] start;
  wire [AccWidth-1:0] acc_d;
  logic [AccWidth-1:0] acc_q;
  if (HasBias) begin : gen_bias
    localparam int unsigned StartBits = (StartWidth < AccWidth) ? StartWidth : AccWidth;
    assign start = {{(AccWidth-StartBits){start_i[StartWidth-1]}}, start_i[StartBits-1:0]};
    assign acc_d = addend + (first_i ? start : acc_q);
    always_ff @(posedge clk_i) if (valid_i) acc_q <= acc_d;
    assign acc_o = acc_q;
    wire unused_control = &{1'b0, rst_ni, last_i};
  end else begin : gen_no_bias
    // cleared by the flip-flops' reset, so that the adder needs no multiplexer before it
    logic [AccWidth-1:0] result_q;
    assign start = '0;
    assign acc_d = addend + acc_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (valid_i && last_i)) acc_q <= '0;
      else if (valid_i) acc_q <= acc_d;
      result_q <= acc_d;
    end
    assign acc_o = result_q;
    wire unused_control = &{1'b0, start_i, first_i, start};
  end

  if (CheckOverflow) begin : gen_check
    // the same addition, in as many bits as it takes
    localparam int unsigned TermWidth = (SumWidth > AccWidth) ? SumWidth : AccWidth;
    localparam int unsigned ExactWidth = ((TermWidth > StartWidth) ? TermWidth : StartWidth) + 1;
    wire [ExactWidth-1:0] exact_start = {{(ExactWidth-StartWidth){start_i[StartWidth-1]}}, start_i};
    wire [ExactWidth-1:0] exact_acc = {{(ExactWidth-AccWidth){acc_q[AccWidth-1]}}, acc_q};
    wire [ExactWidth-1:0] exact_sum = {{(ExactWidth-SumWidth){sum[SumWidth-1]}}, sum};
    wire [ExactWidth-1:0] exact = ((HasBias && first_i) ? exact_start : exact_acc) + exact_sum;
    wire fits = exact[ExactWidth-1:AccWidth-1] == {(ExactWidth-AccWidth+1){exact[AccWidth-1]}};
    logic overflow_q;
    always_ff @(posedge clk_i) overflow_q <= rst_ni && valid_i && !fits;
    assign overflow_o = overflow_q;
  end else begin : gen_no_check
    assign overflow_o = 1'b0;
  end

`ifdef A2Q_STATS
  range_monitor #(
    .Width(AccWidth)
  ) u_range_monitor (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .valid_i(valid_i),
    .value_i(acc_d)
  );
  if (HasBias) begin : gen_start_monitor
    range_monitor #(
      .Width(AccWidth)
    ) u_range_monitor (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .valid_i(valid_i && first_i),
      .value_i(start)
    );
  end
`endif

endmodule

`default_nettype wire
