// The channels of each pixel as a block of pixels; of a square one as ONNX' DepthToSpace of mode DCR.
//
// A row of ImageWidth pixels, each of BlockHeight rows of BlockWidth pixels of Folds beats, leaves as BlockHeight rows. To the
// window generator it is an image of ImageWidth rows and BlockHeight columns, of which each column is a window.
//
// Width:       bits of a beat.
// Folds:       beats of an output pixel.
// ImageWidth:  pixels of a row at the input.
// BlockHeight, BlockWidth:  rows, and pixels of each, that an input pixel becomes.
// Depth:       beats of the buffer, see convolution_input_generator.
// Ordered:     see there.
`default_nettype none

module depth_to_space #(
  parameter int unsigned Width = 8,
  parameter int unsigned Folds = 1,
  parameter int unsigned ImageWidth = 8,
  parameter int unsigned BlockHeight = 2,
  parameter int unsigned BlockWidth = 2,
  parameter int unsigned Depth = 32,
  parameter bit Ordered = 1'b0
) (
  input  wire              clk_i,
  input  wire              rst_ni,

  input  wire              in_valid_i,
  output wire              in_ready_o,
  input  wire  [Width-1:0] in_data_i,

  output wire              out_valid_o,
  input  wire              out_ready_i,
  output wire  [Width-1:0] out_data_o
);

  if (BlockHeight < 1 || BlockWidth < 1) begin : gen_check
    $error("%m: BlockHeight and BlockWidth must be at least 1");
  end

  convolution_input_generator #(
    .Width(Width),
    .Folds(BlockWidth * Folds),
    .ImageHeight(ImageWidth),
    .ImageWidth(BlockHeight),
    .KernelHeight(ImageWidth),
    .KernelWidth(1),
    .StrideHeight(1),
    .StrideWidth(1),
    .Depth(Depth),
    .Ordered(Ordered)
  ) u_windows (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i),
    .in_ready_o(in_ready_o),
    .in_data_i(in_data_i),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
