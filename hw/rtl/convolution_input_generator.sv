// The sliding windows of each frame of a stream, from a circular line buffer.
//
// A frame is ImageHeight × ImageWidth pixels of Folds beats. Windows leave in raster order, their pixels row by row.
// A beat is read as soon as it has been written, and overwritten as soon as no window needs it, across the ends of
// frames too: with the Depth that the Python kernel computes, the side with more beats moves one in every cycle. A
// beat is visible at the output two cycles after it was taken. in_ready_o does not depend on out_ready_i within a
// cycle.
//
// The read index runs through the words of the endless sequence of beats, and the buffer holds word i at i modulo
// Depth. All it takes is the distance of the read index to what has been written, and the room left ahead of the
// writer. Both change by one of five constants, so there is no multiplier and no divider.
//
// Width:                        bits of a beat.
// Folds:                        beats of a pixel.
// ImageHeight, ImageWidth:      pixels of a frame.
// KernelHeight, KernelWidth:    pixels of a window; not more than those of a frame.
// StrideHeight, StrideWidth:    pixels from a window to the next; may be more than the window's.
// Depth:                        beats of the buffer, at least 2; unless Ordered it must span a window.
// Ordered:                      no beat is read twice or after a later one; room is made by beats then, not windows.
`default_nettype none

module convolution_input_generator #(
  parameter int unsigned Width = 8,
  parameter int unsigned Folds = 1,
  parameter int unsigned ImageHeight = 8,
  parameter int unsigned ImageWidth = 8,
  parameter int unsigned KernelHeight = 3,
  parameter int unsigned KernelWidth = 3,
  parameter int unsigned StrideHeight = 1,
  parameter int unsigned StrideWidth = 1,
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

  localparam int unsigned OutHeight = (ImageHeight - KernelHeight) / StrideHeight + 1;
  localparam int unsigned OutWidth = (ImageWidth - KernelWidth) / StrideWidth + 1;
  localparam int unsigned Beats = KernelWidth * Folds;  // of a row of a window

  // from the first word of a window to its last, and to the first of the next window, in the same row, the next and
  // the next frame
  localparam int Row = int'(ImageWidth * Folds);
  localparam int Last = int'(KernelHeight - 1) * Row + int'(Beats) - 1;
  localparam int AcrossRow = int'((OutWidth - 1) * StrideWidth * Folds);
  localparam int ToWindow = int'(StrideWidth * Folds);
  localparam int ToRow = int'(StrideHeight) * Row - AcrossRow;
  localparam int ToFrame = int'(ImageHeight - (OutHeight - 1) * StrideHeight) * Row - AcrossRow;

  // from a word to the next one that is read
  localparam int StepRow = Row - int'(Beats) + 1;
  localparam int StepWindow = ToWindow - Last;
  localparam int StepNextRow = ToRow - Last;
  localparam int StepFrame = ToFrame - Last;

  localparam int MaxToRow = (ToWindow > ToRow) ? ToWindow : ToRow;
  localparam int MaxTo = (MaxToRow > ToFrame) ? MaxToRow : ToFrame;
  localparam int MaxStep = (MaxTo > StepRow) ? MaxTo : StepRow;
  localparam int unsigned DistanceWidth = $clog2(Depth + unsigned'(MaxStep) + 1) + 1;  // signed

  if (Width < 1 || Folds < 1 || Depth < 2) begin : gen_check_sizes
    $error("%m: Width and Folds must be at least 1, Depth at least 2");
  end
  if (KernelHeight < 1 || KernelHeight > ImageHeight) begin : gen_check_height
    $error("%m: KernelHeight must be in 1 to ImageHeight");
  end
  if (KernelWidth < 1 || KernelWidth > ImageWidth) begin : gen_check_width
    $error("%m: KernelWidth must be in 1 to ImageWidth");
  end
  if (StrideHeight < 1 || StrideWidth < 1) begin : gen_check_stride
    $error("%m: StrideHeight and StrideWidth must be at least 1");
  end
  if (!Ordered && int'(Depth) <= Last) begin : gen_check_depth
    $error("%m: Depth must hold all words from the first of a window to its last");
  end

  // where the next read is: beat of a row of the window, row of the window, window of a row, row of windows
  localparam int unsigned BeatWidth = (Beats > 1) ? $clog2(Beats) : 1;
  localparam int unsigned KernelRowWidth = (KernelHeight > 1) ? $clog2(KernelHeight) : 1;
  localparam int unsigned WindowWidth = (OutWidth > 1) ? $clog2(OutWidth) : 1;
  localparam int unsigned RowWidth = (OutHeight > 1) ? $clog2(OutHeight) : 1;

  logic [BeatWidth-1:0] beat_q;
  logic [KernelRowWidth-1:0] kernel_row_q;
  logic [WindowWidth-1:0] window_q;
  logic [RowWidth-1:0] row_q;

  wire last_beat = beat_q == BeatWidth'(Beats - 1);
  wire last_kernel_row = kernel_row_q == KernelRowWidth'(KernelHeight - 1);
  wire last_window = window_q == WindowWidth'(OutWidth - 1);
  wire last_row = row_q == RowWidth'(OutHeight - 1);
  wire window_end = last_beat && last_kernel_row;

  wire write, read;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      beat_q <= '0;
      kernel_row_q <= '0;
      window_q <= '0;
      row_q <= '0;
    end else if (read) begin
      beat_q <= last_beat ? '0 : beat_q + 1'b1;
      if (last_beat) kernel_row_q <= last_kernel_row ? '0 : kernel_row_q + 1'b1;
      if (window_end) window_q <= last_window ? '0 : window_q + 1'b1;
      if (window_end && last_window) row_q <= last_row ? '0 : row_q + 1'b1;
    end
  end

  // words written that the read index has not passed, negative if it is ahead; words that may be written
  localparam bit [DistanceWidth-1:0] One = 1;
  logic signed [DistanceWidth-1:0] available_q;
  logic [DistanceWidth-1:0] room_q;
  logic [DistanceWidth-1:0] step, freed;

  always_comb begin
    freed = '0;
    if (!last_beat) step = One;
    else if (!last_kernel_row) step = DistanceWidth'(StepRow);
    else if (!last_window) begin
      step = DistanceWidth'(StepWindow);
      freed = DistanceWidth'(ToWindow);
    end else if (!last_row) begin
      step = DistanceWidth'(StepNextRow);
      freed = DistanceWidth'(ToRow);
    end else begin
      step = DistanceWidth'(StepFrame);
      freed = DistanceWidth'(ToFrame);
    end
    if (Ordered) freed = step;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      available_q <= '0;
      room_q <= DistanceWidth'(Depth);
    end else begin
      available_q <= available_q + (write ? $signed(One) : '0) - (read ? $signed(step) : '0);
      room_q <= room_q - (write ? One : '0) + (read ? freed : '0);
    end
  end

  // the buffer, and the output register, which is that of the memory
  localparam int unsigned AddressWidth = $clog2(Depth);
  localparam int DepthInt = int'(Depth);
  localparam int TurnBeat = 1;
  localparam int TurnRow = ((StepRow % DepthInt) + DepthInt) % DepthInt;
  localparam int TurnWindow = ((StepWindow % DepthInt) + DepthInt) % DepthInt;
  localparam int TurnNextRow = ((StepNextRow % DepthInt) + DepthInt) % DepthInt;
  localparam int TurnFrame = ((StepFrame % DepthInt) + DepthInt) % DepthInt;

  logic [AddressWidth-1:0] write_address_q, read_address_q;
  logic [AddressWidth:0] turn;
  wire [AddressWidth-1:0] ahead = read_address_q + turn[AddressWidth-1:0];
  wire [AddressWidth:0] wrapped = {1'b0, read_address_q} + (turn - (AddressWidth + 1)'(Depth));

  // apart from the choice of the step: Yosys takes more look-up tables if both are made in one block
  always_comb begin
    if (!last_beat) turn = (AddressWidth + 1)'(TurnBeat);
    else if (!last_kernel_row) turn = (AddressWidth + 1)'(TurnRow);
    else if (!last_window) turn = (AddressWidth + 1)'(TurnWindow);
    else if (!last_row) turn = (AddressWidth + 1)'(TurnNextRow);
    else turn = (AddressWidth + 1)'(TurnFrame);
  end

  logic out_valid_q;
  wire out_free = !out_valid_q || out_ready_i;
  assign out_valid_o = out_valid_q;
  assign in_ready_o = room_q != '0;
  assign write = in_valid_i && in_ready_o;
  assign read = out_free && available_q > 0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_address_q <= '0;
      read_address_q <= '0;
      out_valid_q <= 1'b0;
    end else begin
      if (write) write_address_q <= (write_address_q == AddressWidth'(Depth - 1)) ? '0 : write_address_q + 1'b1;
      if (read) read_address_q <= wrapped[AddressWidth] ? ahead : wrapped[AddressWidth-1:0];
      if (out_free) out_valid_q <= read;
    end
  end

  simple_dual_port_ram #(
    .Width(Width),
    .Depth(Depth)
  ) u_buffer (
    .clk_i(clk_i),
    .write_i(write),
    .write_address_i(write_address_q),
    .data_i(in_data_i),
    .read_i(read),
    .read_address_i(read_address_q),
    .data_o(out_data_o)
  );

endmodule

`default_nettype wire
