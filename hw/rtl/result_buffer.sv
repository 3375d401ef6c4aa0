// The end of a pipeline that never stands still: results wait here until the reader of the stream takes them.
//
// The pipeline asks before it starts on a result: room_o says whether there is a place for it, start_i takes that place,
// in_valid_i brings the result some cycles later, in any cycle. So no enable goes from the stream's ready to all the
// registers of the pipeline. room_o comes from a flip-flop, two cycles late, so it is low while no more places are left than
// results that the pipeline can start meanwhile: two, or fewer where it needs some cycles for each. If a result leaves L
// cycles after its start and the pipeline starts one in every I cycles, then 1 + Late + ceil(L / I) places keep it going
// without a pause, L counting the two cycles that a result is in here.
//
// Where other pipelines send their results to this one without waiting, it does not see what they start. Then Late counts
// what all of them may have on the way, and start_i comes with the arrival of a result at this pipeline.
//
// A result may come in Words parts, the least significant first, in as many cycles with in_valid_i. They are stored as
// such, and put together at the end.
//
// With FallThrough a result that finds none before it is at the output in the cycle in which it comes, and waits in a
// register of its own if the reader does not take it; L then counts no cycle in here.
//
// Width: bits of a result, at least 1; Words divides it.
// Depth: places, at least 1 + Late.
// Words: parts of a result, at least 1.
// Late:  starts of which room_o knows nothing yet: those of two cycles, 0 to 2, and those of pipelines before this one.
// FallThrough: as above, for Words = 1.
`default_nettype none

module result_buffer #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 4,
  parameter int unsigned Words = 1,
  parameter int unsigned Late = 2,
  parameter bit FallThrough = 1'b0,
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

  if (Width < 1 || Depth < 1 + Late) begin : gen_check
    $error("%m: Width must be at least 1 and Depth at least Late + 1");
  end
  if (Words < 1 || Width % Words != 0 || (Words > 1 && FallThrough)) begin : gen_check_words
    $error("%m: Words must divide Width, and be 1 with FallThrough");
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

  wire fifo_in_valid, word_valid, word_ready;
  wire [WordWidth-1:0] word;
  result_fifo #(
    .Width(WordWidth),
    .Depth(Depth * Words)
  ) u_fifo (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(fifo_in_valid),
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
    assign fifo_in_valid = in_valid_i;
    assign word_ready = !last_q || out_ready_i;
    assign out_valid_o = word_valid && last_q;
    assign out_data_o = {word, words_q};
  end else if (FallThrough) begin : gen_fall_through
    logic [Width-1:0] held_q;
    logic held_valid_q;
    logic [CountWidth-1:0] kept_q;  // results in the FIFO
    logic none_q;  // kept_q is 0, and held_q not valid
    wire passes = in_valid_i && none_q;
    assign fifo_in_valid = in_valid_i && !none_q;
    assign word_ready = out_ready_i && !held_valid_q;
    wire fifo_left = word_valid && word_ready;
    wire held_valid = passes ? !out_ready_i : held_valid_q && !out_ready_i;
    wire [CountWidth-1:0] kept = kept_q + CountWidth'(fifo_in_valid) - CountWidth'(fifo_left);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        held_valid_q <= 1'b0;
        kept_q <= '0;
        none_q <= 1'b1;
      end else begin
        held_valid_q <= held_valid;
        kept_q <= kept;
        none_q <= kept == '0 && !held_valid;
      end
      if (none_q) held_q <= in_data_i;
    end
    assign out_valid_o = held_valid_q || word_valid || passes;
    assign out_data_o = held_valid_q ? held_q : none_q ? in_data_i : word;
  end else begin : gen_word
    assign fifo_in_valid = in_valid_i;
    assign word_ready = out_ready_i;
    assign out_valid_o = word_valid;
    assign out_data_o = word;
  end

endmodule

`default_nettype wire
