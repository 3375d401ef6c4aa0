// For each lane the number of thresholds that a value reaches (value >= threshold), by binary search, one step a cycle.
//
// Beats go through Folds sets of thresholds in turn, from set 0 after reset. Latency is ceil(log2(NumThresholds + 1))
// enabled cycles. The memory file holds the thresholds in the order in which the search looks at them, padded to a full
// tree, lane by lane, step by step and fold by fold: see SearchTable in pipeline/kernels/thresholding.py.
//
// Lanes:           values a beat.
// Folds:           sets of thresholds, at least 1.
// LaneWidth:       bits between values in values_i.
// ValueWidths:     for each lane, in 8 bits, the bits of its values, at most LaneWidth.
// CompareWidths:   for each lane, in 8 bits, the bits of the comparison, at least those of the value.
// Signed:          values and thresholds are two's complement.
// NumThresholds:   thresholds of a set, at least 1.
// ThresholdWidth:  bits of a word of the memory file, at least every CompareWidth.
// ThresholdFile:   the memory file, hexadecimal.
`default_nettype none

module threshold_search #(
  parameter int unsigned Lanes = 1,
  parameter int unsigned Folds = 1,
  parameter int unsigned LaneWidth = 8,
  parameter logic [Lanes*8-1:0] ValueWidths = {Lanes{8'd8}},
  parameter logic [Lanes*8-1:0] CompareWidths = {Lanes{8'd8}},
  parameter bit Signed = 1'b1,
  parameter int unsigned NumThresholds = 1,
  parameter int unsigned ThresholdWidth = 8,
  parameter ThresholdFile = "",
  localparam int unsigned Stages = $clog2(NumThresholds + 1)
) (
  input  wire                        clk_i,
  input  wire                        rst_ni,
  input  wire                        en_i,

  input  wire                        valid_i,
  input  wire  [Lanes*LaneWidth-1:0] values_i,

  output wire                        valid_o,
  output wire  [Lanes*Stages-1:0]    counts_o
);

  if (Lanes < 1 || Folds < 1 || NumThresholds < 1) begin : gen_check
    $error("%m: Lanes, Folds and NumThresholds must be at least 1");
  end

  localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1;
  localparam int unsigned LaneWords = Folds * ((1 << Stages) - 1);

  // the fold of the beat in each step
  wire [FoldWidth-1:0] folds[Stages];
  if (Folds > 1) begin : gen_folds
    logic [FoldWidth-1:0] fold_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) fold_q <= '0;
      else if (en_i && valid_i) fold_q <= (fold_q == FoldWidth'(Folds - 1)) ? '0 : fold_q + 1'b1;
    end
    assign folds[0] = fold_q;
    for (genvar s = 1; s < Stages; s++) begin : gen_step
      logic [FoldWidth-1:0] step_q;
      always_ff @(posedge clk_i) if (en_i) step_q <= folds[s-1];
      assign folds[s] = step_q;
    end
  end else begin : gen_single
    for (genvar s = 0; s < Stages; s++) begin : gen_step
      assign folds[s] = '0;
    end
  end

  logic [Stages-1:0] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (en_i) valid_q <= Stages'({valid_q, valid_i});
  end
  assign valid_o = valid_q[Stages-1];

  logic [ThresholdWidth-1:0] file[Lanes*LaneWords];
  initial $readmemh(ThresholdFile, file);

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    localparam int unsigned ValueWidth = 32'(ValueWidths[8*l+:8]);
    localparam int unsigned CompareWidth = 32'(CompareWidths[8*l+:8]);

    if (ValueWidth < 1 || ValueWidth > LaneWidth) begin : gen_check_value
      $error("%m: ValueWidths must be in 1 to LaneWidth");
    end
    if (CompareWidth < ValueWidth || CompareWidth > ThresholdWidth) begin : gen_check_compare
      $error("%m: CompareWidths must be in those of the values to ThresholdWidth");
    end

    if (LaneWidth > ValueWidth) begin : gen_unused
      wire unused_value = &{1'b0, values_i[l*LaneWidth+ValueWidth+:LaneWidth-ValueWidth]};
    end

    for (genvar s = 0; s < Stages; s++) begin : gen_step
      localparam int unsigned IndexWidth = (s > 0) ? s : 1;
      wire [ValueWidth-1:0] value;
      wire [IndexWidth-1:0] index;
      wire reached;
      logic [s:0] index_q;

      // the Folds << s thresholds of this step, at addresses that are constants, so that only these are kept, as logic
      localparam int unsigned Depth = Folds << s;
      localparam int unsigned Base = l * LaneWords + Folds * ((1 << s) - 1);
      wire [CompareWidth-1:0] thresholds[Depth];
      for (genvar i = 0; i < Depth; i++) begin : gen_threshold
        assign thresholds[i] = file[Base+i][CompareWidth-1:0];
      end
      wire [CompareWidth-1:0] threshold;
      if (Depth == 1) begin : gen_only
        assign threshold = thresholds[0];
      end else if (Folds == 1) begin : gen_indexed
        assign threshold = thresholds[index];
      end else if (s == 0) begin : gen_folded
        assign threshold = thresholds[folds[s]];
      end else begin : gen_both
        assign threshold = thresholds[{folds[s], index}];
      end
      wire unused_address = &{1'b0, folds[s], index};

      if (Signed) begin : gen_signed
        wire signed [CompareWidth-1:0] compared = CompareWidth'($signed(value));
        assign reached = compared >= $signed(threshold);
      end else begin : gen_unsigned
        assign reached = CompareWidth'(value) >= threshold;
      end

      if (s == 0) begin : gen_first
        assign index = '0;
        assign value = values_i[l*LaneWidth+:ValueWidth];
        always_ff @(posedge clk_i) if (en_i) index_q <= reached;
      end else begin : gen_later
        assign index = gen_step[s-1].index_q;
        logic [ValueWidth-1:0] value_q;
        always_ff @(posedge clk_i) begin
          if (en_i) begin
            value_q <= gen_step[s-1].value;
            index_q <= {index, reached};
          end
        end
        assign value = value_q;
      end
      if (s == Stages - 1) begin : gen_last
        assign counts_o[l*Stages+:Stages] = index_q;
      end
    end
  end

endmodule

`default_nettype wire
