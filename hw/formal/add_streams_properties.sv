// add_streams: the sum of the first beats of both inputs, of the second ones, and so on; none without its partner; a sum
// is at the output two cycles after both operands were taken.
`default_nettype none

module add_streams_properties #(
  parameter int unsigned Pe = 1,
  parameter int unsigned Width0 = 2,
  parameter bit Signed0 = 1'b0,
  parameter int Multiplier0 = 1,
  parameter int unsigned Width1 = 2,
  parameter bit Signed1 = 1'b0,
  parameter int Multiplier1 = 1,
  parameter int unsigned OutputWidth = 3
) (
  input wire                 clk_i,
  input wire                 rst_ni,
  input wire                 in0_valid_i,
  input wire [Pe*Width0-1:0] in0_data_i,
  input wire                 in1_valid_i,
  input wire [Pe*Width1-1:0] in1_data_i,
  input wire                 out_ready_i
);

  wire in0_ready, in1_ready, out_valid;
  wire [Pe*OutputWidth-1:0] out_data;

  add_streams #(
    .Pe(Pe),
    .Width0(Width0),
    .Signed0(Signed0),
    .Multiplier0(Multiplier0),
    .Width1(Width1),
    .Signed1(Signed1),
    .Multiplier1(Multiplier1),
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

  wire pop = out_valid && out_ready_i;
  wire [1:0] level0, level1;
  wire [2:0][Pe*Width0-1:0] parts0;
  wire [2:0][Pe*Width1-1:0] parts1;

  queue_model #(
    .Width(Pe * Width0),
    .Depth(3)
  ) u_queue0 (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(in0_valid_i && in0_ready),
    .data_i(in0_data_i),
    .pop_i(pop),
    .popped_i(parts0[0]),
    .level_o(level0),
    .parts_o(parts0)
  );

  queue_model #(
    .Width(Pe * Width1),
    .Depth(3)
  ) u_queue1 (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(in1_valid_i && in1_ready),
    .data_i(in1_data_i),
    .pop_i(pop),
    .popped_i(parts1[0]),
    .level_o(level1),
    .parts_o(parts1)
  );

  // operands wait a cycle for their sum
  handshake #(
    .Width(Pe * OutputWidth),
    .MaxWait(1)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(level0 != '0 && level1 != '0)
  );

  // in 32 bits, so that a sum that was cut short before it was added shows
  function automatic logic [Pe*OutputWidth-1:0] sums(logic [Pe*Width0-1:0] a, logic [Pe*Width1-1:0] b);
    for (int unsigned i = 0; i < Pe; i++) begin
      int x = int'(a[i*Width0+:Width0]);
      int y = int'(b[i*Width1+:Width1]);
      int sum;
      if (Signed0 && a[i*Width0+Width0-1]) x -= 1 << Width0;
      if (Signed1 && b[i*Width1+Width1-1]) y -= 1 << Width1;
      sum = Multiplier0 * x + Multiplier1 * y;
      sums[i*OutputWidth+:OutputWidth] = OutputWidth'(sum);
    end
  endfunction

  wire [1:0] kept = 2'(u_cell.u_spill_register.out_valid_q) + 2'(u_cell.u_spill_register.spill_valid_q);

  always_comb begin
    if (checked_q && rst_ni) begin
      is_the_sum : assert (!out_valid || out_data == sums(parts0[0], parts1[0]));
      room_is_used : assert (level0 >= 2'd2 || !in0_valid_i || !in1_valid_i || (in0_ready && in1_ready));

      // what the registers are
      level0_is_counted : assert (level0 == kept + 2'(u_cell.operands_valid_q));
      level1_is_counted : assert (level1 == kept + 2'(u_cell.operands_valid_q));
      output_fills_first : assert (u_cell.u_spill_register.out_valid_q || !u_cell.u_spill_register.spill_valid_q);
      free_without_a_second : assert (u_cell.u_spill_register.spill_free_q != u_cell.u_spill_register.spill_valid_q);
      first_sum : assert (kept == '0 || u_cell.u_spill_register.out_q == sums(parts0[0], parts1[0]));
      second_sum : assert (kept != 2'd2 || u_cell.u_spill_register.spill_q == sums(parts0[1], parts1[1]));
      operands_are_the_last :
      assert (!u_cell.operands_valid_q || (u_cell.operands0_q == parts0[kept] && u_cell.operands1_q == parts1[kept]));
    end
  end

endmodule

`default_nettype wire
