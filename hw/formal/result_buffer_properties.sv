// result_buffer: results come out as they went in, in order; those inside and those that were started, which come in any
// later cycle, are never more than Depth; a result is at the output at the latest two cycles after its last word came, or, with
// FallThrough and none before it, in the same cycle. A pipeline starts no more than Late results in the two cycles of which
// room does not know.
`default_nettype none

module result_buffer_properties #(
  parameter int unsigned Width = 2,
  parameter int unsigned Depth = 4,
  parameter int unsigned Late = 2,
  parameter int unsigned Words = 1
) (
  input wire             clk_i,
  input wire             rst_ni,
  input wire             start_i,
  input wire             in_valid_i,
  input wire [Width/Words-1:0] in_data_i,
  input wire             out_ready_i
);

  localparam int unsigned WordWidth = Width / Words;
  localparam int unsigned MostWords = Depth * Words;
  localparam int unsigned LevelWidth = $clog2(MostWords + 1);
  localparam int unsigned AddressWidth = $clog2(MostWords);
  localparam int unsigned Addresses = 1 << AddressWidth;

  wire room, out_valid;
  wire [Width-1:0] out_data;

  // the pipeline: it starts where there is room, and brings the words of a result for each start
  logic [LevelWidth-1:0] coming_q;
  logic start_q, start_before_q;
  wire may_start = 32'(start_q) + 32'(start_before_q) <= Late;
  wire start = start_i && room && may_start;
  wire comes = in_valid_i && coming_q != '0;
  always_ff @(posedge clk_i) begin
    start_q <= rst_ni && start;
    start_before_q <= rst_ni && start_q;
    if (!rst_ni) coming_q <= '0;
    else coming_q <= coming_q + (start ? LevelWidth'(Words) : '0) - LevelWidth'(comes);
  end

  result_buffer #(
    .Width(Width),
    .Depth(Depth),
    .Late(Late),
    .Words(Words)
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
  wire [MostWords-1:0][WordWidth-1:0] parts;

  queue_model #(
    .Width(WordWidth),
    .Depth(MostWords),
    .Pop(Words)
  ) u_queue (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(comes),
    .data_i(in_data_i),
    .pop_i(out_valid && out_ready_i),
    .popped_i(out_data),
    .level_o(level),
    .parts_o(parts)
  );

  handshake #(
    .Width(Width),
    .MaxWait((Words > 1) ? Words + 1 : 1)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(32'(level) >= Words)
  );

  logic [31:0] free_before_q;
  always_ff @(posedge clk_i) free_before_q <= rst_ni ? 32'(u_cell.free_q) : Depth;

  wire [31:0] promised = 32'(level) + 32'(coming_q);  // words
  wire head = u_cell.u_fifo.out_valid_q;
  wire [AddressWidth-1:0] distance = u_cell.u_fifo.write_address_q - u_cell.u_fifo.read_address_q;
  wire [31:0] stored = (u_cell.u_fifo.any_q && distance == '0) ? Addresses : 32'(distance);

  // the words of the next result that are together, and those that are in the FIFO and at its end
  wire [31:0] together;
  wire [31:0] behind = stored + 32'(head);

  always_comb begin
    if (checked_q && rst_ni) begin
      never_more_than_places : assert (promised <= MostWords);
      room_is_a_place : assert (!room || !may_start || promised + Words <= MostWords);
      room_is_used : assert (room == (free_before_q > Late));

      // what the registers are
      places_are_counted :
      assert (Words * (32'(u_cell.free_q) + 32'(u_cell.left_q)) + promised == Words * (Depth + 32'(u_cell.started_q)));
      room_outlasts_late_starts :
      assert (!room || 32'(u_cell.free_q) + 32'(start_before_q) > Late);
      starts_are_late : assert (u_cell.started_q == start_q);
      places_before : assert (free_before_q <= 32'(u_cell.free_q) + 1 && 32'(u_cell.free_q) <= free_before_q + 1);
      level_is_counted : assert (32'(level) == behind + together);
      any_is_some : assert (u_cell.u_fifo.any_q || distance == '0);
      next_is_next : assert (u_cell.u_fifo.next_address_q == AddressWidth'(u_cell.u_fifo.read_address_q + 1'b1));
      head_is_read : assert (!head || u_cell.u_fifo.out_q == parts[together]);
    end
  end
  for (genvar i = 0; i < Addresses; i++) begin : gen_word
    // the word at address i is `age` words behind the next one to be read
    wire [AddressWidth-1:0] age = AddressWidth'(i) - u_cell.u_fifo.read_address_q;
    always_comb begin
      if (checked_q && rst_ni) begin
        word_is_kept : assert (32'(age) >= stored || u_cell.u_fifo.words[i] == parts[32'(age)+32'(head)+together]);
      end
    end
  end

  if (Words > 1) begin : gen_words
    wire last = u_cell.gen_words.last_q;
    wire [31:0] missing = 32'(u_cell.gen_words.missing_q);
    assign together = last ? Words - 1 : Words - 1 - missing;
    always_comb begin
      if (checked_q && rst_ni) begin
        words_are_counted : assert (missing < Words && last == (missing == 0));
        next_is_there_in_time : assert (32'(u_output.waited_q) <= together + 32'(head) + 1);
      end
    end
    for (genvar i = 0; i < Words - 1; i++) begin : gen_kept
      wire [WordWidth-1:0] word = WordWidth'(u_cell.gen_words.words_q >> ((Words - 1 - together + i) * WordWidth));
      always_comb begin
        if (checked_q && rst_ni) begin
          word_is_kept : assert (i >= together || word == parts[i]);
        end
      end
    end
  end else begin : gen_whole
    assign together = 0;
  end

endmodule

`default_nettype wire
