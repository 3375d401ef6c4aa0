// One step of a binary search among sorted thresholds: is the value at least the threshold in the middle of what is
// left?
//
// Combinational. The thresholds of all lanes and stages lie in one memory file; this stage reads Folds << Stage words
// of it, from Base on, at addresses that are constants, so that only these are kept, as logic.
//
// Folds:          sets of thresholds, at least 1; fold_i selects one.
// Stage:          bits of the result that are known already, which select one of 2^Stage thresholds of a set.
// ValueWidth:     bits of the value.
// CompareWidth:   bits in which value and threshold are compared, at least ValueWidth.
// Signed:         value and thresholds are two's complement.
// FileWords:      words in the memory file.
// FileWidth:      bits of a word, at least CompareWidth.
// Base:           address of the first word of this stage.
// ThresholdFile:  the memory file, hexadecimal.
`default_nettype none

module threshold_stage #(
  parameter int unsigned Folds = 1,
  parameter int unsigned Stage = 0,
  parameter int unsigned ValueWidth = 8,
  parameter int unsigned CompareWidth = 8,
  parameter bit Signed = 1'b1,
  parameter int unsigned FileWords = 1,
  parameter int unsigned FileWidth = 8,
  parameter int unsigned Base = 0,
  parameter ThresholdFile = "",
  localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1,
  localparam int unsigned IndexWidth = (Stage > 0) ? Stage : 1
) (
  input  wire  [FoldWidth-1:0]  fold_i,
  input  wire  [IndexWidth-1:0] index_i,
  input  wire  [ValueWidth-1:0] value_i,
  output wire                   reached_o
);

  localparam int unsigned Depth = Folds << Stage;

  if (Folds < 1 || ValueWidth < 1) begin : gen_check_sizes
    $error("%m: Folds and ValueWidth must be at least 1");
  end
  if (CompareWidth < ValueWidth || CompareWidth > FileWidth) begin : gen_check_compare
    $error("%m: CompareWidth must be in ValueWidth to FileWidth");
  end
  if (Base + Depth > FileWords) begin : gen_check_file
    $error("%m: FileWords must hold Folds << Stage words from Base on");
  end

  localparam int unsigned AddressWidth = (Depth > 1) ? $clog2(Depth) : 1;

  logic [FileWidth-1:0] file[FileWords];
  initial $readmemh(ThresholdFile, file);

  wire [CompareWidth-1:0] thresholds[Depth];
  for (genvar i = 0; i < Depth; i++) begin : gen_threshold
    assign thresholds[i] = file[Base+i][CompareWidth-1:0];
  end

  wire [AddressWidth-1:0] address;
  if (Stage == 0) begin : gen_first
    assign address = fold_i;
    wire unused_index = &{1'b0, index_i};
  end else if (Folds == 1) begin : gen_single
    assign address = index_i;
    wire unused_fold = &{1'b0, fold_i};
  end else begin : gen_indexed
    assign address = {fold_i, index_i};
  end

  wire [CompareWidth-1:0] threshold = thresholds[address];

  if (Signed) begin : gen_signed
    wire signed [CompareWidth-1:0] value = CompareWidth'($signed(value_i));
    assign reached_o = value >= $signed(threshold);
  end else begin : gen_unsigned
    assign reached_o = CompareWidth'(value_i) >= threshold;
  end

endmodule

`default_nettype wire
