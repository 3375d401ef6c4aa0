// streaming_fifo: beats come out as they went in, in order; it holds Depth of them (two at a depth of 1), and there is
// room whenever fewer are inside; a beat is at the output at the latest two cycles after it was taken.
`default_nettype none

module streaming_fifo_properties #(
  parameter int unsigned Width = 2,
  parameter int unsigned Depth = 4
) (
  input wire             clk_i,
  input wire             rst_ni,
  input wire             in_valid_i,
  input wire [Width-1:0] in_data_i,
  input wire             out_ready_i
);

  localparam int unsigned Holds = (Depth < 2) ? 2 : Depth;
  localparam int unsigned LevelWidth = $clog2(Holds + 1);

  wire in_ready, out_valid;
  wire [Width-1:0] out_data;

  streaming_fifo #(
    .Width(Width),
    .Depth(Depth)
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

  wire [LevelWidth-1:0] level;
  wire [Holds-1:0][Width-1:0] parts;

  queue_model #(
    .Width(Width),
    .Depth(Holds)
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
    .Width(Width),
    .MaxWait((Depth <= 2) ? 0 : 1)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(level != '0)
  );

  // a full memory beside an empty output register has room again when a beat has moved there
  logic waits_q;
  wire waits = 32'(level) < Holds && !in_ready;
  always_ff @(posedge clk_i) waits_q <= rst_ni && waits;

  always_comb begin
    if (checked_q && rst_ni) room_is_used : assert (!waits || (Depth > 2 && !out_valid && !waits_q));
  end

  if (Depth <= 2) begin : gen_registers
    always_comb begin
      if (checked_q && rst_ni) begin
        level_is_counted :
        assert (level == 2'(u_cell.gen_registers.u_spill_register.out_valid_q) +
                         2'(u_cell.gen_registers.u_spill_register.spill_valid_q));
        output_fills_first :
        assert (u_cell.gen_registers.u_spill_register.out_valid_q ||
                !u_cell.gen_registers.u_spill_register.spill_valid_q);
        free_without_a_second : assert (u_cell.gen_registers.u_spill_register.spill_free_q != u_cell.gen_registers.u_spill_register.spill_valid_q);
        first_beat : assert (level == '0 || u_cell.gen_registers.u_spill_register.out_q == parts[0]);
        second_beat : assert (level != 2'd2 || u_cell.gen_registers.u_spill_register.spill_q == parts[1]);
      end
    end
  end else begin : gen_memory
    localparam int unsigned Words = Depth - 1;  // in use at a time, of as many as the memory has
    localparam int unsigned MemoryWords = 1 << $clog2(Words);
    wire [31:0] stored = 32'(u_cell.gen_memory.stored_q);
    wire [31:0] read = 32'(u_cell.gen_memory.read_address);
    wire [31:0] write = 32'(u_cell.gen_memory.write_address);
    wire head = u_cell.gen_memory.out_valid_q;

    always_comb begin
      if (checked_q && rst_ni) begin
        level_is_counted : assert (32'(level) == stored + 32'(head));
        no_more_are_stored : assert (stored <= Words);
        addresses_are_apart : assert (write == (read + stored) % MemoryWords);
        flags_are_right :
        assert (u_cell.gen_memory.some_q == (stored != 0) && u_cell.gen_memory.room_q == (stored != Words));
        head_is_read : assert (!head || u_cell.gen_memory.u_memory.data_q == parts[0]);
      end
    end
    for (genvar i = 0; i < MemoryWords; i++) begin : gen_word
      // the beat in word i is `age` beats behind the head of the memory
      wire [31:0] age = (i >= read) ? i - read : i + MemoryWords - read;
      always_comb begin
        if (checked_q && rst_ni) begin
          word_is_kept : assert (age >= stored || u_cell.gen_memory.u_memory.words[i] == parts[age+32'(head)]);
        end
      end
    end
  end

endmodule

`default_nettype wire
