// The sliding windows of each frame of a stream, whole pixels in and whole windows out, with the frame's border.
//
// A beat in is a pixel, or Pixels neighbours of a row, and what is said of columns here is said of those; a beat out is a
// window, its pixels row by row, the first in the least significant bits, or Pixels / StrideWidth of them. What
// lies outside of the image is Border. The last KernelHeight rows are kept, each in a memory of its own, and a column
// of a window is read from all of them at once. A window row takes a cycle a column, and one for each column of the
// border on the right; the writer may be a row ahead, so a frame takes the longer of all pixels in and all window
// rows. in_ready_o does not depend on out_ready_i within a cycle.
//
// With several pixels the border costs no cycle: the columns on the right of a row of windows are those of the next row
// already, and are border to these windows. While nothing can be read, border follows the last column of a row.
//
// What may be written and read is told by two distances in pixels, which change by constants, as in
// convolution_input_generator. Nothing is compared in the cycle in which it is needed.
//
// Width:                            bits of a pixel.
// ImageHeight, ImageWidth:          pixels of a frame.
// KernelHeight, KernelWidth:        pixels of a window.
// StrideHeight, StrideWidth:        pixels from a window to the next.
// PadTop, PadLeft:                  pixels of the border above and to the left, fewer than the window's.
// OutHeight, OutWidth:              windows of a frame; the last may lie in the border below and to the right.
// Border:                           a pixel of the border.
// Pixels:                           pixels of a beat in, which divide ImageWidth. More than 1 are a multiple of StrideWidth;
//                                   beats out, Pixels / StrideWidth windows each, divide OutWidth, and a row has no more of
//                                   them than beats in.
`default_nettype none

module parallel_window #(
  parameter int unsigned Width = 8,
  parameter int unsigned ImageHeight = 8,
  parameter int unsigned ImageWidth = 8,
  parameter int unsigned KernelHeight = 3,
  parameter int unsigned KernelWidth = 3,
  parameter int unsigned StrideHeight = 1,
  parameter int unsigned StrideWidth = 1,
  parameter int unsigned PadTop = 1,
  parameter int unsigned PadLeft = 1,
  parameter int unsigned OutHeight = 8,
  parameter int unsigned OutWidth = 8,
  parameter logic [Width-1:0] Border = '0,
  parameter int unsigned Pixels = 1
) (
  input  wire                                        clk_i,
  input  wire                                        rst_ni,

  input  wire                                        in_valid_i,
  output wire                                        in_ready_o,
  input  wire  [Pixels*Width-1:0]                    in_data_i,

  output wire                                        out_valid_o,
  input  wire                                        out_ready_i,
  output wire  [((Pixels > StrideWidth) ? Pixels/StrideWidth : 1)*KernelHeight*KernelWidth*Width-1:0] out_data_o
);

  localparam int Height = int'(ImageHeight);
  localparam int Kernel = int'(KernelHeight);
  localparam int Stride = int'(StrideHeight);
  localparam int unsigned Windows = (Pixels > StrideWidth) ? Pixels / StrideWidth : 1;
  localparam int unsigned RowBeats = ImageWidth / Pixels;
  localparam int Beats = int'(RowBeats);  // of a row
  localparam int unsigned BeatWidth = Pixels * Width;
  // columns that are read for a row of windows, and the index of the one that completes its first window
  localparam int unsigned FirstColumn = KernelWidth - 1 - PadLeft;
  localparam int unsigned Columns = (Pixels > 1) ? RowBeats : (OutWidth - 1) * StrideWidth + FirstColumn + 1;
  // rows from the first of the last windows to that of the next frame's first
  localparam int ToFrame = Height - int'(OutHeight - 1) * Stride;

  if (Width < 1 || RowBeats < 2 || ImageHeight < 1) begin : gen_check_sizes
    $error("%m: Width and ImageHeight must be at least 1, ImageWidth at least 2 and two beats");
  end
  if (ImageWidth != RowBeats * Pixels || (Pixels > 1 && Pixels % StrideWidth != 0)) begin : gen_check_pixels
    $error("%m: Pixels must divide ImageWidth and, unless it is 1, be a multiple of StrideWidth");
  end
  if (Pixels > 1 && (OutWidth % Windows != 0 || OutWidth / Windows > RowBeats)) begin : gen_check_beats
    $error("%m: Pixels / StrideWidth windows must divide OutWidth, in no more beats than a row of the image has");
  end
  if (StrideHeight < 1 || StrideWidth < 1 || OutHeight < 1 || OutWidth < 1) begin : gen_check_stride
    $error("%m: StrideHeight, StrideWidth, OutHeight and OutWidth must be at least 1");
  end
  if (PadTop >= KernelHeight || PadLeft >= KernelWidth) begin : gen_check_pads
    $error("%m: PadTop must be less than KernelHeight and PadLeft less than KernelWidth");
  end
  if (int'(OutHeight - 1) * Stride >= Height + int'(PadTop) || Columns >= ImageWidth + KernelWidth) begin : gen_check_windows
    $error("%m: every window must have a pixel of the image");
  end

  localparam int unsigned ColumnWidth = $clog2((Columns > RowBeats) ? Columns : RowBeats);
  localparam int unsigned AddressWidth = $clog2(RowBeats);
  localparam int unsigned RowWidth = (OutHeight > 1) ? $clog2(OutHeight) : 1;
  localparam int unsigned BankWidth = (KernelHeight > 1) ? $clog2(KernelHeight) : 1;
  localparam int unsigned MaxUntil = (FirstColumn > StrideWidth - 1) ? FirstColumn : StrideWidth - 1;
  localparam int unsigned UntilWidth = (MaxUntil > 0) ? $clog2(MaxUntil + 1) : 1;

  // -- where the writer and the reader are

  logic [AddressWidth-1:0] write_column_q;
  logic [BankWidth-1:0] write_bank_q;
  logic [ColumnWidth-1:0] column_q;  // to read next
  logic [UntilWidth-1:0] until_q;  // columns until the one that completes a window
  logic [RowWidth-1:0] row_q;  // of windows
  logic [BankWidth-1:0] bank_q;  // that holds the first row of the windows
  logic last_written_q, last_column_q, last_row_q;

  wire write, read;
  wire row_read = read && last_column_q;

  function automatic logic [BankWidth-1:0] turned(input logic [BankWidth-1:0] bank, input int by);
    return BankWidth'((32'(bank) + unsigned'(by)) % KernelHeight);
  endfunction
  localparam int TurnStride = Stride % Kernel;
  localparam int TurnFrame = ((ToFrame % Kernel) + Kernel) % Kernel;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_column_q <= '0;
      write_bank_q <= BankWidth'(PadTop % KernelHeight);
      last_written_q <= 1'b0;
    end else if (write) begin
      write_column_q <= last_written_q ? '0 : write_column_q + 1'b1;
      last_written_q <= write_column_q == AddressWidth'(RowBeats - 2);
      if (last_written_q) write_bank_q <= (write_bank_q == BankWidth'(KernelHeight - 1)) ? '0 : write_bank_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      column_q <= '0;
      until_q <= UntilWidth'(FirstColumn);
      last_column_q <= Columns == 1;
      row_q <= '0;
      bank_q <= '0;
      last_row_q <= OutHeight == 1;
    end else if (read) begin
      column_q <= last_column_q ? '0 : column_q + 1'b1;
      last_column_q <= Columns == 1 || column_q == ColumnWidth'(Columns - 2);
      if (last_column_q) until_q <= UntilWidth'(FirstColumn);
      else if (until_q == '0) until_q <= UntilWidth'(StrideWidth - 1);
      else until_q <= until_q - 1'b1;
      if (last_column_q) begin
        row_q <= last_row_q ? '0 : row_q + 1'b1;
        bank_q <= last_row_q ? turned(bank_q, TurnFrame) : turned(bank_q, TurnStride);
        last_row_q <= OutHeight == 1 || row_q == RowWidth'(OutHeight - 2);
      end
    end
  end

  // -- what of the column that is read next lies in the image: itself, the one behind it, and which of its rows

  // the first row of windows whose row k is in the image, and the first one behind those
  function automatic int first_row(input int from);
    return (from > 0) ? (from + Stride - 1) / Stride : 0;
  endfunction

  wire signed [31:0] column = 32'(column_q);
  wire signed [31:0] row = 32'(row_q);
  logic in_image_q, next_in_image_q;
  logic [KernelHeight-1:0] rows_inside_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      in_image_q <= 1'b1;
      next_in_image_q <= 1'b1;
    end else if (read) begin
      in_image_q <= last_column_q || column < Beats - 1;
      next_in_image_q <= last_column_q || column < Beats - 2;
    end
  end
  for (genvar k = 0; k < KernelHeight; k++) begin : gen_inside
    localparam int From = first_row(int'(PadTop) - k);
    localparam int To = first_row(int'(PadTop) - k + Height);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) rows_inside_q[k] <= From == 0 && To > 0;
      else if (row_read)
        rows_inside_q[k] <= last_row_q ? From == 0 && To > 0 : row >= From - 1 && row < To - 1;
    end
  end

  // -- pixels that have been written, up to the newest that the column needs, and pixels that may be written

  // The newest pixel is in the last row of the windows, or in the last one of the image: that from the row of windows
  // Clipped on, if there is one. A row of windows is ahead of the one before by Stride, but that of the last row of the
  // image by less, or 0. Border columns need no newer pixel.
  localparam int Reach = Kernel - 1 - int'(PadTop);  // the last row of the first windows
  localparam int Clipped = (Reach > Height - 1) ? 0 : (Height - 1 - Reach) / Stride + 1;
  localparam int Newest = (Reach > Height - 1) ? Height - 1 : Reach;
  localparam int LastReach = int'(OutHeight - 1) * Stride + Reach;
  localparam int LastNewest = (LastReach > Height - 1) ? Height - 1 : LastReach;
  localparam int ColumnsIn = int'((Columns < RowBeats) ? Columns : RowBeats);  // that are in the image

  localparam int NeedRow = Stride * Beats - ColumnsIn + 1;
  localparam int NeedClip = (Height - 1 - Reach - (Clipped - 1) * Stride) * Beats - ColumnsIn + 1;
  localparam int NeedClipped = 1 - ColumnsIn;
  localparam int NeedFrame = (Height + Newest - LastNewest) * Beats - ColumnsIn + 1;

  // the memory of the oldest row may be written up to the column that is read next
  localparam int ColumnsLeft = int'((Columns - 1 < RowBeats) ? Columns - 1 : RowBeats);  // before the last column
  localparam int FreeRow = Stride * Beats - ColumnsLeft;
  localparam int FreeFrame = ToFrame * Beats - ColumnsLeft;

  logic clips_q, clipped_q;  // the next row of windows is the first, or a later one, that ends in the image's last row
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      clips_q <= Clipped == 1;
      clipped_q <= Clipped < 1;
    end else if (row_read) begin
      clips_q <= last_row_q ? Clipped == 1 : row == Clipped - 2;
      clipped_q <= last_row_q ? Clipped < 1 : row > Clipped - 2;
    end
  end

  localparam int MaxAdvance = (Stride > ToFrame) ? Stride : ToFrame;
  localparam int unsigned DistanceWidth = $clog2((Kernel + MaxAdvance + int'(PadTop) + 2) * Beats) + 1;

  function automatic int chosen(
      input logic [4:0] at, input int border, input int pixel, input int next_row, input int clip,
      input int clipped, input int frame);
    return !at[0] ? (at[1] ? pixel : border) : at[2] ? frame : at[3] ? clipped : at[4] ? clip : next_row;
  endfunction
  wire [4:0] at_needed = {clips_q, clipped_q, last_row_q, next_in_image_q, last_column_q};
  wire [4:0] at_free = {2'b00, last_row_q, in_image_q, last_column_q};

  // Both distances are less 1 and plus half of their range, so that the highest bit says whether there is a pixel. A
  // write and a read in the same cycle are one constant.
  localparam bit [DistanceWidth-1:0] None = (1 << (DistanceWidth - 1)) - 1;
  logic [DistanceWidth-1:0] available_q, room_q;
  wire [DistanceWidth-1:0] available_change = !read ? DistanceWidth'(write) : DistanceWidth'(
      write ? chosen(at_needed, 1, 0, 1 - NeedRow, 1 - NeedClip, 1 - NeedClipped, 1 - NeedFrame) :
      chosen(at_needed, 0, -1, -NeedRow, -NeedClip, -NeedClipped, -NeedFrame));
  wire [DistanceWidth-1:0] room_change = !read ? {DistanceWidth{write}} : DistanceWidth'(
      write ? chosen(at_free, -1, 0, FreeRow - 1, 0, 0, FreeFrame - 1) :
      chosen(at_free, 0, 1, FreeRow, 0, 0, FreeFrame));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      available_q <= None - DistanceWidth'(Newest * Beats);
      room_q <= None + DistanceWidth'((Kernel - int'(PadTop)) * Beats);
    end else begin
      available_q <= available_q + available_change;
      room_q <= room_q + room_change;
    end
  end

  // -- writing and reading

  wire column_held;
  assign in_ready_o = room_q[DistanceWidth-1];
  assign write = in_valid_i && in_ready_o;
  assign read = available_q[DistanceWidth-1] && !column_held;

  wire [BeatWidth-1:0] banks[KernelHeight];
  for (genvar b = 0; b < KernelHeight; b++) begin : gen_bank
    simple_dual_port_ram #(
      .Width(BeatWidth),
      .Depth(RowBeats)
    ) u_row (
      .clk_i(clk_i),
      .write_i(write && write_bank_q == BankWidth'(b)),
      .write_address_i(write_column_q),
      .data_i(in_data_i),
      .read_i(read),
      .read_address_i(column_q[AddressWidth-1:0]),
      .data_o(banks[b])
    );
  end

  // -- the column that was read, its rows in order

  // flags only with column_valid_q: it is the first of a row of windows, it completes a window, and which of its rows are
  // in the border
  logic column_valid_q, column_first_q, column_emits_q;
  logic [KernelHeight-1:0] column_border_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      column_valid_q <= 1'b0;
      column_first_q <= 1'b0;
      column_emits_q <= 1'b0;
      column_border_q <= '0;
    end else begin
      column_valid_q <= read || column_held;
      if (!column_held) begin
        column_first_q <= read && column_q == '0;
        column_emits_q <= read && ((Pixels > 1) ? 32'(column_q) < OutWidth / Windows : until_q == '0);
        column_border_q <= {KernelHeight{read}} & ~(in_image_q ? rows_inside_q : '0);
      end
    end
  end

  // -- the window

  logic out_valid_q;
  wire held = out_valid_q && !out_ready_i;
  assign column_held = column_valid_q && held;

  logic [BankWidth-1:0] bank_of_row_q[KernelHeight];  // of the column
  for (genvar r = 0; r < KernelHeight; r++) begin : gen_turn
    always_ff @(posedge clk_i) if (read) bank_of_row_q[r] <= turned(bank_q, r);
  end

  if (Pixels == 1) begin : gen_single
    logic [Width-1:0] window_q[KernelHeight][KernelWidth];
    wire shift = column_valid_q && !held;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) out_valid_q <= 1'b0;
      else out_valid_q <= column_emits_q || held;
    end

    for (genvar r = 0; r < KernelHeight; r++) begin : gen_window_row
      for (genvar c = 0; c < KernelWidth; c++) begin : gen_window_column
        // A row of windows begins with a border, and pixels come from the right. In one expression, so that the reset to
        // Border does not wait for the enable.
        wire border = !held && ((c < KernelWidth - 1) ? column_first_q : column_border_q[r]);
        wire [Width-1:0] moved = (c < KernelWidth - 1) ? window_q[r][(c+1)%KernelWidth] : banks[bank_of_row_q[r]];
        always_ff @(posedge clk_i) window_q[r][c] <= border ? Border : shift ? moved : window_q[r][c];
        assign out_data_o[(r*KernelWidth+c)*Width+:Width] = window_q[r][c];
      end
    end
  end else begin : gen_several
    // The windows of a beat begin around the pixels of a column, its centre, and reach into the columns before it and into
    // Ahead of those behind. A column waits until these have come. `strip_q` holds the pixels that the windows have between
    // them, PadLeft before the centre first, and border where they are border to it.
    localparam int unsigned Span = Pixels - StrideWidth + KernelWidth;  // of all windows of a beat, in pixels
    localparam int unsigned Ahead = (Span - 1 - PadLeft) / Pixels;
    localparam int unsigned Next = (Ahead > 0) ? 1 : 0;  // of those that wait
    localparam int unsigned Strip = (PadLeft > 0 && Span < PadLeft + Pixels) ? PadLeft + Pixels : Span;

    // Of each column, what comes at index 0, what waits behind it: it is the first of a row of windows, or the last; it is
    // the centre of windows; it is a column at all, not the border that follows the last of a row where nothing comes.
    wire [Ahead:0] begins, ends, emits, is_column;
    logic column_last_q;
    always_ff @(posedge clk_i) if (!column_held) column_last_q <= last_column_q;
    assign begins[0] = column_first_q || !column_valid_q;
    assign ends[0] = column_last_q || !column_valid_q;
    assign emits[0] = column_emits_q;
    assign is_column[0] = column_valid_q;
    wire border_comes = Ahead > 0 && !column_valid_q && ends[Next] && (is_column >> 1) != '0;
    wire shift = !held && (column_valid_q || border_comes);
    wire unused_ends = &{1'b0, ends};

    for (genvar a = 1; a <= Ahead; a++) begin : gen_waiting
      logic begins_q, ends_q, emits_q, is_column_q;
      always_ff @(posedge clk_i) begin
        if (!rst_ni) begin
          {begins_q, ends_q} <= 2'b11;
          {emits_q, is_column_q} <= 2'b00;
        end else if (shift) begin
          begins_q <= begins[a-1];
          ends_q <= ends[a-1];
          emits_q <= emits[a-1];
          is_column_q <= is_column[a-1];
        end
      end
      assign begins[a] = begins_q;
      assign ends[a] = ends_q;
      assign emits[a] = emits_q;
      assign is_column[a] = is_column_q;
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) out_valid_q <= 1'b0;
      else out_valid_q <= (shift && emits[Ahead]) || held;
    end

    for (genvar r = 0; r < KernelHeight; r++) begin : gen_row
      wire outside = !held && column_border_q[r];  // what comes: then it is read, and so moves
      wire [BeatWidth-1:0] columns[Ahead+1];
      assign columns[0] = banks[bank_of_row_q[r]];
      for (genvar a = 1; a <= Ahead; a++) begin : gen_waiting
        logic [BeatWidth-1:0] pixels_q;
        always_ff @(posedge clk_i) pixels_q <= (a == 1 && outside) ? {Pixels{Border}} : shift ? columns[a-1] : pixels_q;
        assign columns[a] = pixels_q;
      end
      wire unused_pixels = &{1'b0, columns[Ahead], columns[0]};

      logic [Width-1:0] strip_q[Strip];
      for (genvar c = 0; c < Strip; c++) begin : gen_pixel
        // what was before the centre is in the strip, and the others in the columns from the centre on
        localparam bit Before = c < PadLeft;
        localparam int unsigned Pixel = Before ? 0 : c - PadLeft;
        localparam int unsigned Place = (Pixel / Pixels < Ahead) ? Ahead - Pixel / Pixels : 0;  // of its column
        wire [Width-1:0] moved =
            Before ? strip_q[(c+Pixels)%Strip] : columns[Place][(Pixel%Pixels)*Width+:Width];
        // a row of windows begins between it and the centre
        localparam bit [Ahead:0] One = 1;
        localparam bit [Ahead:0] Between = Before ? One << Ahead : (One << Ahead) - (One << Place);
        wire apart = (begins & Between) != '0;
        wire border = (!Before && Place == 0 && outside) || (shift && apart);
        always_ff @(posedge clk_i) strip_q[c] <= border ? Border : shift ? moved : strip_q[c];
      end
      for (genvar w = 0; w < Windows; w++) begin : gen_window
        for (genvar c = 0; c < KernelWidth; c++) begin : gen_column
          assign out_data_o[((w*KernelHeight+r)*KernelWidth+c)*Width+:Width] = strip_q[w*StrideWidth+c];
        end
      end
    end
  end

  assign out_valid_o = out_valid_q;

endmodule

`default_nettype wire
