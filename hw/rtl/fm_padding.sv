// Puts a border of a constant around each frame of a stream.
//
// An output beat leaves in every cycle in which its input, if it is not of the border, is there. The border that
// starts a frame does not wait for the frame.
//
// ElementWidth:                            bits of an element.
// Simd:                                    elements of a beat.
// Folds:                                   beats of a pixel.
// ImageHeight, ImageWidth:                 pixels of a frame at the input.
// PadTop, PadLeft, PadBottom, PadRight:    pixels of the border; any of them may be 0.
// Value:                                   an element of the border.
`default_nettype none

module fm_padding #(
  parameter int unsigned ElementWidth = 4,
  parameter int unsigned Simd = 1,
  parameter int unsigned Folds = 1,
  parameter int unsigned ImageHeight = 8,
  parameter int unsigned ImageWidth = 8,
  parameter int unsigned PadTop = 1,
  parameter int unsigned PadLeft = 1,
  parameter int unsigned PadBottom = 1,
  parameter int unsigned PadRight = 1,
  parameter bit [ElementWidth-1:0] Value = '0
) (
  input  wire                          clk_i,
  input  wire                          rst_ni,

  input  wire                          in_valid_i,
  output wire                          in_ready_o,
  input  wire  [Simd*ElementWidth-1:0] in_data_i,

  output wire                          out_valid_o,
  input  wire                          out_ready_i,
  output wire  [Simd*ElementWidth-1:0] out_data_o
);

  if (Simd < 1 || Folds < 1 || ImageHeight < 1 || ImageWidth < 1) begin : gen_check
    $error("%m: Simd, Folds, ImageHeight and ImageWidth must be at least 1");
  end

  localparam int unsigned Rows = PadTop + ImageHeight + PadBottom;
  localparam int unsigned Beats = (PadLeft + ImageWidth + PadRight) * Folds;
  localparam int unsigned RowWidth = (Rows > 1) ? $clog2(Rows) : 1;
  localparam int unsigned BeatWidth = (Beats > 1) ? $clog2(Beats) : 1;

  // the first row and the first beat of a row in the image, and those behind it
  localparam int unsigned RowsEnd = PadTop + ImageHeight;
  localparam int unsigned Left = PadLeft * Folds;
  localparam int unsigned Right = (PadLeft + ImageWidth) * Folds;

  logic [RowWidth-1:0] row_q;
  logic [BeatWidth-1:0] beat_q;  // of the row
  // found one beat ahead; inside: of the image
  logic last_beat_q, last_row_q, inside_rows_q, inside_q;
  wire signed [31:0] row = 32'(row_q);
  wire signed [31:0] beat = 32'(beat_q);
  wire inside_columns = last_beat_q ? PadLeft == 0 : beat >= int'(Left) - 1 && beat < int'(Right) - 1;
  wire inside_rows = last_row_q ? PadTop == 0 : row >= int'(PadTop) - 1 && row < int'(RowsEnd) - 1;

  wire valid = !inside_q || in_valid_i;
  wire ready;
  assign in_ready_o = inside_q && ready;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      row_q <= '0;
      beat_q <= '0;
      last_beat_q <= Beats == 1;
      last_row_q <= Rows == 1;
      inside_rows_q <= PadTop == 0;
      inside_q <= PadLeft == 0 && PadTop == 0;
    end else if (valid && ready) begin
      beat_q <= last_beat_q ? '0 : beat_q + 1'b1;
      last_beat_q <= Beats == 1 || beat_q == BeatWidth'(Beats - 2);
      inside_q <= inside_columns && (last_beat_q ? inside_rows : inside_rows_q);
      if (last_beat_q) begin
        row_q <= last_row_q ? '0 : row_q + 1'b1;
        last_row_q <= Rows == 1 || row_q == RowWidth'(Rows - 2);
        inside_rows_q <= inside_rows;
      end
    end
  end

  spill_register #(
    .Width(Simd * ElementWidth)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(valid),
    .in_ready_o(ready),
    .in_data_i(inside_q ? in_data_i : {Simd{Value}}),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
