// The sliding windows of each frame of a stream, from a circular line buffer.
//
// A frame is ImageHeight × ImageWidth pixels of Folds beats. Windows leave in raster order, their pixels row by row. With
// Depthwise a window leaves fold by fold: the first beat of each of its pixels, then the second of each, and so on.
// A beat is read as soon as it has been written, and overwritten as soon as no window needs it, across the ends of
// frames too: with the Depth that the Python kernel computes, the side with more beats moves one in every cycle. A
// beat is visible at the output two cycles after it was taken. in_ready_o does not depend on out_ready_i within a
// cycle.
//
// The read index runs through the words of the endless sequence of beats, and the buffer holds word i at i modulo
// Depth. All it takes is the distance of the read index to what has been written, and the room left ahead of the
// writer. Both change by one of six constants, so there is no multiplier and no divider. Nothing is compared in the
// cycle in which it is needed: which of the constants it is has been found a read before, and the highest bit of a count
// says whether it is above 0.
//
// Where windows are a pixel wide a beat may be several neighbours: then those that windows begin with are kept of a beat,
// and are the beat of as many windows.
//
// Width:                        bits of a beat, of each of its pixels.
// Folds:                        beats of a pixel.
// ImageHeight, ImageWidth:      pixels of a frame.
// KernelHeight, KernelWidth:    pixels of a window; not more than those of a frame.
// StrideHeight, StrideWidth:    pixels from a window to the next; may be more than the window's.
// DilationHeight, DilationWidth:  pixels from one of a window to the next; more than 1 in a row needs Folds 1, or Depthwise.
// Depth:                        beats of the buffer, at least 2; unless Ordered it must span a window.
// Ordered:                      no beat is read twice or after a later one; room is made by beats then, not windows.
// Depthwise:                    windows leave fold by fold; not with Ordered, and not for windows of one pixel.
// Pixels:                       pixels of a beat in, which divide ImageWidth. More than 1 are a multiple of StrideWidth, and
//                               KernelWidth is 1; a beat out is that of Pixels / StrideWidth windows.
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
  parameter int unsigned DilationHeight = 1,
  parameter int unsigned DilationWidth = 1,
  parameter int unsigned Depth = 32,
  parameter bit Ordered = 1'b0,
  parameter bit Depthwise = 1'b0,
  parameter int unsigned Pixels = 1
) (
  input  wire                     clk_i,
  input  wire                     rst_ni,

  input  wire                     in_valid_i,
  output wire                     in_ready_o,
  input  wire  [Pixels*Width-1:0] in_data_i,

  output wire                     out_valid_o,
  input  wire                     out_ready_i,
  output wire  [((Pixels > StrideWidth) ? Pixels/StrideWidth : 1)*Width-1:0] out_data_o
);

  // several pixels are one here, of those that are kept
  localparam int unsigned Kept = (Pixels > StrideWidth) ? Pixels / StrideWidth : 1;
  localparam int unsigned RowPixels = ImageWidth / Pixels;
  localparam int unsigned Stride = (Pixels > 1) ? 1 : StrideWidth;
  wire [Kept*Width-1:0] kept;
  for (genvar p = 0; p < Kept; p++) begin : gen_kept
    assign kept[p*Width+:Width] = in_data_i[p*StrideWidth*Width+:Width];
  end
  wire unused_pixels = &{1'b0, in_data_i};

  if (Pixels < 1 || ImageWidth != RowPixels * Pixels ||
      (Pixels > 1 && (KernelWidth != 1 || Pixels % StrideWidth != 0))) begin : gen_check_pixels
    $error("%m: Pixels must divide ImageWidth and, unless it is 1, be a multiple of StrideWidth, and KernelWidth be 1");
  end

  // pixels of the image over which a window is spread
  localparam int unsigned SpanHeight = (KernelHeight - 1) * DilationHeight + 1;
  localparam int unsigned SpanWidth = (KernelWidth - 1) * DilationWidth + 1;
  localparam int unsigned OutHeight = (ImageHeight - SpanHeight) / StrideHeight + 1;
  localparam int unsigned OutWidth = (RowPixels - SpanWidth) / Stride + 1;
  localparam int unsigned Passes = Depthwise ? Folds : 1;  // through the pixels of a window
  localparam int unsigned Beats = Depthwise ? KernelWidth : KernelWidth * Folds;  // of a row of a window, in a pass

  // from the first word of a window to its last, and to the first of the next window, in the same row, the next and
  // the next frame
  localparam int Row = int'(RowPixels * Folds);
  localparam int Last = int'(SpanHeight - 1) * Row + int'(SpanWidth * Folds) - 1;
  localparam int AcrossRow = int'((OutWidth - 1) * Stride * Folds);
  localparam int ToWindow = int'(Stride * Folds);
  localparam int ToRow = int'(StrideHeight) * Row - AcrossRow;
  localparam int ToFrame = int'(ImageHeight - (OutHeight - 1) * StrideHeight) * Row - AcrossRow;

  // from a word to the next one that is read
  localparam int StepBeat = int'(Passes * DilationWidth);
  localparam int StepRow = int'(DilationHeight) * Row - int'(Beats - 1) * StepBeat;
  localparam int StepPass = int'(Passes) - Last;
  localparam int StepWindow = ToWindow - Last;
  localparam int StepNextRow = ToRow - Last;
  localparam int StepFrame = ToFrame - Last;

  localparam int MaxToRow = (ToWindow > ToRow) ? ToWindow : ToRow;
  localparam int MaxTo = (MaxToRow > ToFrame) ? MaxToRow : ToFrame;
  localparam int MaxInRow = (MaxTo > StepBeat) ? MaxTo : StepBeat;
  localparam int MaxStep = (MaxInRow > StepRow) ? MaxInRow : StepRow;
  localparam int unsigned DistanceWidth = $clog2(Depth + unsigned'(MaxStep) + 1) + 1;  // signed

  if (Width < 1 || Folds < 1 || Depth < 2) begin : gen_check_sizes
    $error("%m: Width and Folds must be at least 1, Depth at least 2");
  end
  if (KernelHeight < 1 || SpanHeight > ImageHeight) begin : gen_check_height
    $error("%m: KernelHeight must be in 1 to ImageHeight");
  end
  if (KernelWidth < 1 || SpanWidth > RowPixels) begin : gen_check_width
    $error("%m: KernelWidth must be in 1 to ImageWidth");
  end
  if (DilationHeight < 1 || DilationWidth < 1 || (DilationWidth > 1 && Folds > 1 && !Depthwise)) begin : gen_check_dilation
    $error("%m: DilationHeight and DilationWidth must be at least 1, and DilationWidth 1 unless Folds is, or with Depthwise");
  end
  if (StrideHeight < 1 || StrideWidth < 1) begin : gen_check_stride
    $error("%m: StrideHeight and StrideWidth must be at least 1");
  end
  if (!Ordered && int'(Depth) <= Last) begin : gen_check_depth
    $error("%m: Depth must hold all words from the first of a window to its last");
  end
  if (Depthwise && (Ordered || KernelHeight * KernelWidth < 2)) begin : gen_check_order
    $error("%m: with Depthwise a window must have two pixels or more, and Ordered is excluded");
  end

  // where the next read is: beat of a row of the window, row of the window, pass, window of a row, row of windows
  localparam int unsigned BeatWidth = (Beats > 1) ? $clog2(Beats) : 1;
  localparam int unsigned KernelRowWidth = (KernelHeight > 1) ? $clog2(KernelHeight) : 1;
  localparam int unsigned PassWidth = (Passes > 1) ? $clog2(Passes) : 1;
  localparam int unsigned WindowWidth = (OutWidth > 1) ? $clog2(OutWidth) : 1;
  localparam int unsigned RowWidth = (OutHeight > 1) ? $clog2(OutHeight) : 1;

  logic [BeatWidth-1:0] beat_q;
  logic [KernelRowWidth-1:0] kernel_row_q;
  logic [PassWidth-1:0] pass_q;
  logic [WindowWidth-1:0] window_q;
  logic [RowWidth-1:0] row_q;

  // the last of each, of a pass, of a window, and of a row of windows; the last but one of each
  logic last_beat_q, last_kernel_row_q, last_pass_q, last_window_q, last_row_q, pass_end_q, window_end_q, row_end_q;
  logic beat_before_q, kernel_row_before_q, pass_before_q, window_before_q, row_before_q;

  // a flag that changes to what it becomes where it moves; written as gates, so that all of them have the read as their
  // one enable, which comes late
  function automatic logic moved(input logic moves, input logic becomes, input logic flag);
    return (moves & becomes) | (~moves & flag);
  endfunction

  // the same for the read after it
  wire next_last_beat = Beats == 1 || beat_before_q;
  wire next_last_kernel_row = KernelHeight == 1 || moved(last_beat_q, kernel_row_before_q, last_kernel_row_q);
  wire next_last_pass = Passes == 1 || moved(pass_end_q, pass_before_q, last_pass_q);
  wire next_last_window = OutWidth == 1 || moved(window_end_q, window_before_q, last_window_q);
  wire next_last_row = OutHeight == 1 || moved(row_end_q, row_before_q, last_row_q);
  // the last but two of each, or of two the last, so that the last but one follows
  wire third_last_beat = last_beat_q ? Beats == 2 : Beats > 2 && beat_q == BeatWidth'(Beats - 3);
  wire third_last_kernel_row =
      last_kernel_row_q ? KernelHeight == 2 : KernelHeight > 2 && kernel_row_q == KernelRowWidth'(KernelHeight - 3);
  wire third_last_pass = last_pass_q ? Passes == 2 : Passes > 2 && pass_q == PassWidth'(Passes - 3);
  wire third_last_window = last_window_q ? OutWidth == 2 : OutWidth > 2 && window_q == WindowWidth'(OutWidth - 3);
  wire third_last_row = last_row_q ? OutHeight == 2 : OutHeight > 2 && row_q == RowWidth'(OutHeight - 3);
  wire [4:0] next = {next_last_row, next_last_window, next_last_pass, next_last_kernel_row, next_last_beat};
  // The same where it counts. Only the last read of a pass changes the three slow ones, and the read before it, with
  // Depthwise another one, finds them as they are: the last window of a row, or of a frame, with all below it.
  logic row_last_q, frame_last_q;
  wire [4:0] after = Depthwise ? {frame_last_q, row_last_q, last_pass_q, next[1:0]} : next;
  localparam bit [4:0] First = {OutHeight == 1, OutWidth == 1, Passes == 1, KernelHeight == 1, Beats == 1};

  wire write, read;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      beat_q <= '0;
      kernel_row_q <= '0;
      pass_q <= '0;
      window_q <= '0;
      row_q <= '0;
      {last_row_q, last_window_q, last_pass_q, last_kernel_row_q, last_beat_q} <= First;
      pass_end_q <= &First[1:0];
      window_end_q <= &First[2:0];
      row_end_q <= &First[3:0];
      row_last_q <= &First[3:2];
      frame_last_q <= &First[4:2];
      beat_before_q <= Beats == 2;
      kernel_row_before_q <= KernelHeight == 2;
      pass_before_q <= Passes == 2;
      window_before_q <= OutWidth == 2;
      row_before_q <= OutHeight == 2;
    end else if (read) begin
      beat_q <= last_beat_q ? '0 : beat_q + 1'b1;
      kernel_row_q <= (last_beat_q && last_kernel_row_q) ? '0 : kernel_row_q + KernelRowWidth'(last_beat_q);
      pass_q <= (pass_end_q && last_pass_q) ? '0 : pass_q + PassWidth'(pass_end_q);
      window_q <= (window_end_q && last_window_q) ? '0 : window_q + WindowWidth'(window_end_q);
      row_q <= (row_end_q && last_row_q) ? '0 : row_q + RowWidth'(row_end_q);
      beat_before_q <= third_last_beat;
      kernel_row_before_q <= moved(last_beat_q, third_last_kernel_row, kernel_row_before_q);
      pass_before_q <= moved(pass_end_q, third_last_pass, pass_before_q);
      window_before_q <= moved(window_end_q, third_last_window, window_before_q);
      row_before_q <= moved(row_end_q, third_last_row, row_before_q);
      {last_row_q, last_window_q, last_pass_q, last_kernel_row_q, last_beat_q} <= next;
      pass_end_q <= &after[1:0];
      window_end_q <= &after[2:0];
      row_end_q <= Depthwise ? &{after[3], after[1:0]} : &after[3:0];
      row_last_q <= &next[3:2];
      frame_last_q <= &next[4:2];
    end
  end

  // the one of six constants that belongs to a read
  function automatic int chosen(
      input logic [4:0] last, input int beat, input int row, input int pass, input int window, input int window_row,
      input int frame);
    return !last[0] ? beat : !last[1] ? row : !last[2] ? pass : !last[3] ? window : !last[4] ? window_row : frame;
  endfunction

  // words that a read lets the writer overwrite
  localparam int FreeBeat = Ordered ? StepBeat : 0;
  localparam int FreeRow = Ordered ? StepRow : 0;
  localparam int FreePass = 0;
  localparam int FreeWindow = Ordered ? StepWindow : ToWindow;
  localparam int FreeNextRow = Ordered ? StepNextRow : ToRow;
  localparam int FreeFrame = Ordered ? StepFrame : ToFrame;

  function automatic logic [DistanceWidth-1:0] passed(input logic [4:0] last);
    return DistanceWidth'(chosen(last, -StepBeat, -StepRow, -StepPass, -StepWindow, -StepNextRow, -StepFrame));
  endfunction
  function automatic logic [DistanceWidth-1:0] passed_written(input logic [4:0] last);
    return DistanceWidth'(
        chosen(last, 1 - StepBeat, 1 - StepRow, 1 - StepPass, 1 - StepWindow, 1 - StepNextRow, 1 - StepFrame));
  endfunction
  function automatic logic [DistanceWidth-1:0] freed(input logic [4:0] last);
    return DistanceWidth'(chosen(last, FreeBeat, FreeRow, FreePass, FreeWindow, FreeNextRow, FreeFrame));
  endfunction
  function automatic logic [DistanceWidth-1:0] freed_written(input logic [4:0] last);
    return DistanceWidth'(
        chosen(last, FreeBeat - 1, FreeRow - 1, FreePass - 1, FreeWindow - 1, FreeNextRow - 1, FreeFrame - 1));
  endfunction

  // Words written that the read index has not passed, negative if it is ahead; words that may be written. Both less 1
  // and plus half of the range: the highest bit says whether there is one. What a read changes is chosen a read before,
  // and is another constant where a write comes in the same cycle, so that nothing is added twice.
  localparam bit [DistanceWidth-1:0] None = (1 << (DistanceWidth - 1)) - 1;
  logic [DistanceWidth-1:0] available_q, room_q, passed_q, passed_written_q, freed_q, freed_written_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      available_q <= None;
      room_q <= None + DistanceWidth'(Depth);
    end else begin
      available_q <= available_q + (read ? (write ? passed_written_q : passed_q) : DistanceWidth'(write));
      room_q <= room_q + (read ? (write ? freed_written_q : freed_q) : {DistanceWidth{write}});
    end
    if (!rst_ni) begin
      passed_q <= passed(First);
      passed_written_q <= passed_written(First);
      freed_q <= freed(First);
      freed_written_q <= freed_written(First);
    end else if (read) begin
      passed_q <= passed(after);
      passed_written_q <= passed_written(after);
      freed_q <= freed(after);
      freed_written_q <= freed_written(after);
    end
  end

  // the buffer, and the output register, which is that of the memory
  localparam int unsigned AddressWidth = $clog2(Depth);
  localparam int DepthInt = int'(Depth);
  localparam int TurnBeat = StepBeat % DepthInt;
  localparam int TurnRow = ((StepRow % DepthInt) + DepthInt) % DepthInt;
  localparam int TurnPass = ((StepPass % DepthInt) + DepthInt) % DepthInt;
  localparam int TurnWindow = ((StepWindow % DepthInt) + DepthInt) % DepthInt;
  localparam int TurnNextRow = ((StepNextRow % DepthInt) + DepthInt) % DepthInt;
  localparam int TurnFrame = ((StepFrame % DepthInt) + DepthInt) % DepthInt;

  logic [AddressWidth-1:0] write_address_q, read_address_q;
  logic write_last_q;
  logic [AddressWidth-1:0] turn_q;
  logic [AddressWidth:0] turn_back_q;
  wire [AddressWidth-1:0] ahead = read_address_q + turn_q;
  wire [AddressWidth:0] wrapped = {1'b0, read_address_q} + turn_back_q;

  function automatic logic [AddressWidth-1:0] turn(input logic [4:0] last);
    return AddressWidth'(chosen(last, TurnBeat, TurnRow, TurnPass, TurnWindow, TurnNextRow, TurnFrame));
  endfunction
  function automatic logic [AddressWidth:0] turn_back(input logic [4:0] last);
    return (AddressWidth + 1)'(
        chosen(last, TurnBeat - DepthInt, TurnRow - DepthInt, TurnPass - DepthInt, TurnWindow - DepthInt,
               TurnNextRow - DepthInt, TurnFrame - DepthInt));
  endfunction

  logic out_valid_q;
  wire held = out_valid_q && !out_ready_i;
  assign out_valid_o = out_valid_q;
  assign in_ready_o = room_q[DistanceWidth-1];
  assign write = in_valid_i && in_ready_o;
  assign read = available_q[DistanceWidth-1] && !held;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_address_q <= '0;
      write_last_q <= 1'b0;
      read_address_q <= '0;
      turn_q <= turn(First);
      turn_back_q <= turn_back(First);
      out_valid_q <= 1'b0;
    end else begin
      if (write) begin
        write_address_q <= write_last_q ? '0 : write_address_q + 1'b1;
        write_last_q <= write_address_q == AddressWidth'(Depth - 2);
      end
      if (read) begin
        read_address_q <= wrapped[AddressWidth] ? ahead : wrapped[AddressWidth-1:0];
        turn_q <= turn(after);
        turn_back_q <= turn_back(after);
      end
      out_valid_q <= read || held;
    end
  end

  simple_dual_port_ram #(
    .Width(Kept * Width),
    .Depth(Depth)
  ) u_buffer (
    .clk_i(clk_i),
    .write_i(write),
    .write_address_i(write_address_q),
    .data_i(kept),
    .read_i(read),
    .read_address_i(read_address_q),
    .data_o(out_data_o)
  );

endmodule

`default_nettype wire
