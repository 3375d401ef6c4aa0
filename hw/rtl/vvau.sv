// VVAU: the folded MVAU of a depthwise convolution, of which each row sees one channel of a window, plus bias, then
// thresholds (see mvau).
//
// Pe rows are computed at a time, from the windows of the Pe / Multiplier channels that they see: Mw / Simd beats, each of
// the next Simd pixels of these channels. A beat of Pe results leaves after every Mw / Simd beats, and windows follow each
// other without a gap. As no beat is needed twice, none is stored. The pipeline never stands still: a step is taken only
// while there is a place for its results at the output, where they wait for the reader (see result_buffer).
//
// Mw, Mh:          pixels of a window; rows.
// Multiplier:      rows that see the same channel, divides Pe. Row r sees channel r / Multiplier.
// Simd:            pixels of an input beat, divides Mw. In a beat the channels of a pixel are neighbours.
// Pe:              elements of an output beat, divides Mh. Row r is computed by lane r % Pe.
// Pixels:          windows side by side, of which Mh and Pe count the rows (see mvau).
// InputWidth:      bits of an input element.
// InputSigned:     inputs are two's complement.
// WeightWidth:     bits of a weight, two's complement.
// RecodeInput:     recode the input in the multipliers instead of the weight (see product_pair).
// ProductWidth:    bits that hold every product, two's complement.
// AccWidths:       for each lane, in 8 bits, the bits of its accumulator, two's complement.
// HasBias:         accumulators start from a bias, else from 0.
// BiasWidth:       bits of a bias, two's complement.
// NumThresholds:   thresholds of a row; 0 puts out the accumulator itself.
// Turns:           lanes that take turns with the thresholds, one after the other, at most Mw / Simd; divides Pe / Pixels (see mvau).
// CompareWidths:   for each lane of a turn, in 8 bits, the bits of its comparisons (see activation).
// OutputWidth:     bits of an output element.
// OutputOffset:    the output for no threshold reached; not used without thresholds.
// RamStyle:        what holds the weights (see weight_memory). With "ultra" no input is taken before they are loaded.
// WeightFile:      a word for each beat of all windows of a place: Pe / Pixels times Simd weights.
// BiasFile:        a word for each beat of results: Pe / Pixels biases.
// ThresholdFiles:  the thresholds (see activation).
// Requantizer, RequantizerFile: what computes the same as the thresholds, if not 0 (see activation).
// CheckOverflow:   overflow_o is high for a cycle when an addition has left the width of an accumulator; 0 otherwise.
//                  Where 0 is no input, sums may also leave a width that holds the last of them, and come back.
`default_nettype none

module vvau #(
  parameter int unsigned Mw = 9,
  parameter int unsigned Mh = 1,
  parameter int unsigned Multiplier = 1,
  parameter int unsigned Simd = 1,
  parameter int unsigned Pe = 1,
  parameter int unsigned Pixels = 1,
  parameter int unsigned InputWidth = 4,
  parameter bit InputSigned = 1'b0,
  parameter int unsigned WeightWidth = 4,
  parameter bit RecodeInput = 1'b0,
  parameter int unsigned ProductWidth = 8,
  parameter logic [Pe*8-1:0] AccWidths = {Pe{8'd14}},
  parameter bit HasBias = 1'b0,
  parameter int unsigned BiasWidth = 1,
  parameter int unsigned NumThresholds = 0,
  parameter int unsigned Turns = 1,
  parameter logic [Pe/Turns*8-1:0] CompareWidths = {(Pe/Turns) {8'd14}},
  parameter int unsigned OutputWidth = 14,
  parameter logic [OutputWidth-1:0] OutputOffset = '0,
  parameter RamStyle = "auto",
  parameter WeightFile = "",
  parameter BiasFile = "",
  parameter ThresholdFiles = "",
  parameter logic [87:0] Requantizer = '0,
  parameter RequantizerFile = "",
  parameter bit CheckOverflow = 1'b0,
  localparam int unsigned Channels = Pe / Pixels / Multiplier  // of a window in a beat
) (
  input  wire                                 clk_i,
  input  wire                                 rst_ni,

  input  wire                                 in_valid_i,
  output wire                                 in_ready_o,
  input  wire  [Pixels*Simd*Channels*InputWidth-1:0] in_data_i,

  output wire                                 out_valid_o,
  input  wire                                 out_ready_i,
  output wire  [Pe*OutputWidth-1:0]           out_data_o,

  // the weight stream, where RamStyle is "ultra": see weight_memory
  input  wire                                 load_valid_i,
  input  wire  [31:0]                         load_data_i,
  output wire                                 load_valid_o,
  output wire  [31:0]                         load_data_o,
  output wire                                 weights_loaded_o,

  output wire                                 overflow_o
);

  if (Mw % Simd != 0 || Mh % Pe != 0 || Pe % (Pixels * Multiplier) != 0) begin : gen_check_folding
    $error("%m: Simd must divide Mw, Pe must divide Mh, and Multiplier times Pixels must divide Pe");
  end

  mvau #(
    .Mw(Mw),
    .Mh(Mh),
    .Simd(Simd),
    .Pe(Pe),
    .Channels(Channels),
    .Pixels(Pixels),
    .Replays(1'b0),
    .InputWidth(InputWidth),
    .InputSigned(InputSigned),
    .WeightWidth(WeightWidth),
    .RecodeInput(RecodeInput),
    .ProductWidth(ProductWidth),
    .AccWidths(AccWidths),
    .HasBias(HasBias),
    .BiasWidth(BiasWidth),
    .NumThresholds(NumThresholds),
    .Turns(Turns),
    .CompareWidths(CompareWidths),
    .OutputWidth(OutputWidth),
    .OutputOffset(OutputOffset),
    .RamStyle(RamStyle),
    .WeightFile(WeightFile),
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
