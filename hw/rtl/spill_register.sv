// A register stage for a stream that breaks every combinational path: ready and valid both come from flip-flops.
//
// Two entries, so it moves a beat in every cycle. The second is filled only when the receiver stalls. A beat is visible
// at the output in the cycle after it was taken.
//
// Width: bits of a beat, at least 1.
`default_nettype none

module spill_register #(
  parameter int unsigned Width = 8
) (
  input  wire              clk_i,
  input  wire              rst_ni,

  input  wire              in_valid_i,
  output wire              in_ready_o,
  input  wire  [Width-1:0] in_data_i,

  output wire              out_valid_o,
  input  wire              out_ready_i,
  output wire  [Width-1:0] out_data_o
);

  if (Width < 1) begin : gen_check
    $error("%m: Width must be at least 1");
  end

  logic [Width-1:0] out_q, spill_q;
  logic out_valid_q, spill_valid_q;
  logic spill_free_q;  // there is none: a flip-flop for the many loads of a wide beat, so that ready is not late with them

  assign in_ready_o = !spill_valid_q;
  assign out_valid_o = out_valid_q;
  assign out_data_o = out_q;

  wire out_free = !out_valid_q || out_ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_q <= 1'b0;
      spill_valid_q <= 1'b0;
      spill_free_q <= 1'b1;
    end else if (out_free) begin
      out_valid_q <= in_valid_i || spill_valid_q;
      spill_valid_q <= 1'b0;
      spill_free_q <= 1'b1;
    end else if (in_valid_i) begin
      spill_valid_q <= 1'b1;
      spill_free_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (out_free) out_q <= spill_free_q ? in_data_i : spill_q;
    if (spill_free_q) spill_q <= in_data_i;
  end

endmodule

`default_nettype wire
