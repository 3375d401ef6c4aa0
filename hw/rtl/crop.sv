// A part of each frame of a stream: some rows, of these some pixels, of these some beats. The rest is taken and dropped.
//
// A beat is taken in every cycle in which it is dropped, or the output has room. It is visible at the output in the cycle
// after it was taken. in_ready_o depends neither on in_valid_i nor on out_ready_i within a cycle.
//
// Width:                           bits of a beat.
// ImageHeight, ImageWidth, Folds:  rows of a frame, pixels of a row, beats of a pixel.
// FirstRow, FirstColumn, FirstFold:  where the part begins.
// Rows, Columns, PartFolds:        rows of the part, pixels of its rows, beats of its pixels.
`default_nettype none

module crop #(
  parameter int unsigned Width = 8,
  parameter int unsigned ImageHeight = 8,
  parameter int unsigned ImageWidth = 8,
  parameter int unsigned Folds = 1,
  parameter int unsigned FirstRow = 1,
  parameter int unsigned FirstColumn = 1,
  parameter int unsigned FirstFold = 0,
  parameter int unsigned Rows = 6,
  parameter int unsigned Columns = 6,
  parameter int unsigned PartFolds = 1
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

  wire ready, last_fold, last_column, inside_folds, inside_columns, inside_rows;
  wire of_part = inside_folds && inside_columns && inside_rows;
  assign in_ready_o = ready || !of_part;
  wire take = in_valid_i && in_ready_o;

  interval_counter #(
    .Size(Folds),
    .First(FirstFold),
    .Count(PartFolds)
  ) u_folds (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .en_i(take),
    .last_o(last_fold),
    .inside_o(inside_folds)
  );

  interval_counter #(
    .Size(ImageWidth),
    .First(FirstColumn),
    .Count(Columns)
  ) u_columns (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .en_i(take && last_fold),
    .last_o(last_column),
    .inside_o(inside_columns)
  );

  wire last_row;
  interval_counter #(
    .Size(ImageHeight),
    .First(FirstRow),
    .Count(Rows)
  ) u_rows (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .en_i(take && last_fold && last_column),
    .last_o(last_row),
    .inside_o(inside_rows)
  );
  wire unused_last_row = &{1'b0, last_row};

  spill_register #(
    .Width(Width)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i && of_part),
    .in_ready_o(ready),
    .in_data_i(in_data_i),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
