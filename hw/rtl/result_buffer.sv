// The end of a pipeline that never stands still: results wait here until the reader of the stream takes them.
//
// The pipeline asks before it starts on a result: room_o says whether there is a place for it, start_i takes that place,
// in_valid_i brings the result some cycles later, in any cycle. So no enable goes from the stream's ready to all the
// registers of the pipeline. room_o comes from a flip-flop, two cycles late, so it is low while no more places are left than
// results that the pipeline can start meanwhile: two, or fewer where it needs some cycles for each. If a result leaves L
// cycles after its start and the pipeline starts one in every I cycles, then 1 + Late + ceil(L / I) places keep it going
// without a pause, L counting the two cycles that a result is in here.
//
// A result may come in Words parts, the least significant first, in as many cycles with in_valid_i. They are stored as
// such, and put together at the end.
//
// Width: bits of a result, at least 1; Words divides it.
// Depth: places, at least 1 + Late.
// Words: parts of a result, at least 1.
// Late:  starts in the two cycles after a start, 0 to 2.
`default_nettype none

module result_buffer #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 4,
  parameter int unsigned Words = 1,
  parameter int unsigned Late = 2,
  localparam int unsigned WordWidth = Width / Words
) (
  input  wire                  clk_i,
  input  wire                  rst_ni,

  output wire                  room_o,
  input  wire                  start_i,

  input  wire                  in_valid_i,
  input  wire  [WordWidth-1:0] in_data_i,

  output wire                  out_valid_o,
  input  wire                  out_ready_i,
  output wire  [Width-1:0]     out_data_o
);

  if (Width < 1 || Late > 2 || Depth < 1 + Late) begin : gen_check
    $error("%m: Width must be at least 1, Late at most 2 and Depth at least Late + 1");
  end
  if (Words < 1 || Width % Words != 0) begin : gen_check_words
    $error("%m: Words must divide Width");
  end

  localparam int unsigned CountWidth = $clog2(Depth + 1);
  logic [CountWidth-1:0] free_q;  // places, as the starts and ends of two cycles ago left them
  logic room_q, started_q, left_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      free_q <= CountWidth'(Depth);
      room_q <= 1'b1;
      started_q <= 1'b0;
      left_q <= 1'b0;
    end else begin
      started_q <= start_i;
      left_q <= out_valid_o && out_ready_i;
      if (started_q && !left_q) free_q <= free_q - 1'b1;
      else if (left_q && !started_q) free_q <= free_q + 1'b1;
      room_q <= free_q > CountWidth'(Late);
    end
  end
  assign room_o = room_q;

  wire word_valid, word_ready;
  wire [WordWidth-1:0] word;
  result_fifo #(
    .Width(WordWidth),
    .Depth(Depth * Words)
  ) u_fifo (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i),
    .in_data_i(in_data_i),
    .out_valid_o(word_valid),
    .out_ready_i(word_ready),
    .out_data_o(word)
  );

  if (Words > 1) begin : gen_words
    localparam int unsigned WordsWidth = $clog2(Words);
    logic [WordsWidth-1:0] missing_q;  // words before the last one
    logic last_q;
    logic [Width-WordWidth-1:0] words_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        missing_q <= WordsWidth'(Words - 1);
        last_q <= 1'b0;
      end else if (word_valid && word_ready) begin
        missing_q <= last_q ? WordsWidth'(Words - 1) : missing_q - 1'b1;
        last_q <= missing_q == WordsWidth'(1);
      end
      if (word_valid && !last_q) words_q <= (Width - WordWidth)'({word, words_q} >> WordWidth);
    end
    assign word_ready = !last_q || out_ready_i;
    assign out_valid_o = word_valid && last_q;
    assign out_data_o = {word, words_q};
  end else begin : gen_word
    assign word_ready = out_ready_i;
    assign out_valid_o = word_valid;
    assign out_data_o = word;
  end

endmodule

`default_nettype wire
