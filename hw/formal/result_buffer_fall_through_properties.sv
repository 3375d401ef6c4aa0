// result_buffer with FallThrough: results come out as they went in, in order; those inside and those that were started, which
// come in any later cycle, are never more than Depth; a result is at the output in the cycle in which it comes if none is
// before it, and stays until it is taken, and the next one waits at most a cycle for a ready receiver.
`default_nettype none

module result_buffer_fall_through_properties #(
  parameter int unsigned Width = 2,
  parameter int unsigned Depth = 4,
  parameter int unsigned Late = 2
) (
  input wire             clk_i,
  input wire             rst_ni,
  input wire             start_i,
  input wire             in_valid_i,
  input wire [Width-1:0] in_data_i,
  input wire             out_ready_i
);

  localparam int unsigned LevelWidth = $clog2(Depth + 1);
  localparam int unsigned AddressWidth = $clog2(Depth);
  localparam int unsigned Addresses = 1 << AddressWidth;

  wire room, out_valid;
  wire [Width-1:0] out_data;

  // the pipeline: it starts where there is room, and brings a result for each start
  logic [LevelWidth-1:0] coming_q;
  logic start_q, start_before_q;
  wire may_start = 32'(start_q) + 32'(start_before_q) <= Late;
  wire start = start_i && room && may_start;
  wire comes = in_valid_i && coming_q != '0;
  always_ff @(posedge clk_i) begin
    start_q <= rst_ni && start;
    start_before_q <= rst_ni && start_q;
    if (!rst_ni) coming_q <= '0;
    else coming_q <= coming_q + LevelWidth'(start) - LevelWidth'(comes);
  end

  result_buffer #(
    .Width(Width),
    .Depth(Depth),
    .Late(Late),
    .FallThrough(1'b1)
  ) u_cell (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .room_o(room),
    .start_i(start),
    .in_valid_i(comes),
    .in_data_i(in_data_i),
    .out_valid_o(out_valid),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data)
  );

  logic checked_q = 1'b0;
  always_ff @(posedge clk_i) if (!rst_ni) checked_q <= 1'b1;

  wire [LevelWidth-1:0] level;
  wire [Depth-1:0][Width-1:0] parts;

  // a result that is taken in the cycle in which it comes is never inside
  wire passes = comes && level == '0;
  wire passed = passes && out_ready_i;

  queue_model #(
    .Width(Width),
    .Depth(Depth)
  ) u_queue (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(comes && !passed),
    .data_i(in_data_i),
    .pop_i(out_valid && out_ready_i && !passed),
    .popped_i(out_data),
    .level_o(level),
    .parts_o(parts)
  );

  handshake #(
    .Width(Width),
    .MaxWait(1)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(level != '0)
  );

  logic [31:0] free_before_q;
  always_ff @(posedge clk_i) free_before_q <= rst_ni ? 32'(u_cell.free_q) : Depth;

  wire [31:0] promised = 32'(level) + 32'(coming_q);
  wire head = u_cell.u_fifo.out_valid_q;
  wire held = u_cell.gen_fall_through.held_valid_q;
  wire [AddressWidth-1:0] distance = u_cell.u_fifo.write_address_q - u_cell.u_fifo.read_address_q;
  wire [31:0] stored = (u_cell.u_fifo.any_q && distance == '0) ? Addresses : 32'(distance);

  always_comb begin
    if (checked_q && rst_ni) begin
      falls_through : assert (!passes || (out_valid && out_data == in_data_i));
      never_more_than_places : assert (promised <= Depth);
      room_is_a_place : assert (!room || !may_start || promised < Depth);
      room_is_used : assert (room == (free_before_q > Late));

      // what the registers are
      places_are_counted :
      assert (32'(u_cell.free_q) + promised + 32'(u_cell.left_q) == Depth + 32'(u_cell.started_q));
      room_outlasts_late_starts : assert (!room || 32'(u_cell.free_q) + 32'(start_before_q) > Late);
      starts_are_late : assert (u_cell.started_q == start_q);
      places_before : assert (free_before_q <= 32'(u_cell.free_q) + 1 && 32'(u_cell.free_q) <= free_before_q + 1);
      level_is_counted : assert (32'(level) == stored + 32'(head) + 32'(held));
      kept_is_counted : assert (32'(u_cell.gen_fall_through.kept_q) == stored + 32'(head));
      none_is_none : assert (u_cell.gen_fall_through.none_q == (level == '0));
      held_is_first : assert (!held || u_cell.gen_fall_through.held_q == parts[0]);
      any_is_some : assert (u_cell.u_fifo.any_q || distance == '0);
      next_is_next : assert (u_cell.u_fifo.next_address_q == AddressWidth'(u_cell.u_fifo.read_address_q + 1'b1));
      head_is_read : assert (!head || u_cell.u_fifo.out_q == parts[32'(held)]);
    end
  end
  for (genvar i = 0; i < Addresses; i++) begin : gen_word
    // the result at address i is `age` results behind the next one to be read
    wire [AddressWidth-1:0] age = AddressWidth'(i) - u_cell.u_fifo.read_address_q;
    always_comb begin
      if (checked_q && rst_ni) begin
        word_is_kept :
        assert (32'(age) >= stored || u_cell.u_fifo.words[i] == parts[32'(age)+32'(head)+32'(held)]);
      end
    end
  end

endmodule

`default_nettype wire
