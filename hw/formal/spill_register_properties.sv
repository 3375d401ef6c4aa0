// spill_register: beats come out as they went in, in order; two are held; a beat is at the output in the next cycle, and
// there is room whenever fewer than two are inside.
`default_nettype none

module spill_register_properties #(
  parameter int unsigned Width = 8
) (
  input wire             clk_i,
  input wire             rst_ni,
  input wire             in_valid_i,
  input wire [Width-1:0] in_data_i,
  input wire             out_ready_i
);

  wire in_ready, out_valid;
  wire [Width-1:0] out_data;

  spill_register #(
    .Width(Width)
  ) u_cell (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i),
    .in_ready_o(in_ready),
    .in_data_i(in_data_i),
    .out_valid_o(out_valid),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data)
  );

  logic checked_q = 1'b0;
  always_ff @(posedge clk_i) if (!rst_ni) checked_q <= 1'b1;

  wire [1:0] level;
  wire [1:0][Width-1:0] parts;

  queue_model #(
    .Width(Width),
    .Depth(2)
  ) u_queue (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(in_valid_i && in_ready),
    .data_i(in_data_i),
    .pop_i(out_valid && out_ready_i),
    .popped_i(out_data),
    .level_o(level),
    .parts_o(parts)
  );

  handshake #(
    .Width(Width)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(level != '0)
  );

  always_comb begin
    if (checked_q && rst_ni) begin
      room_is_used : assert (in_ready || level == 2'd2);

      // what the registers are
      level_is_counted : assert (level == 2'(u_cell.out_valid_q) + 2'(u_cell.spill_valid_q));
      output_fills_first : assert (!u_cell.spill_valid_q || u_cell.out_valid_q);
      free_without_a_second : assert (u_cell.spill_free_q != u_cell.spill_valid_q);
      first_beat : assert (!u_cell.out_valid_q || u_cell.out_q == parts[0]);
      second_beat : assert (!u_cell.spill_valid_q || u_cell.spill_q == parts[1]);
    end
  end

endmodule

`default_nettype wire
