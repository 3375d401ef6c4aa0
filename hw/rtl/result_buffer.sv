// The end of a pipeline that never stands still: results wait here until the reader of the stream takes them.
//
// The pipeline asks before it starts on a result: room_o says whether there is a place for it, start_i takes that place,
// in_valid_i brings the result some cycles later, in any cycle. So no enable goes from the stream's ready to all the
// registers of the pipeline. room_o comes from a flip-flop, two cycles late, so it is low while two places or fewer are
// left. If a result leaves L cycles after its start and the pipeline starts one in every I cycles, then 3 + ceil(L / I)
// places keep it going without a pause, L counting the two cycles that a result is in here.
//
// Where other pipelines send their results to this one without waiting, it does not see what they start. With Ahead, the
// cycles from a start of the first of them to its arrival here, room_o is low while Ahead places more than two or fewer
// are left: enough for all that may be on the way, one in each cycle. start_i then comes with the arrival, and 2 · Ahead
// places more keep all of them going.
//
// Width: bits of a result, at least 1.
// Depth: places, at least 3 + Ahead.
// Ahead: cycles before a start in which a result may be on its way already.
`default_nettype none

module result_buffer #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 4,
  parameter int unsigned Ahead = 0
) (
  input  wire              clk_i,
  input  wire              rst_ni,

  output wire              room_o,
  input  wire              start_i,

  input  wire              in_valid_i,
  input  wire  [Width-1:0] in_data_i,

  output wire              out_valid_o,
  input  wire              out_ready_i,
  output wire  [Width-1:0] out_data_o
);

  if (Width < 1 || Depth < 3 + Ahead) begin : gen_check
    $error("%m: Width must be at least 1 and Depth at least 3 + Ahead");
  end

  localparam int unsigned CountWidth = $clog2(Depth + 1);
  logic [CountWidth-1:0] free_q;  // places, as the starts and ends of two cycles ago left them
  logic room_q, started_q, left_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      free_q <= CountWidth'(Depth);
      room_q <= 1'b1;
      started_q <= 1'b0;
      left_q <= 1'b0;
    end else begin
      started_q <= start_i;
      left_q <= out_valid_o && out_ready_i;
      if (started_q && !left_q) free_q <= free_q - 1'b1;
      else if (left_q && !started_q) free_q <= free_q + 1'b1;
      room_q <= free_q > CountWidth'(2 + Ahead);
    end
  end
  assign room_o = room_q;

  result_fifo #(
    .Width(Width),
    .Depth(Depth)
  ) u_fifo (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i),
    .in_data_i(in_data_i),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
