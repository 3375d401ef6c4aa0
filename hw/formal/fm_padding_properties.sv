// fm_padding: beat by beat of the padded frame, a border beat holds the constant and any other the next beat of the
// input, in order; none is lost or made up; and a beat of the border waits for no input.
`default_nettype none

module fm_padding_properties #(
  parameter int unsigned Simd = 1,
  parameter int unsigned Folds = 1,
  parameter int unsigned ImageHeight = 2,
  parameter int unsigned ImageWidth = 2,
  parameter int unsigned PadTop = 1,
  parameter int unsigned PadLeft = 1,
  parameter int unsigned PadBottom = 1,
  parameter int unsigned PadRight = 1
) (
  input wire              clk_i,
  input wire              rst_ni,
  input wire              in_valid_i,
  input wire [Simd*2-1:0] in_data_i,
  input wire              out_ready_i
);

  localparam bit [1:0] Value = 2'd2;
  localparam int unsigned Rows = PadTop + ImageHeight + PadBottom;
  localparam int unsigned Beats = (PadLeft + ImageWidth + PadRight) * Folds;

  wire in_ready, out_valid;
  wire [Simd*2-1:0] out_data;

  fm_padding #(
    .ElementWidth(2),
    .Simd(Simd),
    .Folds(Folds),
    .ImageHeight(ImageHeight),
    .ImageWidth(ImageWidth),
    .PadTop(PadTop),
    .PadLeft(PadLeft),
    .PadBottom(PadBottom),
    .PadRight(PadRight),
    .Value(Value)
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

  // where in the padded frame the beat at the output is, and the two behind it
  logic [15:0] position_q;
  wire [15:0] last = 16'(Rows * Beats - 1);
  function automatic logic [15:0] after(logic [15:0] position);
    after = (position == last) ? '0 : position + 1'b1;
  endfunction
  function automatic logic is_of_image(logic [15:0] position);
    int row = int'(position) / int'(Beats);
    int beat = int'(position) % int'(Beats);
    is_of_image = row >= int'(PadTop) && row < int'(PadTop + ImageHeight) && beat >= int'(PadLeft * Folds) &&
                beat < int'((PadLeft + ImageWidth) * Folds);
  endfunction
  wire [15:0] second = after(position_q);
  wire [15:0] third = after(second);
  wire of_image = is_of_image(position_q);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) position_q <= '0;
    else if (out_valid && out_ready_i) position_q <= second;
  end

  wire [1:0] level;
  wire [1:0][Simd*2-1:0] parts;

  queue_model #(
    .Width(Simd * 2),
    .Depth(2)
  ) u_queue (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(in_valid_i && in_ready),
    .data_i(in_data_i),
    .pop_i(out_valid && out_ready_i && of_image),
    .popped_i(out_data),
    .level_o(level),
    .parts_o(parts)
  );

  // after a reset, the border that starts the frame fills the register stage: one cycle
  handshake #(
    .Width(Simd * 2),
    .MaxWait(1)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(!of_image || level != '0)
  );

  wire [1:0] kept = 2'(u_cell.u_spill_register.out_valid_q) + 2'(u_cell.u_spill_register.spill_valid_q);
  wire [15:0] next = (kept == '0) ? position_q : (kept == 2'd1) ? second : third;

  always_comb begin
    if (checked_q && rst_ni) begin
      border_is_constant : assert (!out_valid || of_image || out_data == {Simd{Value}});
      input_is_taken : assert (in_ready || !is_of_image(next) || kept == 2'd2);
      input_waits_for_its_place : assert (!in_ready || is_of_image(next));

      // what the registers are
      position_is_in_it : assert (position_q <= last);
      counters_are_ahead : assert (32'(u_cell.row_q) * Beats + 32'(u_cell.beat_q) == 32'(next));
      flags_are_ahead :
      assert (u_cell.last_beat_q == (32'(u_cell.beat_q) == Beats - 1) && u_cell.last_row_q == (32'(u_cell.row_q) == Rows - 1) &&
              u_cell.inside_q == is_of_image(next));
      rows_are_found :
      assert (u_cell.inside_rows_q == (32'(u_cell.row_q) >= PadTop && 32'(u_cell.row_q) < PadTop + ImageHeight));
      counter_is_of_a_row : assert (32'(u_cell.beat_q) < Beats);
      level_is_counted : assert (level == 2'(kept != '0 && of_image) + 2'(kept == 2'd2 && is_of_image(second)));
      output_fills_first : assert (u_cell.u_spill_register.out_valid_q || !u_cell.u_spill_register.spill_valid_q);
      free_without_a_second : assert (u_cell.u_spill_register.spill_free_q != u_cell.u_spill_register.spill_valid_q);
      first_beat :
      assert (kept == '0 || u_cell.u_spill_register.out_q == (of_image ? parts[0] : {Simd{Value}}));
      second_beat :
      assert (kept != 2'd2 ||
              u_cell.u_spill_register.spill_q == (is_of_image(second) ? parts[of_image] : {Simd{Value}}));
    end
  end

endmodule

`default_nettype wire
