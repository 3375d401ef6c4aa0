// Gives each beat of a stream to several readers. Each takes its copy when it likes, once; the next beat follows when
// all have taken theirs.
//
// A beat is visible at the outputs in the cycle after it was taken. in_ready_o does not depend on out_ready_i within
// a cycle.
//
// Width:   bits of a beat, at least 1.
// Copies:  outputs, at least 1. Output i has bit i of out_valid_o and out_ready_i, and field i of out_data_o.
`default_nettype none

module duplicate_streams #(
  parameter int unsigned Width = 8,
  parameter int unsigned Copies = 2
) (
  input  wire                     clk_i,
  input  wire                     rst_ni,

  input  wire                     in_valid_i,
  output wire                     in_ready_o,
  input  wire  [Width-1:0]        in_data_i,

  output wire  [Copies-1:0]       out_valid_o,
  input  wire  [Copies-1:0]       out_ready_i,
  output wire  [Copies*Width-1:0] out_data_o
);

  if (Copies < 1) begin : gen_check
    $error("%m: Copies must be at least 1");
  end

  wire beat_valid;
  wire [Width-1:0] beat;

  logic [Copies-1:0] taken_q;  // copies of the beat that have left already
  wire [Copies-1:0] taken_d = taken_q | out_ready_i;
  wire finish = &taken_d;

  spill_register #(
    .Width(Width)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i),
    .in_ready_o(in_ready_o),
    .in_data_i(in_data_i),
    .out_valid_o(beat_valid),
    .out_ready_i(finish),
    .out_data_o(beat)
  );

  assign out_valid_o = beat_valid ? ~taken_q : '0;
  assign out_data_o = {Copies{beat}};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) taken_q <= '0;
    else if (beat_valid) taken_q <= finish ? '0 : taken_d;
  end

endmodule

`default_nettype wire
