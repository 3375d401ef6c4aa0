// label_select, without multipliers and offsets: one index for every frame, that of its largest element and of equal ones
// the first, in order; none is lost or made up.
`default_nettype none

module label_select_properties #(
  parameter int unsigned Labels = 3,
  parameter int unsigned InputWidth = 2,
  parameter bit InputSigned = 1'b1,
  parameter int unsigned OutputWidth = 2
) (
  input wire                  clk_i,
  input wire                  rst_ni,
  input wire                  in_valid_i,
  input wire [InputWidth-1:0] in_data_i,
  input wire                  out_ready_i
);

  localparam int unsigned ScoreWidth = InputWidth + 1;

  wire in_ready, out_valid;
  wire [OutputWidth-1:0] out_data;

  label_select #(
    .Labels(Labels),
    .InputWidth(InputWidth),
    .InputSigned(InputSigned),
    .ScoreWidth(ScoreWidth),
    .OutputWidth(OutputWidth)
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

  function automatic int number(logic [InputWidth-1:0] element);
    number = int'(element);
    if (InputSigned && element[InputWidth-1]) number -= 1 << InputWidth;
  endfunction

  // the frame that comes in: which element is next, and the best so far
  wire take = in_valid_i && in_ready;
  logic [15:0] next_q, best_q;
  int largest_q;
  wire better = next_q == '0 || number(in_data_i) > largest_q;
  wire frame_end = next_q == 16'(Labels - 1);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      next_q <= '0;
    end else if (take) begin
      next_q <= frame_end ? '0 : next_q + 1'b1;
      if (better) begin
        best_q <= next_q;
        largest_q <= number(in_data_i);
      end
    end
  end

  // places of the buffer at the output
  localparam int unsigned Depth = 3 + (4 + Labels - 1) / Labels;
  localparam int unsigned LevelWidth = $clog2(Depth + 1);
  localparam int unsigned AddressWidth = $clog2(Depth);
  localparam int unsigned Words = 1 << AddressWidth;

  wire [LevelWidth-1:0] level;
  wire [Depth-1:0][OutputWidth-1:0] parts;

  queue_model #(
    .Width(OutputWidth),
    .Depth(Depth)
  ) u_queue (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(take && frame_end),
    .data_i(OutputWidth'(better ? next_q : best_q)),
    .pop_i(out_valid && out_ready_i),
    .popped_i(out_data),
    .level_o(level),
    .parts_o(parts)
  );

  handshake #(
    .Width(OutputWidth),
    .MaxWait(3)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(level != '0)
  );

  // an element waits in the input register; what it will have made of the frame is what stands in the model
  wire waits = u_cell.valid_q[0];
  wire [15:0] scored = !waits ? next_q : (next_q == '0) ? 16'(Labels - 1) : next_q - 1'b1;
  wire ends = waits && next_q == '0;
  wire wins = number(u_cell.value_q) > int'(signed'(u_cell.best_q));
  wire [15:0] winner = (wins || scored == '0) ? scored : 16'(u_cell.best_index_q);

  // indices in the buffer: see result_buffer_properties
  wire head = u_cell.u_result_buffer.u_fifo.out_valid_q;
  wire any = u_cell.u_result_buffer.u_fifo.any_q;
  wire [AddressWidth-1:0] read = u_cell.u_result_buffer.u_fifo.read_address_q;
  wire [AddressWidth-1:0] distance = u_cell.u_result_buffer.u_fifo.write_address_q - read;
  wire [31:0] stored = (any && distance == '0) ? Words : 32'(distance);
  wire [31:0] kept = stored + 32'(head);
  wire [31:0] free = 32'(u_cell.u_result_buffer.free_q);
  logic [31:0] free_before_q;
  always_ff @(posedge clk_i) free_before_q <= rst_ni ? free : Depth;

  always_comb begin
    if (checked_q && rst_ni) begin
      room_is_used : assert (in_ready == (free_before_q > 2));

      // what the registers are
      elements_are_of_frames : assert (next_q < 16'(Labels) && (next_q == '0 || best_q < next_q));
      labels_are_counted : assert (16'(u_cell.index_q) == scored && 16'(u_cell.label_q) == next_q);
      level_is_counted : assert (32'(level) == kept + 32'(u_cell.result_valid_q) + 32'(ends));
      best_begins :
      assert (scored != '0 || int'(signed'(u_cell.best_q)) == -(1 << (ScoreWidth - 1)));
      best_is_kept :
      assert (waits || next_q == '0 || (16'(u_cell.best_index_q) == best_q && int'(signed'(u_cell.best_q)) == largest_q));
      best_is_found :
      assert (!waits || next_q == '0 ||
              (winner == best_q && (wins ? number(u_cell.value_q) : int'(signed'(u_cell.best_q))) == largest_q));
      best_is_of_a_frame : assert (32'(u_cell.best_index_q) < Labels);
      found_index : assert (!u_cell.result_valid_q || parts[kept] == OutputWidth'(u_cell.best_index_q));
      coming_index : assert (!ends || parts[kept+32'(u_cell.result_valid_q)] == OutputWidth'(winner));
      places_are_counted :
      assert (free + 32'(level) + 32'(u_cell.u_result_buffer.left_q) == Depth + 32'(u_cell.u_result_buffer.started_q));
      room_outlasts_two_frames : assert (!in_ready || free >= 2);
      places_before : assert (free_before_q <= free + 1 && free <= free_before_q + 1);
      waits_as_it_comes : assert (any || head || 32'(u_output.waited_q) <= 32'(u_cell.result_valid_q));
      waits_in_the_memory : assert (head || 32'(u_output.waited_q) <= 2);
      any_is_some : assert (any || distance == '0);
      next_is_next : assert (u_cell.u_result_buffer.u_fifo.next_address_q == AddressWidth'(read + 1'b1));
      head_is_read : assert (!head || u_cell.u_result_buffer.u_fifo.out_q == parts[0]);
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

endmodule

`default_nettype wire
