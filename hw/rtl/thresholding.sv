// Replaces each element of a stream by OutputOffset + the number of its channel's thresholds that it reaches.
//
// Full throughput; the search is a pipeline that stands still while the output register is full.
//
// Pe:              elements a beat.
// Folds:           beats after which the thresholds repeat; 1 if all channels share them.
// InputWidth:      bits of an input element.
// ValueWidths:     for each lane, in 8 bits, how many of these bits its values need; the others repeat the sign.
// InputSigned:     inputs and thresholds are two's complement.
// NumThresholds:   thresholds of a channel; 0 puts out the element itself.
// CompareWidths:   for each lane, in 8 bits, the bits of its comparisons (see threshold_search).
// OutputWidth:     bits of an output element.
// OutputOffset:    the output for no threshold reached; not used without thresholds.
// ThresholdFiles:  the thresholds (see threshold_search).
// Requantizer, RequantizerFile: what computes the same as the thresholds, if not 0 (see activation).
`default_nettype none

module thresholding #(
  parameter int unsigned Pe = 1,
  parameter int unsigned Folds = 1,
  parameter int unsigned InputWidth = 8,
  parameter logic [Pe*8-1:0] ValueWidths = {Pe{8'(InputWidth)}},
  parameter bit InputSigned = 1'b1,
  parameter int unsigned NumThresholds = 1,
  parameter logic [Pe*8-1:0] CompareWidths = ValueWidths,
  parameter int unsigned OutputWidth = 1,
  parameter logic [OutputWidth-1:0] OutputOffset = '0,
  parameter ThresholdFiles = "",
  parameter logic [87:0] Requantizer = '0,
  parameter RequantizerFile = ""
) (
  input  wire                       clk_i,
  input  wire                       rst_ni,

  input  wire                       in_valid_i,
  output wire                       in_ready_o,
  input  wire  [Pe*InputWidth-1:0]  in_data_i,

  output wire                       out_valid_o,
  input  wire                       out_ready_i,
  output wire  [Pe*OutputWidth-1:0] out_data_o
);

  wire results_valid;
  wire [Pe*OutputWidth-1:0] results;
  activation #(
    .Pe(Pe),
    .Folds(Folds),
    .InputWidth(InputWidth),
    .ValueWidths(ValueWidths),
    .InputSigned(InputSigned),
    .NumThresholds(NumThresholds),
    .CompareWidths(CompareWidths),
    .OutputWidth(OutputWidth),
    .OutputOffset(OutputOffset),
    .ThresholdFiles(ThresholdFiles),
    .Requantizer(Requantizer),
    .RequantizerFile(RequantizerFile)
  ) u_activation (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .en_i(in_ready_o),
    .valid_i(in_valid_i),
    .data_i(in_data_i),
    .valid_o(results_valid),
    .data_o(results)
  );

  spill_register #(
    .Width(Pe * OutputWidth)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(results_valid),
    .in_ready_o(in_ready_o),
    .in_data_i(results),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
