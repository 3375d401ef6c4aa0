// streaming_concat: of each pixel the beats of input 0 in order, then those of input 1; each as it was, with its sign, in the
// output's width; a beat is at the output in the cycle after it was taken, and the input whose turn it is finds room.
`default_nettype none

module streaming_concat_properties #(
  parameter int unsigned Simd = 1,
  parameter int unsigned Folds0 = 1,
  parameter int unsigned Width0 = 2,
  parameter bit Signed0 = 1'b0,
  parameter int unsigned Folds1 = 1,
  parameter int unsigned Width1 = 2,
  parameter bit Signed1 = 1'b0,
  parameter int unsigned OutputWidth = 2
) (
  input wire                   clk_i,
  input wire                   rst_ni,
  input wire                   in0_valid_i,
  input wire [Simd*Width0-1:0] in0_data_i,
  input wire                   in1_valid_i,
  input wire [Simd*Width1-1:0] in1_data_i,
  input wire                   out_ready_i
);

  wire in0_ready, in1_ready, out_valid;
  wire [Simd*OutputWidth-1:0] out_data;

  streaming_concat #(
    .Simd(Simd),
    .Folds0(Folds0),
    .Width0(Width0),
    .Signed0(Signed0),
    .Folds1(Folds1),
    .Width1(Width1),
    .Signed1(Signed1),
    .OutputWidth(OutputWidth)
  ) u_cell (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in0_valid_i(in0_valid_i),
    .in0_ready_o(in0_ready),
    .in0_data_i(in0_data_i),
    .in1_valid_i(in1_valid_i),
    .in1_ready_o(in1_ready),
    .in1_data_i(in1_data_i),
    .out_valid_o(out_valid),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data)
  );

  logic checked_q = 1'b0;
  always_ff @(posedge clk_i) if (!rst_ni) checked_q <= 1'b1;

  // the beat of a pixel that is taken next
  localparam int unsigned Folds = Folds0 + Folds1;
  logic [7:0] beat_q;
  wire taken0 = in0_valid_i && in0_ready;
  wire taken1 = in1_valid_i && in1_ready;
  wire second = 32'(beat_q) >= Folds0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) beat_q <= '0;
    else if (taken0 || taken1) beat_q <= (32'(beat_q) == Folds - 1) ? '0 : beat_q + 1'b1;
  end

  // in 32 bits, so that a sign that was extended too little shows
  function automatic logic [Simd*OutputWidth-1:0] widened(logic [Simd*Width0-1:0] a, logic [Simd*Width1-1:0] b);
    for (int unsigned i = 0; i < Simd; i++) begin
      int x = int'(a[i*Width0+:Width0]);
      int y = int'(b[i*Width1+:Width1]);
      if (Signed0 && a[i*Width0+Width0-1]) x -= 1 << Width0;
      if (Signed1 && b[i*Width1+Width1-1]) y -= 1 << Width1;
      widened[i*OutputWidth+:OutputWidth] = second ? OutputWidth'(y) : OutputWidth'(x);
    end
  endfunction

  wire [1:0] level;
  wire [1:0][Simd*OutputWidth-1:0] parts;

  queue_model #(
    .Width(Simd * OutputWidth),
    .Depth(2)
  ) u_queue (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(taken0 || taken1),
    .data_i(widened(in0_data_i, in1_data_i)),
    .pop_i(out_valid && out_ready_i),
    .popped_i(out_data),
    .level_o(level),
    .parts_o(parts)
  );

  handshake #(
    .Width(Simd * OutputWidth)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(level != '0)
  );

  wire [1:0] kept = 2'(u_cell.u_spill_register.out_valid_q) + 2'(u_cell.u_spill_register.spill_valid_q);

  always_comb begin
    if (checked_q && rst_ni) begin
      first_in_its_turn : assert (!in0_ready || !second);
      second_in_its_turn : assert (!in1_ready || second);
      room_is_used : assert (level == 2'd2 || (second ? in1_ready : in0_ready));

      // what the registers are
      beat_is_of_a_pixel : assert (32'(beat_q) < Folds);
      turn_is_counted : assert (u_cell.second_q == second);
      fold_is_counted : assert (32'(u_cell.fold_q) == (second ? 32'(beat_q) - Folds0 : 32'(beat_q)));
      last_is_known : assert (u_cell.last_q == (32'(beat_q) == Folds0 - 1 || 32'(beat_q) == Folds - 1));
      level_is_counted : assert (level == kept);
      output_fills_first : assert (u_cell.u_spill_register.out_valid_q || !u_cell.u_spill_register.spill_valid_q);
      free_without_a_second : assert (u_cell.u_spill_register.spill_free_q != u_cell.u_spill_register.spill_valid_q);
      first_beat : assert (kept == '0 || u_cell.u_spill_register.out_q == parts[0]);
      second_beat : assert (kept != 2'd2 || u_cell.u_spill_register.spill_q == parts[1]);
    end
  end

endmodule

`default_nettype wire
