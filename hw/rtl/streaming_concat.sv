// The channels of two streams behind each other: of each pixel the beats of input 0, then those of input 1.
//
// A beat leaves in every cycle in which the input whose turn it is has one; the other input waits. A beat is visible at
// the output in the cycle after it was taken. No ready depends on a valid or on out_ready_i within a cycle.
//
// Simd:         elements of a beat, on all sides.
// Folds0:       beats of a pixel of input 0.
// Width0:       bits of an element of input 0.
// Signed0:      it is two's complement.
// Folds1, Width1, Signed1: the same for input 1.
// OutputWidth:  bits of an element of the output, which holds those of both inputs; two's complement if one of them is.
`default_nettype none

module streaming_concat #(
  parameter int unsigned Simd = 1,
  parameter int unsigned Folds0 = 1,
  parameter int unsigned Width0 = 4,
  parameter bit Signed0 = 1'b0,
  parameter int unsigned Folds1 = 1,
  parameter int unsigned Width1 = 4,
  parameter bit Signed1 = 1'b0,
  parameter int unsigned OutputWidth = 4
) (
  input  wire                         clk_i,
  input  wire                         rst_ni,

  input  wire                         in0_valid_i,
  output wire                         in0_ready_o,
  input  wire  [Simd*Width0-1:0]      in0_data_i,

  input  wire                         in1_valid_i,
  output wire                         in1_ready_o,
  input  wire  [Simd*Width1-1:0]      in1_data_i,

  output wire                         out_valid_o,
  input  wire                         out_ready_i,
  output wire  [Simd*OutputWidth-1:0] out_data_o
);

  if (Simd < 1 || Folds0 < 1 || Folds1 < 1 || Width0 < 1 || Width1 < 1) begin : gen_check_sizes
    $error("%m: Simd, the folds and the widths must be at least 1");
  end
  if (OutputWidth < Width0 || OutputWidth < Width1) begin : gen_check_width
    $error("%m: OutputWidth must be at least Width0 and Width1");
  end

  localparam int unsigned MaxFolds = (Folds0 > Folds1) ? Folds0 : Folds1;
  localparam int unsigned FoldWidth = (MaxFolds > 1) ? $clog2(MaxFolds) : 1;

  logic second_q;  // it is the turn of input 1
  logic last_q;  // it is the last beat of this turn
  logic [FoldWidth-1:0] fold_q;
  wire next_to_last = second_q ? Folds1 > 1 && fold_q == FoldWidth'(Folds1 - 2)
                               : Folds0 > 1 && fold_q == FoldWidth'(Folds0 - 2);

  wire ready;
  wire valid = second_q ? in1_valid_i : in0_valid_i;
  assign in0_ready_o = ready && !second_q;
  assign in1_ready_o = ready && second_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      second_q <= 1'b0;
      last_q <= Folds0 == 1;
      fold_q <= '0;
    end else if (valid && ready) begin
      second_q <= second_q ^ last_q;
      last_q <= last_q ? (second_q ? Folds0 == 1 : Folds1 == 1) : next_to_last;
      fold_q <= last_q ? '0 : fold_q + 1'b1;
    end
  end

  wire [Simd*OutputWidth-1:0] data;
  for (genvar i = 0; i < Simd; i++) begin : gen_lane
    wire [Width0-1:0] x0 = in0_data_i[i*Width0+:Width0];
    wire [Width1-1:0] x1 = in1_data_i[i*Width1+:Width1];
    wire sign0 = Signed0 && x0[Width0-1];
    wire sign1 = Signed1 && x1[Width1-1];
    wire [OutputWidth-1:0] a = OutputWidth'({{OutputWidth{sign0}}, x0});
    wire [OutputWidth-1:0] b = OutputWidth'({{OutputWidth{sign1}}, x1});
    assign data[i*OutputWidth+:OutputWidth] = second_q ? b : a;
  end

  spill_register #(
    .Width(Simd * OutputWidth)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(valid),
    .in_ready_o(ready),
    .in_data_i(data),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
