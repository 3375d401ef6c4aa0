// The sliding windows of each frame of a stream, whole pixels in and whole windows out, with the frame's border.
//
// A beat in is a pixel; a beat out is a window, its pixels row by row, the first in the least significant bits. What
// lies outside of the image is Border. The last KernelHeight rows are kept, each in a memory of its own, and a column
// of a window is read from all of them at once. A window row takes a cycle a column, and one for each column of the
// border on the right; the writer may be a row ahead, so a frame takes the longer of all pixels in and all window
// rows. in_ready_o does not depend on out_ready_i within a cycle.
//
// Width:                            bits of a pixel.
// ImageHeight, ImageWidth:          pixels of a frame.
// KernelHeight, KernelWidth:        pixels of a window.
// StrideHeight, StrideWidth:        pixels from a window to the next.
// PadTop, PadLeft:                  pixels of the border above and to the left, fewer than the window's.
// OutHeight, OutWidth:              windows of a frame; the last may lie in the border below and to the right.
// Border:                           a pixel of the border.
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
  parameter logic [Width-1:0] Border = '0
) (
  input  wire                                        clk_i,
  input  wire                                        rst_ni,

  input  wire                                        in_valid_i,
  output wire                                        in_ready_o,
  input  wire  [Width-1:0]                           in_data_i,

  output wire                                        out_valid_o,
  input  wire                                        out_ready_i,
  output wire  [KernelHeight*KernelWidth*Width-1:0]  out_data_o
);

  localparam int Height = int'(ImageHeight);
  localparam int Kernel = int'(KernelHeight);
  localparam int Stride = int'(StrideHeight);
  // columns that are read for a row of windows, and the index of the one that completes its first window
  localparam int unsigned FirstColumn = KernelWidth - 1 - PadLeft;
  localparam int unsigned Columns = (OutWidth - 1) * StrideWidth + FirstColumn + 1;
  // rows from the first of the last windows to that of the next frame's first
  localparam int ToFrame = Height - int'(OutHeight - 1) * Stride;

  if (Width < 1 || ImageWidth < 2 || ImageHeight < 1) begin : gen_check_sizes
    $error("%m: Width and ImageHeight must be at least 1, ImageWidth at least 2");
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

  localparam int unsigned ColumnWidth = $clog2((Columns > ImageWidth ? Columns : ImageWidth) + 1);
  localparam int unsigned AddressWidth = $clog2(ImageWidth);
  localparam int unsigned RowWidth = (OutHeight > 1) ? $clog2(OutHeight) : 1;
  localparam int unsigned BankWidth = (KernelHeight > 1) ? $clog2(KernelHeight) : 1;
  localparam int unsigned StrideCountWidth = (StrideWidth > 1) ? $clog2(StrideWidth) : 1;

  // -- where the writer and the reader are; rows are counted through the frames

  localparam int MaxAdvance = (Stride > ToFrame) ? Stride : ToFrame;
  localparam int unsigned DistanceWidth = $clog2(Kernel + MaxAdvance + int'(PadTop) + 2) + 1;  // signed

  logic [AddressWidth-1:0] write_column_q;
  logic [BankWidth-1:0] write_bank_q;
  logic [ColumnWidth-1:0] column_q;  // to read next
  logic [RowWidth-1:0] row_q;  // of windows
  logic [BankWidth-1:0] bank_q;  // that holds the first row of the windows
  logic signed [DistanceWidth-1:0] ahead_q;  // rows from the first of the windows to the one that is written

  wire write, read;
  wire last_written = write_column_q == AddressWidth'(ImageWidth - 1);
  wire last_column = column_q == ColumnWidth'(Columns - 1);
  wire last_row = row_q == RowWidth'(OutHeight - 1);
  wire row_read = read && last_column;

  function automatic logic [BankWidth-1:0] turned(input logic [BankWidth-1:0] bank, input int by);
    return BankWidth'((32'(bank) + unsigned'(by)) % KernelHeight);
  endfunction
  localparam int TurnStride = Stride % Kernel;
  localparam int TurnFrame = ((ToFrame % Kernel) + Kernel) % Kernel;

  wire signed [DistanceWidth-1:0] advance =
      !row_read ? '0 : last_row ? DistanceWidth'(ToFrame) : DistanceWidth'(Stride);
  wire signed [DistanceWidth-1:0] written = (write && last_written) ? DistanceWidth'(1) : '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_column_q <= '0;
      write_bank_q <= BankWidth'(PadTop % KernelHeight);
      column_q <= '0;
      row_q <= '0;
      bank_q <= '0;
      ahead_q <= DistanceWidth'(PadTop);
    end else begin
      if (write) begin
        write_column_q <= last_written ? '0 : write_column_q + 1'b1;
        if (last_written) write_bank_q <= (write_bank_q == BankWidth'(KernelHeight - 1)) ? '0 : write_bank_q + 1'b1;
      end
      if (read) begin
        column_q <= last_column ? '0 : column_q + 1'b1;
        if (last_column) begin
          row_q <= last_row ? '0 : row_q + 1'b1;
          bank_q <= last_row ? turned(bank_q, TurnFrame) : turned(bank_q, TurnStride);
        end
      end
      ahead_q <= ahead_q + written - advance;
    end
  end

  // -- which rows of the windows lie in the image

  // the first row of the windows is row_q · StrideHeight − PadTop; kept, not multiplied
  localparam int unsigned FirstWidth = $clog2(ImageHeight + KernelHeight) + 1;
  logic signed [FirstWidth-1:0] first_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) first_q <= -FirstWidth'(PadTop);
    else if (row_read) first_q <= last_row ? -FirstWidth'(PadTop) : first_q + FirstWidth'(Stride);
  end
  logic [KernelHeight-1:0] rows_inside;
  logic signed [DistanceWidth-1:0] newest;  // of these rows, from the first of the windows
  always_comb begin
    newest = '0;
    for (int k = 0; k < Kernel; k++) begin
      rows_inside[k] = first_q >= FirstWidth'(-k) && first_q < FirstWidth'(Height - k);
      if (rows_inside[k]) newest = DistanceWidth'(k);
    end
  end

  // -- writing and reading

  wire in_image = column_q < ColumnWidth'(ImageWidth);
  wire not_yet_written = ahead_q < newest || (ahead_q == newest && ColumnWidth'(write_column_q) <= column_q);
  wire column_there = !in_image || !not_yet_written;
  // the memory of the oldest row may be written up to the column that is read next
  localparam logic signed [DistanceWidth-1:0] Full = DistanceWidth'(Kernel);
  wire room = ahead_q < Full || (ahead_q == Full && ColumnWidth'(write_column_q) < column_q);
  wire shift_free;
  assign in_ready_o = room;
  assign write = in_valid_i && room;
  assign read = column_there && shift_free;

  wire [Width-1:0] banks[KernelHeight];
  for (genvar b = 0; b < KernelHeight; b++) begin : gen_bank
    simple_dual_port_ram #(
      .Width(Width),
      .Depth(ImageWidth)
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

  logic column_valid_q, column_first_q, column_emits_q, column_inside_q;
  logic [BankWidth-1:0] column_bank_q;
  logic [KernelHeight-1:0] column_rows_q;
  logic [StrideCountWidth-1:0] until_q;  // columns until the next window is complete

  wire complete = column_q >= ColumnWidth'(FirstColumn) && until_q == '0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) until_q <= '0;
    else if (read && column_q >= ColumnWidth'(FirstColumn))
      until_q <= (last_column) ? '0 : complete ? StrideCountWidth'(StrideWidth - 1) : until_q - 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) column_valid_q <= 1'b0;
    else if (shift_free) column_valid_q <= read;
    if (read) begin
      column_first_q <= column_q == '0;
      column_emits_q <= complete;
      column_inside_q <= in_image;
      column_bank_q <= bank_q;
      column_rows_q <= rows_inside;
    end
  end

  wire [Width-1:0] column[KernelHeight];
  for (genvar k = 0; k < KernelHeight; k++) begin : gen_row
    wire [BankWidth-1:0] bank = turned(column_bank_q, k);
    assign column[k] = (column_rows_q[k] && column_inside_q) ? banks[bank] : Border;
  end

  // -- the window

  logic [Width-1:0] window_q[KernelHeight][KernelWidth];
  logic out_valid_q;
  wire out_free = !out_valid_q || out_ready_i;
  assign shift_free = !column_valid_q || out_free;
  wire shift = column_valid_q && out_free;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) out_valid_q <= 1'b0;
    else if (out_free) out_valid_q <= shift && column_emits_q;
  end

  for (genvar r = 0; r < KernelHeight; r++) begin : gen_window_row
    for (genvar c = 0; c < KernelWidth; c++) begin : gen_window_column
      always_ff @(posedge clk_i) begin
        if (shift) begin
          if (c == KernelWidth - 1) window_q[r][c] <= column[r];
          else if (column_first_q) window_q[r][c] <= Border;
          else window_q[r][c] <= window_q[r][(c+1)%KernelWidth];
        end
      end
      assign out_data_o[(r*KernelWidth+c)*Width+:Width] = window_q[r][c];
    end
  end

  assign out_valid_o = out_valid_q;

endmodule

`default_nettype wire
