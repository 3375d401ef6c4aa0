// Each row of a frame several times, and each pixel of it several times.
//
// An output beat leaves in every cycle in which its input is there. A beat is read as soon as it has been written, and
// overwritten as soon as it has been read for the last time: the next row comes in while the last copy of the one before
// leaves. A beat is visible at the output two cycles after it was taken. in_ready_o does not depend on out_ready_i
// within a cycle.
//
// The buffer holds a row, or, where no row is repeated, a pixel. Nothing is compared in the cycle in which it is needed:
// what a read changes has been found a read before, and the highest bit of a count says whether it is above 0.
//
// Width:         bits of a beat.
// Folds:         beats of a pixel.
// ImageWidth:    pixels of a row at the input.
// FactorHeight:  copies of a row.
// FactorWidth:   copies of a pixel.
`default_nettype none

module upsample_nearest_neighbour #(
  parameter int unsigned Width = 8,
  parameter int unsigned Folds = 1,
  parameter int unsigned ImageWidth = 8,
  parameter int unsigned FactorHeight = 2,
  parameter int unsigned FactorWidth = 2
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

  if (Width < 1 || Folds < 1 || ImageWidth < 1 || FactorHeight < 1 || FactorWidth < 1) begin : gen_check
    $error("%m: Width, Folds, ImageWidth, FactorHeight and FactorWidth must be at least 1");
  end

  localparam int unsigned Row = ImageWidth * Folds;
  localparam int unsigned Held = (FactorHeight > 1) ? Row : Folds;
  localparam int unsigned Depth = (Held > 2) ? Held : 2;  // with one word no beat could leave in every cycle

  // where the next read is: beat of a pixel, copy of the pixel, pixel of a row, copy of the row
  localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1;
  localparam int unsigned CopyWidth = (FactorWidth > 1) ? $clog2(FactorWidth) : 1;
  localparam int unsigned ColumnWidth = (ImageWidth > 1) ? $clog2(ImageWidth) : 1;
  localparam int unsigned RowCopyWidth = (FactorHeight > 1) ? $clog2(FactorHeight) : 1;

  logic [FoldWidth-1:0] fold_q;
  logic [CopyWidth-1:0] copy_q;
  logic [ColumnWidth-1:0] column_q;
  logic [RowCopyWidth-1:0] row_copy_q;

  // the last of each, of a copy of a pixel, of all its copies, and of a row; the last but one of each
  logic last_fold_q, last_copy_q, last_column_q, last_row_copy_q, pixel_end_q, row_end_q;
  logic fold_before_q, copy_before_q, column_before_q, row_copy_before_q;

  // a flag that changes to what it becomes where it moves; written as gates, so that all of them have the read as their
  // one enable, which comes late
  function automatic logic moved(input logic moves, input logic becomes, input logic flag);
    return (moves & becomes) | (~moves & flag);
  endfunction

  // the same for the read after it
  wire next_last_fold = Folds == 1 || fold_before_q;
  wire next_last_copy = FactorWidth == 1 || moved(last_fold_q, copy_before_q, last_copy_q);
  wire next_last_column = ImageWidth == 1 || moved(pixel_end_q, column_before_q, last_column_q);
  wire next_last_row_copy = FactorHeight == 1 || moved(row_end_q, row_copy_before_q, last_row_copy_q);
  // the last but two of each, or of two the last, so that the last but one follows
  wire third_last_fold = last_fold_q ? Folds == 2 : Folds > 2 && fold_q == FoldWidth'(Folds - 3);
  wire third_last_copy = last_copy_q ? FactorWidth == 2 : FactorWidth > 2 && copy_q == CopyWidth'(FactorWidth - 3);
  wire third_last_column = last_column_q ? ImageWidth == 2 : ImageWidth > 2 && column_q == ColumnWidth'(ImageWidth - 3);
  wire third_last_row_copy =
      last_row_copy_q ? FactorHeight == 2 : FactorHeight > 2 && row_copy_q == RowCopyWidth'(FactorHeight - 3);
  wire [3:0] next = {next_last_row_copy, next_last_column, next_last_copy, next_last_fold};
  localparam bit [3:0] First = {FactorHeight == 1, ImageWidth == 1, FactorWidth == 1, Folds == 1};

  wire write, read;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fold_q <= '0;
      copy_q <= '0;
      column_q <= '0;
      row_copy_q <= '0;
      {last_row_copy_q, last_column_q, last_copy_q, last_fold_q} <= First;
      pixel_end_q <= &First[1:0];
      row_end_q <= &First[2:0];
      fold_before_q <= Folds == 2;
      copy_before_q <= FactorWidth == 2;
      column_before_q <= ImageWidth == 2;
      row_copy_before_q <= FactorHeight == 2;
    end else if (read) begin
      fold_q <= last_fold_q ? '0 : fold_q + 1'b1;
      copy_q <= (last_fold_q && last_copy_q) ? '0 : copy_q + CopyWidth'(last_fold_q);
      column_q <= (pixel_end_q && last_column_q) ? '0 : column_q + ColumnWidth'(pixel_end_q);
      row_copy_q <= (row_end_q && last_row_copy_q) ? '0 : row_copy_q + RowCopyWidth'(row_end_q);
      fold_before_q <= third_last_fold;
      copy_before_q <= moved(last_fold_q, third_last_copy, copy_before_q);
      column_before_q <= moved(pixel_end_q, third_last_column, column_before_q);
      row_copy_before_q <= moved(row_end_q, third_last_row_copy, row_copy_before_q);
      {last_row_copy_q, last_column_q, last_copy_q, last_fold_q} <= next;
      pixel_end_q <= &next[1:0];
      row_end_q <= &next[2:0];
    end
  end

  // the one of three constants that belongs to a read: it goes on to the next word, back to the first of the pixel, or of
  // the row
  function automatic int chosen(input logic [3:0] last, input int on, input int pixel, input int row);
    return !last[0] ? on : !last[1] ? pixel : !last[2] ? on : !last[3] ? row : on;
  endfunction
  localparam int BackPixel = int'(Folds) - 1;
  localparam int BackRow = int'(Row) - 1;

  // Words written that the read index has not passed; words that may be written. Both less 1 and plus half of the range:
  // the highest bit says whether there is one.
  localparam int unsigned CountWidth = $clog2(Depth + 1) + 1;
  localparam bit [CountWidth-1:0] None = (1 << (CountWidth - 1)) - 1;
  logic [CountWidth-1:0] available_q, room_q, passed_q, passed_written_q;

  // what a read adds to the words that it has not passed, alone and together with a write
  function automatic logic [CountWidth-1:0] passed(input logic [3:0] last);
    return CountWidth'(chosen(last, -1, BackPixel, BackRow));
  endfunction
  function automatic logic [CountWidth-1:0] passed_written(input logic [3:0] last);
    return CountWidth'(chosen(last, 0, BackPixel + 1, BackRow + 1));
  endfunction

  logic last_time_q;  // the next read is the last one of its word
  wire frees = read && last_time_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      available_q <= None;
      room_q <= None + CountWidth'(Depth);
      passed_q <= passed(First);
      passed_written_q <= passed_written(First);
      last_time_q <= First[1] && First[3];
    end else begin
      available_q <= available_q + (read ? (write ? passed_written_q : passed_q) : CountWidth'(write));
      room_q <= room_q + {{CountWidth - 1{write && !frees}}, write != frees};
      if (read) begin
        passed_q <= passed(next);
        passed_written_q <= passed_written(next);
        last_time_q <= next[1] && next[3];
      end
    end
  end

  // the buffer, and the output register, which is that of the memory
  localparam int unsigned AddressWidth = $clog2(Depth);
  logic [AddressWidth-1:0] write_address_q, read_address_q, back_q;
  logic write_last_q, read_last_q, goes_back_q, stays_q;

  logic out_valid_q;
  wire held = out_valid_q && !out_ready_i;
  assign out_valid_o = out_valid_q;
  assign in_ready_o = room_q[CountWidth-1];
  assign write = in_valid_i && in_ready_o;
  assign read = available_q[CountWidth-1] && !held;
  wire [AddressWidth-1:0] read_address = goes_back_q ? read_address_q - back_q
                                                     : read_last_q ? '0 : read_address_q + 1'b1;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_address_q <= '0;
      write_last_q <= 1'b0;
      read_address_q <= '0;
      read_last_q <= 1'b0;
      back_q <= AddressWidth'(chosen(First, 0, BackPixel, BackRow));
      goes_back_q <= chosen(First, 0, 1, 1) == 1;
      stays_q <= chosen(First, 0, int'(BackPixel == 0), int'(BackRow == 0)) == 1;
      out_valid_q <= 1'b0;
    end else begin
      if (write) begin
        write_address_q <= write_last_q ? '0 : write_address_q + 1'b1;
        write_last_q <= write_address_q == AddressWidth'(Depth - 2);
      end
      if (read) begin
        read_address_q <= read_address;
        read_last_q <= goes_back_q ? read_last_q && stays_q : read_address_q == AddressWidth'(Depth - 2);
        back_q <= AddressWidth'(chosen(next, 0, BackPixel, BackRow));
        goes_back_q <= chosen(next, 0, 1, 1) == 1;
        stays_q <= chosen(next, 0, int'(BackPixel == 0), int'(BackRow == 0)) == 1;
      end
      out_valid_q <= read || held;
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
