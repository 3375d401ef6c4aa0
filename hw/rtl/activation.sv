// Each element becomes OutputOffset + the number of its channel's thresholds that it reaches: by a search among them,
// ceil(log2(NumThresholds + 1)) enabled cycles later, or by a multiplication that is proven to be equal (see requantize).
// Without thresholds it goes out as it is, in the same cycle, as the sums of an MVAU do.
//
// Pe:              elements a beat.
// Folds:           beats after which the thresholds repeat; 1 if all channels share them.
// InputWidth:      bits of an input element.
// ValueWidths:     for each lane, in 8 bits, how many of these bits its values need; the others repeat the sign.
// InputSigned:     inputs and thresholds are two's complement.
// NumThresholds:   thresholds of a channel, or with a Requantizer the levels above the lowest; 0 puts out the element
//                  itself.
// CompareWidths:   for each lane, in 8 bits, the bits of its comparisons (see threshold_search), or of its sums where
//                  there is a Requantizer.
// OutputWidth:     bits of an output element.
// OutputOffset:    the output for no threshold reached; not used without thresholds.
// ThresholdFiles:  the thresholds (see threshold_search); not used with a Requantizer.
// Requantizer:     0 for a search; else, from the least significant bits on, Multiplier in 32 bits, and in 8 bits each
//                  MultiplierWidth, AddendWidth, AddendZeros, Shift, HalfEven, OutputSigned and Dsps (see requantize),
//                  which takes Dsps + 4 cycles, or without DSPs MultiplierWidth / 2 + 3.
// RequantizerFile: the multipliers and addends (see requantize).
// AddersPerStage:  adders of a requantizer between two registers; with more than 1 it takes fewer cycles (see requantize).
`default_nettype none

module activation #(
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
  parameter RequantizerFile = "",
  parameter int unsigned AddersPerStage = 1
) (
  input  wire                       clk_i,
  input  wire                       rst_ni,

  input  wire                       en_i,

  input  wire                       valid_i,
  input  wire  [Pe*InputWidth-1:0]  data_i,

  output wire                       valid_o,
  output wire  [Pe*OutputWidth-1:0] data_o
);

  if (Requantizer != '0) begin : gen_requantizer
    requantize #(
      .Lanes(Pe),
      .Folds(Folds),
      .LaneWidth(InputWidth),
      .ValueWidths(ValueWidths),
      .SumWidths(CompareWidths),
      .Signed(InputSigned),
      .MultiplierWidth(32'(Requantizer[39:32])),
      .Multiplier(Requantizer[31:0]),
      .AddendWidth(32'(Requantizer[47:40])),
      .AddendZeros(32'(Requantizer[55:48])),
      .Shift(32'(Requantizer[63:56])),
      .HalfEven(Requantizer[64]),
      .AddersPerStage(AddersPerStage),
      .OutputWidth(OutputWidth),
      .OutputSigned(Requantizer[72]),
      .Dsps(32'(Requantizer[87:80])),
      .Lowest(OutputOffset),
      .Highest(OutputOffset + OutputWidth'(NumThresholds)),
      .File(RequantizerFile)
    ) u_requantize (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(en_i),
      .valid_i(valid_i),
      .values_i(data_i),
      .valid_o(valid_o),
      .levels_o(data_o)
    );
  end else if (NumThresholds > 0) begin : gen_thresholds
    localparam int unsigned CountWidth = $clog2(NumThresholds + 1);
    if (CountWidth > OutputWidth) begin : gen_check_output
      $error("%m: OutputWidth does not hold NumThresholds");
    end
    wire [Pe*CountWidth-1:0] counts;
    threshold_search #(
      .Lanes(Pe),
      .Folds(Folds),
      .LaneWidth(InputWidth),
      .ValueWidths(ValueWidths),
      .CompareWidths(CompareWidths),
      .Signed(InputSigned),
      .NumThresholds(NumThresholds),
      .ThresholdFiles(ThresholdFiles)
    ) u_threshold_search (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(en_i),
      .valid_i(valid_i),
      .values_i(data_i),
      .valid_o(valid_o),
      .counts_o(counts)
    );
    for (genvar l = 0; l < Pe; l++) begin : gen_lane
      assign data_o[l*OutputWidth+:OutputWidth] = OutputOffset + OutputWidth'(counts[l*CountWidth+:CountWidth]);
    end
  end else begin : gen_values
    localparam int unsigned Bits = (InputWidth < OutputWidth) ? InputWidth : OutputWidth;
    assign valid_o = valid_i;
    for (genvar l = 0; l < Pe; l++) begin : gen_lane
      wire [InputWidth-1:0] value = data_i[l*InputWidth+:InputWidth];
      wire unused_value = &{1'b0, value};
      assign data_o[l*OutputWidth+:OutputWidth] =
          {{(OutputWidth-Bits){InputSigned && value[InputWidth-1]}}, value[Bits-1:0]};
    end
    wire unused_control = &{1'b0, clk_i, rst_ni, en_i};
  end

endmodule

`default_nettype wire
