// elementwise_mul: the product of the first beats of both inputs, of the second ones, and so on, or, where Gated, of each
// beat of a frame with that of the frame's one pixel; none without its partner; a product is at the output so many cycles
// after both operands were taken.
`default_nettype none

module elementwise_mul_properties #(
  parameter int unsigned Pe = 1,
  parameter int unsigned Width0 = 2,
  parameter bit Signed0 = 1'b0,
  parameter int unsigned Width1 = 1,
  parameter bit Signed1 = 1'b0,
  parameter bit RecodeFirst = 1'b0,
  parameter int unsigned OutputWidth = 3,
  parameter bit Gated = 1'b0,
  parameter int unsigned Folds = 1,
  parameter int unsigned Pixels = 1
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

  elementwise_mul #(
    .Pe(Pe),
    .Width0(Width0),
    .Signed0(Signed0),
    .Width1(Width1),
    .Signed1(Signed1),
    .RecodeFirst(RecodeFirst),
    .OutputWidth(OutputWidth),
    .Gated(Gated),
    .Folds(Folds),
    .Pixels(Pixels)
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

  // in 32 bits, so that a product that was cut short shows
  function automatic logic [Pe*OutputWidth-1:0] product(logic [Pe*Width0-1:0] a, logic [Pe*Width1-1:0] b);
    for (int unsigned i = 0; i < Pe; i++) begin
      int x = int'(a[i*Width0+:Width0]);
      int y = int'(b[i*Width1+:Width1]);
      if (Signed0 && a[i*Width0+Width0-1]) x -= 1 << Width0;
      if (Signed1 && b[i*Width1+Width1-1]) y -= 1 << Width1;
      product[i*OutputWidth+:OutputWidth] = OutputWidth'(x * y);
    end
  endfunction

  // the frame: how many beats of the gate, and then of input 0, have been taken of it
  localparam int unsigned Beats = Folds * (Pixels + 1);
  wire take0 = in0_valid_i && in0_ready;
  wire take1 = in1_valid_i && in1_ready;
  logic [7:0] beat_q;
  wire opening = 32'(beat_q) < Folds;  // the gate is not whole
  wire [7:0] fold = 8'(32'(beat_q) % Folds);
  logic [Pe*Width1-1:0] gate_q[Folds];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) beat_q <= '0;
    else if (take0 || (Gated && take1)) beat_q <= (32'(beat_q) == Beats - 1) ? '0 : beat_q + 1'b1;
    if (take1) gate_q[fold] <= in1_data_i;
  end
  wire [Pe*Width1-1:0] partner = Gated ? gate_q[fold] : in1_data_i;

  // operands, and those that are being multiplied
  localparam int unsigned Recoded = RecodeFirst ? Width0 : Width1;
  localparam int unsigned Stages = 1 + ((RecodeFirst ? Signed0 : Signed1) ? (Recoded + 1) / 2 : Recoded / 2 + 1);
  localparam int unsigned Depth = 5 + Stages;
  localparam int unsigned LevelWidth = $clog2(Depth + 1);
  localparam int unsigned AddressWidth = $clog2(Depth);
  localparam int unsigned Words = 1 << AddressWidth;
  logic [Pe*Width0-1:0] first_q[Stages];
  logic [Pe*Width1-1:0] second_q[Stages];
  always_ff @(posedge clk_i) begin
    first_q[0] <= in0_data_i;
    second_q[0] <= partner;
    for (int unsigned i = 1; i < Stages; i++) begin
      first_q[i] <= first_q[i-1];
      second_q[i] <= second_q[i-1];
    end
  end

  wire [LevelWidth-1:0] level;
  wire [Depth-1:0][Pe*OutputWidth-1:0] parts;

  queue_model #(
    .Width(Pe * OutputWidth),
    .Depth(Depth)
  ) u_queue (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(take0),
    .data_i(product(in0_data_i, partner)),
    .pop_i(out_valid && out_ready_i),
    .popped_i(out_data),
    .level_o(level),
    .parts_o(parts)
  );

  handshake #(
    .Width(Pe * OutputWidth),
    .MaxWait(Stages + 1)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(level != '0)
  );

  // products in the buffer: see result_buffer_properties
  wire head = u_cell.u_result_buffer.u_fifo.out_valid_q;
  wire any = u_cell.u_result_buffer.u_fifo.any_q;
  wire [AddressWidth-1:0] read = u_cell.u_result_buffer.u_fifo.read_address_q;
  wire [AddressWidth-1:0] distance = u_cell.u_result_buffer.u_fifo.write_address_q - read;
  wire [31:0] stored = (any && distance == '0) ? Words : 32'(distance);
  wire [31:0] kept = stored + 32'(head);
  wire [31:0] free = 32'(u_cell.u_result_buffer.free_q);
  logic [31:0] free_before_q;
  always_ff @(posedge clk_i) free_before_q <= rst_ni ? free : Depth;

  // the products ahead of each stage, and how long the oldest has been on its way
  logic [31:0] ahead[Stages+1];
  logic [31:0] oldest;
  always_comb begin
    ahead[Stages] = kept;
    oldest = '0;
    for (int unsigned i = Stages; i > 0; i--) ahead[i-1] = ahead[i] + 32'(u_cell.valid_q[i-1]);
    for (int unsigned i = 0; i < Stages; i++) if (u_cell.valid_q[i]) oldest = i;
  end

  wire room = free_before_q > 2;
  always_comb begin
    if (checked_q && rst_ni) begin
      room_is_used : assert (!in0_valid_i || in0_ready == (room && (Gated ? !opening : in1_valid_i)));
      partners_are_taken : assert (Gated ? in1_ready == opening : take0 == take1);

      // what the registers are
      beat_is_of_a_frame : assert (32'(beat_q) < (Gated ? Beats : 256));
      level_is_counted : assert (32'(level) == ahead[0]);
      places_are_counted :
      assert (free + 32'(level) + 32'(u_cell.u_result_buffer.left_q) == Depth + 32'(u_cell.u_result_buffer.started_q));
      start_is_the_first : assert (u_cell.u_result_buffer.started_q == u_cell.valid_q[0]);
      room_outlasts_two_starts : assert (!u_cell.room || free >= 2);
      room_is_known : assert (u_cell.room == room);
      places_before : assert (free_before_q <= free + 1 && free <= free_before_q + 1);
      waits_as_it_comes : assert (any || head || 32'(u_output.waited_q) <= oldest);
      waits_in_the_memory : assert (head || 32'(u_output.waited_q) <= Stages);
      any_is_some : assert (any || distance == '0);
      next_is_next : assert (u_cell.u_result_buffer.u_fifo.next_address_q == AddressWidth'(read + 1'b1));
      head_is_read : assert (!head || u_cell.u_result_buffer.u_fifo.out_q == parts[0]);
      operands_are_the_last :
      assert (!u_cell.valid_q[0] || (u_cell.operands0_q == first_q[0] && u_cell.operands1_q == second_q[0]));
      product_is_theirs :
      assert (!u_cell.valid_q[Stages-1] || u_cell.products == product(first_q[Stages-1], second_q[Stages-1]));
    end
  end
  for (genvar i = 0; i < Stages; i++) begin : gen_stage
    always_comb begin
      if (checked_q && rst_ni) begin
        part_is_coming : assert (!u_cell.valid_q[i] || parts[ahead[i+1]] == product(first_q[i], second_q[i]));
      end
    end
  end
  for (genvar i = 0; i < Words; i++) begin : gen_word
    wire [AddressWidth-1:0] age = AddressWidth'(i) - read;
    always_comb begin
      if (checked_q && rst_ni) begin
        word_is_kept : assert (32'(age) >= stored || u_cell.u_result_buffer.u_fifo.words[i] == parts[32'(age)+32'(head)]);
      end
    end
  end

  if (Gated) begin : gen_gate
    always_comb begin
      if (checked_q && rst_ni) begin
        gate_is_whole : assert (u_cell.gen_gate.gate_q != opening);
        fold_is_counted : assert (8'(u_cell.gen_gate.fold_q) == fold);
        pixel_is_counted :
        assert (32'(u_cell.gen_gate.pixel_q) == (opening ? 0 : 32'(beat_q) / Folds - 1));
      end
    end
    for (genvar i = 0; i < Folds; i++) begin : gen_fold
      wire there = 32'(beat_q) > i;
      if (Folds > 1) begin : gen_memory
        always_comb begin
          if (checked_q && rst_ni) gate_is_kept : assert (!there || u_cell.gen_gate.gen_memory.words[i] == gate_q[i]);
        end
      end else begin : gen_register
        always_comb begin
          if (checked_q && rst_ni) gate_is_kept : assert (!there || u_cell.gen_gate.gen_register.word_q == gate_q[i]);
        end
      end
    end
  end

endmodule

`default_nettype wire
