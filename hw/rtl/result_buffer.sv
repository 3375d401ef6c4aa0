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
// With FallThrough a result that finds none before it is at the output in the cycle in which it comes, and waits in a
// register of its own if the reader does not take it; L then counts no cycle in here.
//
// Width: bits of a result, at least 1.
// Depth: places, at least 3 + Ahead.
// FallThrough: as above.
// Ahead: cycles before a start in which a result may be on its way already.
`default_nettype none

module result_buffer #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 4,
  parameter bit FallThrough = 1'b0,
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

  wire fifo_in_valid, fifo_out_valid, fifo_out_ready;
  wire [Width-1:0] fifo_out_data;
  result_fifo #(
    .Width(Width),
    .Depth(Depth)
  ) u_fifo (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(fifo_in_valid),
    .in_data_i(in_data_i),
    .out_valid_o(fifo_out_valid),
    .out_ready_i(fifo_out_ready),
    .out_data_o(fifo_out_data)
  );

  if (FallThrough) begin : gen_fall_through
    logic [Width-1:0] held_q;
    logic held_valid_q;
    logic [CountWidth-1:0] kept_q;  // results in the FIFO
    logic none_q;  // kept_q is 0, and held_q not valid
    wire passes = in_valid_i && none_q;
    assign fifo_in_valid = in_valid_i && !none_q;
    assign fifo_out_ready = out_ready_i && !held_valid_q;
    wire fifo_left = fifo_out_valid && fifo_out_ready;
    wire held_valid = passes ? !out_ready_i : held_valid_q && !out_ready_i;
    wire [CountWidth-1:0] kept = kept_q + CountWidth'(fifo_in_valid) - CountWidth'(fifo_left);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        held_valid_q <= 1'b0;
        kept_q <= '0;
        none_q <= 1'b1;
      end else begin
        held_valid_q <= held_valid;
        kept_q <= kept;
        none_q <= kept == '0 && !held_valid;
      end
      if (none_q) held_q <= in_data_i;
    end
    assign out_valid_o = held_valid_q || fifo_out_valid || passes;
    assign out_data_o = held_valid_q ? held_q : none_q ? in_data_i : fifo_out_data;
  end else begin : gen_through_memory
    assign fifo_in_valid = in_valid_i;
    assign fifo_out_ready = out_ready_i;
    assign out_valid_o = fifo_out_valid;
    assign out_data_o = fifo_out_data;
  end

endmodule

`default_nettype wire
