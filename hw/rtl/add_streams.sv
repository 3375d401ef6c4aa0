// The sum of two streams, element by element, each times a constant.
//
// Both operands of a beat are taken in the same cycle, so the ready of one input depends on the valid of the other. They
// are registered before they are added: the memory of a FIFO gives them late. Their sum leaves two cycles after they came.
//
// Pe:           elements of a beat.
// Width0:       bits of an element of input 0.
// Signed0:      it is two's complement.
// Multiplier0:  the constant it is multiplied by.
// Width1, Signed1, Multiplier1: the same for input 1.
// OutputWidth:  bits of a sum; wide enough for every sum, two's complement if one of them can be negative.
`default_nettype none

module add_streams #(
  parameter int unsigned Pe = 1,
  parameter int unsigned Width0 = 4,
  parameter bit Signed0 = 1'b0,
  parameter int Multiplier0 = 1,
  parameter int unsigned Width1 = 4,
  parameter bit Signed1 = 1'b0,
  parameter int Multiplier1 = 1,
  parameter int unsigned OutputWidth = 5
) (
  input  wire                       clk_i,
  input  wire                       rst_ni,

  input  wire                       in0_valid_i,
  output wire                       in0_ready_o,
  input  wire  [Pe*Width0-1:0]      in0_data_i,

  input  wire                       in1_valid_i,
  output wire                       in1_ready_o,
  input  wire  [Pe*Width1-1:0]      in1_data_i,

  output wire                       out_valid_o,
  input  wire                       out_ready_i,
  output wire  [Pe*OutputWidth-1:0] out_data_o
);

  if (Pe < 1 || Width0 < 1 || Width1 < 1 || OutputWidth < 1) begin : gen_check
    $error("%m: Pe and the widths must be at least 1");
  end

  wire sum_ready;
  logic operands_valid_q;
  logic [Pe*Width0-1:0] operands0_q;
  logic [Pe*Width1-1:0] operands1_q;
  wire [Pe*OutputWidth-1:0] sums;

  assign in0_ready_o = sum_ready && in1_valid_i;
  assign in1_ready_o = sum_ready && in0_valid_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) operands_valid_q <= 1'b0;
    else if (sum_ready) operands_valid_q <= in0_valid_i && in1_valid_i;
    if (sum_ready) begin
      operands0_q <= in0_data_i;
      operands1_q <= in1_data_i;
    end
  end

  // all modulo 2^OutputWidth, which is exact because the sum fits; signs are extended by hand, as tools differ in casts
  localparam bit [31:0] Bits0 = Multiplier0;
  localparam bit [31:0] Bits1 = Multiplier1;
  localparam bit [OutputWidth-1:0] Factor0 = OutputWidth'({{OutputWidth{Bits0[31]}}, Bits0});
  localparam bit [OutputWidth-1:0] Factor1 = OutputWidth'({{OutputWidth{Bits1[31]}}, Bits1});
  for (genvar i = 0; i < Pe; i++) begin : gen_lane
    wire [Width0-1:0] x0 = operands0_q[i*Width0+:Width0];
    wire [Width1-1:0] x1 = operands1_q[i*Width1+:Width1];
    wire sign0 = Signed0 && x0[Width0-1];
    wire sign1 = Signed1 && x1[Width1-1];
    wire [OutputWidth-1:0] a = OutputWidth'({{OutputWidth{sign0}}, x0});
    wire [OutputWidth-1:0] b = OutputWidth'({{OutputWidth{sign1}}, x1});
    assign sums[i*OutputWidth+:OutputWidth] = a * Factor0 + b * Factor1;
  end

  spill_register #(
    .Width(Pe * OutputWidth)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(operands_valid_q),
    .in_ready_o(sum_ready),
    .in_data_i(sums),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
