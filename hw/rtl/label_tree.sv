// The index of the largest element of a frame, each multiplied by 2^Shift and added to a constant of its own first; the lowest
// index of equal ones. All elements of a frame come in a beat (label_select takes one a beat).
//
// A tree of comparisons: of two neighbours the larger one goes on, with its index, LevelsPerStage levels between two
// registers. A frame a cycle. The pipeline never stands still: frames are taken only while there is a place for an index at
// the output (see result_buffer).
//
// Labels:          elements of a frame, at least 2.
// InputWidth:      bits of an element.
// InputSigned:     elements are two's complement.
// Shift:           zeros behind each element.
// OffsetWidth:     bits of the offsets, two's complement; 0 adds nothing.
// ScoreWidth:      bits that hold every score, two's complement.
// OutputWidth:     bits of the index.
// LevelsPerStage:  levels of comparisons between two registers, at least 1.
// RegisterScores:  a register behind the addition of the offsets; 0 leaves it to the first levels' stage.
// Ahead:           cycles of the layers before it that push (see unrolled_mvau); 0: none do.
// OffsetFile:      all offsets in a hexadecimal word, that of the first element in its lowest bits.
`default_nettype none

module label_tree #(
  parameter int unsigned Labels = 10,
  parameter int unsigned InputWidth = 8,
  parameter bit InputSigned = 1'b1,
  parameter int unsigned Shift = 0,
  parameter int unsigned OffsetWidth = 0,
  parameter int unsigned ScoreWidth = 9,
  parameter int unsigned OutputWidth = 4,
  parameter int unsigned LevelsPerStage = 1,
  parameter bit RegisterScores = 1'b1,
  parameter int unsigned Ahead = 0,
  parameter OffsetFile = ""
) (
  input  wire                          clk_i,
  input  wire                          rst_ni,

  input  wire                          in_valid_i,
  output wire                          in_ready_o,
  input  wire  [Labels*InputWidth-1:0] in_data_i,

  output wire                          out_valid_o,
  input  wire                          out_ready_i,
  output wire  [OutputWidth-1:0]       out_data_o
);

  if (Labels < 2 || InputWidth < 1 || LevelsPerStage < 1) begin : gen_check_sizes
    $error("%m: Labels must be at least 2, InputWidth and LevelsPerStage at least 1");
  end
  if ($clog2(Labels) > OutputWidth) begin : gen_check_labels
    $error("%m: OutputWidth must hold the index of every label");
  end
  // an offset is a score less an element, so it may have a bit more than they
  if (ScoreWidth < InputWidth + Shift + (InputSigned ? 0 : 1) || OffsetWidth > ScoreWidth + 1) begin : gen_check_score
    $error("%m: ScoreWidth must hold every input and every score, signed");
  end

  localparam int unsigned Levels = $clog2(Labels);
  localparam bit Adds = OffsetWidth > 0;
  localparam int unsigned Stages = ((Adds && RegisterScores) ? 1 : 0) + (Levels + LevelsPerStage - 1) / LevelsPerStage;

  logic [Stages-1:0] valid_q;
  wire take = in_valid_i && (Ahead > 0 || in_ready_o);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= Stages'({valid_q, take});
  end

  // of each level the elements that are left, with their indices, of which so many bits are not 0
  for (genvar k = 0; k <= Levels; k++) begin : gen_level
    localparam int unsigned Count = (Labels + (1 << k) - 1) >> k;
    wire [Count*ScoreWidth-1:0] scores;
    wire [Count*Levels-1:0] indices;
    if (k == 0) begin : gen_scores
      wire [Labels*ScoreWidth-1:0] sums;
      for (genvar i = 0; i < Labels; i++) begin : gen_label
        wire [InputWidth-1:0] element = in_data_i[i*InputWidth+:InputWidth];
        wire [ScoreWidth+InputWidth-1:0] extended = {
          {(ScoreWidth - Shift) {InputSigned & element[InputWidth-1]}}, element, {Shift{1'b0}}
        };
        wire unused_extended = &{1'b0, extended};
        assign sums[i*ScoreWidth+:ScoreWidth] = extended[ScoreWidth-1:0];
      end
      if (Adds) begin : gen_offsets
        logic [Labels*OffsetWidth-1:0] offsets[1];
        initial $readmemh(OffsetFile, offsets);
        wire [Labels*ScoreWidth-1:0] totals;
        for (genvar i = 0; i < Labels; i++) begin : gen_label
          wire [OffsetWidth-1:0] offset = offsets[0][i*OffsetWidth+:OffsetWidth];
          wire [ScoreWidth+OffsetWidth-1:0] extended = {{ScoreWidth{offset[OffsetWidth-1]}}, offset};
          wire unused_extended = &{1'b0, extended};
          assign totals[i*ScoreWidth+:ScoreWidth] = sums[i*ScoreWidth+:ScoreWidth] + extended[ScoreWidth-1:0];
        end
        if (RegisterScores) begin : gen_register
          logic [Labels*ScoreWidth-1:0] totals_q;
          always_ff @(posedge clk_i) totals_q <= totals;
          assign scores = totals_q;
        end else begin : gen_no_register
          assign scores = totals;
        end
      end else begin : gen_no_offsets
        assign scores = sums;
      end
      assign indices = '0;
    end else begin : gen_compare
      localparam int unsigned Before = (Labels + (1 << (k - 1)) - 1) >> (k - 1);
      wire [Count*ScoreWidth-1:0] larger;
      wire [Count*Levels-1:0] chosen;
      for (genvar i = 0; i < Count; i++) begin : gen_pair
        wire [ScoreWidth-1:0] left = gen_level[k-1].scores[2*i*ScoreWidth+:ScoreWidth];
        wire [Levels-1:0] left_index = gen_level[k-1].indices[2*i*Levels+:Levels];
        if (2 * i + 1 < Before) begin : gen_two
          wire [ScoreWidth-1:0] right = gen_level[k-1].scores[(2*i+1)*ScoreWidth+:ScoreWidth];
          wire [Levels-1:0] right_index = gen_level[k-1].indices[(2*i+1)*Levels+:Levels];
          wire signed [ScoreWidth-1:0] signed_left = left;
          wire signed [ScoreWidth-1:0] signed_right = right;
          wire better = signed_right > signed_left;
          assign larger[i*ScoreWidth+:ScoreWidth] = better ? right : left;
          assign chosen[i*Levels+:Levels] =
              (better ? right_index : left_index) | (better ? Levels'(1 << (k - 1)) : '0);
        end else begin : gen_one
          assign larger[i*ScoreWidth+:ScoreWidth] = left;
          assign chosen[i*Levels+:Levels] = left_index;
        end
      end
      if (k % LevelsPerStage == 0 || k == Levels) begin : gen_register
        logic [Count*ScoreWidth-1:0] larger_q;
        logic [Count*Levels-1:0] chosen_q;
        always_ff @(posedge clk_i) begin
          larger_q <= larger;
          chosen_q <= chosen;
        end
        assign scores = larger_q;
        assign indices = chosen_q;
      end else begin : gen_no_register
        assign scores = larger;
        assign indices = chosen;
      end
    end
  end
  wire unused_score = &{1'b0, gen_level[Levels].scores};

  result_buffer #(
    .Width(OutputWidth),
    .Depth(3 + Stages + 2 * Ahead),
    .FallThrough(1'b1),
    .Late(2 + Ahead)
  ) u_result_buffer (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .room_o(in_ready_o),
    .start_i(take),
    .in_valid_i(valid_q[Stages-1]),
    .in_data_i(OutputWidth'(gen_level[Levels].indices)),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
