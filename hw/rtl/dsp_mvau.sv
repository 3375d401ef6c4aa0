// DspMVAU: the folded MVAU whose products and sums are in DSPs, several rows in each (see mvau, and dsp_lanes).
//
// Its beats are those of mvau. Results come later, as the columns of a step are added up one after the other.
//
// Mw, Mh:          columns and rows of the matrix.
// Simd:            elements of an input beat, divides Mw.
// Pe:              elements of an output beat, divides Mh. Row r is computed by lane r % Pe.
// Pixels:          vectors side by side, of which Mh and Pe count the rows (see mvau).
// InputWidth:      bits of an input element.
// InputSigned:     inputs are two's complement.
// AccWidths:       for each lane, in 8 bits, the bits of its sum, two's complement. Of segments they are all the same.
// WordPixels, LaneWidths, Offsets, Strides, FieldWidths, Heads: where lanes are in the words of the DSPs (see dsp_lanes).
// Taps, RowBeats, FirstBeat, LastEmits, Held: a convolution along the rows of an image, if Taps is not 1 (see mvau).
// Chains, SegmentFolds: segments of sums that a lane holds (see dsp_lanes). SegmentTurns is 1 or Turns.
// HasBias:         sums start from a bias, else from 0.
// BiasWidth, StartWidth: bits of a start, and how many of them are what the lane is loaded with (see dsp_lanes).
// NumThresholds:   thresholds of a row; 0 puts out the sum itself.
// Turns:           lanes that take turns with the thresholds, one after the other, at most Mw / Simd; divides Pe / Pixels (see mvau).
// CompareWidths:   for each lane of a turn, in 8 bits, the bits of its comparisons (see activation).
// OutputWidth:     bits of an output element.
// OutputOffset:    the output for no threshold reached; not used without thresholds.
// RamStyle:        what holds the weights (see weight_memory). With "ultra" no input is taken before they are loaded.
// WeightFiles:     the weights, column by column of a beat (see dsp_lanes).
// BiasFile:        a word for each beat of results: Pe / Pixels starts; of segments, see segment_adder.
// ThresholdFiles:  the thresholds (see activation).
// Requantizer, RequantizerFile: what computes the same as the thresholds, if not 0 (see activation).
// CheckOverflow:   overflow_o is high for a cycle when the final sums of a beat have left their lanes; 0 otherwise.
`default_nettype none

module dsp_mvau #(
  parameter int unsigned Mw = 1,
  parameter int unsigned Mh = 1,
  parameter int unsigned Simd = 1,
  parameter int unsigned Pe = 1,
  parameter int unsigned Pixels = 1,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter logic [Pe*8-1:0] AccWidths = {Pe{8'd11}},
  parameter int unsigned WordPixels = 1,
  parameter int unsigned Taps = 1,
  parameter int unsigned RowBeats = 1,
  parameter int unsigned FirstBeat = 0,
  parameter bit LastEmits = 1'b0,
  parameter int unsigned Held = 0,
  parameter logic [Pe/Pixels*Taps*8-1:0] LaneWidths = {(Pe/Pixels*Taps) {8'd11}},
  parameter logic [Pe/Pixels*Taps*8-1:0] Offsets = '0,
  parameter logic [Pe/Pixels*Taps*8-1:0] Strides = {(Pe/Pixels*Taps) {8'd11}},
  parameter logic [Pe/Pixels*Taps*8-1:0] FieldWidths = {(Pe/Pixels*Taps) {8'd4}},
  parameter logic [Pe/Pixels*Taps-1:0] Heads = '1,
  parameter bit HasBias = 1'b0,
  parameter int unsigned BiasWidth = 1,
  parameter int unsigned StartWidth = 1,
  parameter int unsigned Chains = 1,
  parameter int unsigned SegmentFolds = 0,
  parameter int unsigned SegmentTurns = 1,
  parameter int unsigned NumThresholds = 0,
  parameter int unsigned Turns = 1,
  parameter logic [Pe/Turns*8-1:0] CompareWidths = {(Pe/Turns) {8'd11}},
  parameter int unsigned OutputWidth = 11,
  parameter logic [OutputWidth-1:0] OutputOffset = '0,
  parameter RamStyle = "auto",
  parameter WeightFiles = "",
  parameter BiasFile = "",
  parameter ThresholdFiles = "",
  parameter logic [87:0] Requantizer = '0,
  parameter RequantizerFile = "",
  parameter bit CheckOverflow = 1'b0
) (
  input  wire                        clk_i,
  input  wire                        rst_ni,

  input  wire                        in_valid_i,
  output wire                        in_ready_o,
  input  wire  [Pixels*Simd*InputWidth-1:0] in_data_i,

  output wire                        out_valid_o,
  input  wire                        out_ready_i,
  output wire  [Pe*OutputWidth-1:0]  out_data_o,

  // the weight stream, where RamStyle is "ultra": see weight_memory
  input  wire                        load_valid_i,
  input  wire  [31:0]                load_data_i,
  output wire                        load_valid_o,
  output wire  [31:0]                load_data_o,
  output wire                        weights_loaded_o,

  output wire                        overflow_o
);

  mvau #(
    .Mw(Mw),
    .Mh(Mh),
    .Simd(Simd),
    .Pe(Pe),
    .InputWidth(InputWidth),
    .InputSigned(InputSigned),
    .AccWidths(AccWidths),
    .HasBias(HasBias),
    .BiasWidth(BiasWidth),
    .Dsp(1'b1),
    .Pixels(Pixels),
    .WordPixels(WordPixels),
    .Taps(Taps),
    .RowBeats(RowBeats),
    .FirstBeat(FirstBeat),
    .LastEmits(LastEmits),
    .Held(Held),
    .LaneWidths(LaneWidths),
    .Offsets(Offsets),
    .Strides(Strides),
    .FieldWidths(FieldWidths),
    .Heads(Heads),
    .StartWidth(StartWidth),
    .Chains(Chains),
    .SegmentFolds(SegmentFolds),
    .SegmentTurns(SegmentTurns),
    .NumThresholds(NumThresholds),
    .Turns(Turns),
    .CompareWidths(CompareWidths),
    .OutputWidth(OutputWidth),
    .OutputOffset(OutputOffset),
    .RamStyle(RamStyle),
    .WeightFiles(WeightFiles),
    .BiasFile(BiasFile),
    .ThresholdFiles(ThresholdFiles),
    .Requantizer(Requantizer),
    .RequantizerFile(RequantizerFile),
    .CheckOverflow(CheckOverflow)
  ) u_mvau (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i),
    .in_ready_o(in_ready_o),
    .in_data_i(in_data_i),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o),
    .load_valid_i(load_valid_i),
    .load_data_i(load_data_i),
    .load_valid_o(load_valid_o),
    .load_data_o(load_data_o),
    .weights_loaded_o(weights_loaded_o),
    .overflow_o(overflow_o)
  );

endmodule

`default_nettype wire
