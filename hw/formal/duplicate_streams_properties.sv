// duplicate_streams: every reader gets every beat once and in order, at its own pace; a beat is at all outputs in the
// next cycle where its predecessor has left.
`default_nettype none

module duplicate_streams_properties #(
  parameter int unsigned Width = 2,
  parameter int unsigned Copies = 2
) (
  input wire              clk_i,
  input wire              rst_ni,
  input wire              in_valid_i,
  input wire [Width-1:0]  in_data_i,
  input wire [Copies-1:0] out_ready_i
);

  wire in_ready;
  wire [Copies-1:0] out_valid;
  wire [Copies-1:0][Width-1:0] out_data;

  duplicate_streams #(
    .Width(Width),
    .Copies(Copies)
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

  wire [Copies-1:0][1:0] levels;

  for (genvar i = 0; i < Copies; i++) begin : gen_copy
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
      .pop_i(out_valid[i] && out_ready_i[i]),
      .popped_i(out_data[i]),
      .level_o(levels[i]),
      .parts_o(parts)
    );

    // a reader waits for the others: only the beat that none has taken yet must be there at once
    handshake #(
      .Width(Width)
    ) u_output (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .checked_i(checked_q),
      .valid_i(out_valid[i]),
      .ready_i(out_ready_i[i]),
      .data_i(out_data[i]),
      .inside_i(levels[i] != '0 && levels == {Copies{levels[i]}})
    );

    // this reader's beats are those of the register stage, less the one that it has taken
    wire taken = u_cell.taken_q[i];
    wire [1:0] kept = 2'(u_cell.u_spill_register.out_valid_q) + 2'(u_cell.u_spill_register.spill_valid_q);
    always_comb begin
      if (checked_q && rst_ni) begin
        level_is_counted : assert (levels[i] == kept - 2'(taken));
        taken_is_there : assert (!taken || kept != '0);
        first_beat : assert (kept == '0 || taken || u_cell.u_spill_register.out_q == parts[0]);
        second_beat : assert (kept != 2'd2 || u_cell.u_spill_register.spill_q == parts[taken?0:1]);
      end
    end
  end

  always_comb begin
    if (checked_q && rst_ni) begin
      room_is_used : assert (in_ready || |levels);
      some_copy_is_left : assert (~&u_cell.taken_q);
      output_fills_first : assert (u_cell.u_spill_register.out_valid_q || !u_cell.u_spill_register.spill_valid_q);
      free_without_a_second : assert (u_cell.u_spill_register.spill_free_q != u_cell.u_spill_register.spill_valid_q);
    end
  end

endmodule

`default_nettype wire
