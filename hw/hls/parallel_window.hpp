// ParallelWindow: the sliding windows of a frame and its border, whole pixels in and whole windows out.
//
// A beat out is a window, its pixels row by row, the first in the least significant bits. What lies outside of the
// image is Border. A beat in is a pixel, or Pixels neighbours; then a beat out is Pixels / StrideWidth windows. A step is a
// beat of the frame, or of its border on the right and below; the pixels above it come
// from the line buffers and move up by one of them. Windows that end below the image leave with its last row where no
// others do, as they need no more of it than the columns that they reach.
//
// ElementWidth, ElementSigned:      the elements' bits and sign.
// Channels:                         elements of a pixel.
// ImageHeight, ImageWidth:          pixels of a frame; at least 2 in a row.
// KernelHeight, KernelWidth:        pixels of a window.
// StrideHeight, StrideWidth:        pixels from a window to the next.
// PadTop, PadLeft:                  pixels of the border above and to the left, fewer than the window's.
// OutHeight, OutWidth:              windows of a frame; the last may lie in the border below and to the right.
// Border:                           an element of the border.
// Pixels:                           pixels of a beat in. More than 1 are a multiple of StrideWidth, divide ImageWidth, and
//                                   windows of a beat divide OutWidth; a row has no more beats of windows than of pixels.
#ifndef A2Q_PARALLEL_WINDOW_HPP
#define A2Q_PARALLEL_WINDOW_HPP

#include "numbers.hpp"

namespace a2q {

// The windows of a beat.
template <class Layer>
constexpr int windows() { return Layer::Pixels > Layer::StrideWidth ? Layer::Pixels / Layer::StrideWidth : 1; }

template <class Numbers, class Layer>
void parallel_window(
    stream<Numbers, Layer::Pixels * Layer::Channels, Layer::ElementWidth, Layer::ElementSigned> &in,
    stream<Numbers, windows<Layer>() * Layer::KernelHeight * Layer::KernelWidth * Layer::Channels, Layer::ElementWidth,
           Layer::ElementSigned> &out) {
  using Element = typename Numbers::template number<Layer::ElementWidth, Layer::ElementSigned>;
  constexpr int Pixels = Layer::Pixels, Windows = windows<Layer>(), Channels = Layer::Channels;
  using Beat = word<Element, Pixels * Channels>;
  constexpr int Height = Layer::KernelHeight, Width = Layer::KernelWidth;
  constexpr int ImageBeats = Layer::ImageWidth / Pixels;  // of a row
  static_assert(Layer::PadTop < Height && Layer::PadLeft < Width, "every window has a pixel of the image");
  static_assert(Pixels == 1 || (ImageBeats * Pixels == Layer::ImageWidth && Pixels % Layer::StrideWidth == 0 &&
                                Layer::OutWidth % Windows == 0 && Layer::OutWidth / Windows <= ImageBeats),
                "Pixels divides a row, and its windows a row of windows");
  // the row and the column of beats that complete the first windows, and how many there are to go through
  constexpr int FirstRow = Height - 1 - Layer::PadTop;
  constexpr int Reach = Pixels == 1 ? Width : Pixels - Layer::StrideWidth + Width;  // pixels of the windows of a beat
  constexpr int FirstColumn = (Reach - 1 - Layer::PadLeft) / Pixels;
  constexpr int StrideBeats = Pixels == 1 ? Layer::StrideWidth : 1;
  constexpr int Strip = Layer::PadLeft + (FirstColumn + 1) * Pixels;  // pixels that are held
  constexpr int WindowRows = FirstRow + (Layer::OutHeight - 1) * Layer::StrideHeight + 1;
  constexpr int WindowColumns = FirstColumn + (Layer::OutWidth / Windows - 1) * StrideBeats + 1;
  constexpr int LastRow = Layer::ImageHeight - 1;
  // rows of windows that are complete above the last row, and the rows of the border that the next has below it
  constexpr int Above = LastRow > FirstRow ? (LastRow - FirstRow + Layer::StrideHeight - 1) / Layer::StrideHeight : 0;
  constexpr int Below = Above < Layer::OutHeight ? FirstRow + Above * Layer::StrideHeight - LastRow : 0;
  constexpr int Rows = WindowRows - Below > Layer::ImageHeight ? WindowRows - Below : Layer::ImageHeight;
  constexpr int Columns = WindowColumns > ImageBeats ? WindowColumns : ImageBeats;

  constexpr int Lines = Height > 1 ? Height - 1 : 1;
  Beat lines[Lines][ImageBeats];  // the rows above, the last of them nearest
#pragma HLS array_partition variable=lines complete dim=1
  // a word is read again a row after it was written, and no step sooner
#pragma HLS dependence variable=lines type=inter direction=RAW distance=Columns dependent=true
  Element strip[Height][Strip][Channels];  // the newest pixels of each row, the last on the right
#pragma HLS array_partition variable=strip complete dim=0
  beat<Element, Pixels * Channels> outside;
  for (int lane = 0; lane < Pixels * Channels; lane++) {
#pragma HLS unroll
    outside.lane[lane] = Element(Layer::Border);
  }
  const Beat border = pack(outside);

  int rows_until = 0, columns_until = 0;  // rows and columns until the next window is complete
  for (int row = 0; row < Rows; row++) {
    for (int column = 0; column < Columns; column++) {
#pragma HLS pipeline style=flp II=1
      const bool inside_columns = column < ImageBeats;
      const bool skips = Below > 0 && row == LastRow;
      const int end = row >= LastRow ? row + Below : row;  // the row of the frame with which these windows end
      Beat newest = border;
      if (inside_columns && row <= LastRow) newest = in.read();
      Beat pixels[Height];  // of this column
#pragma HLS array_partition variable=pixels complete
      Beat above[Lines];
#pragma HLS array_partition variable=above complete
      for (int k = 0; k < Lines; k++) {
#pragma HLS unroll
        above[k] = lines[k][inside_columns ? column : 0];
      }
      for (int k = 0; k < Height; k++) {
#pragma HLS unroll
        const bool inside = inside_columns && end >= Height - 1 - k;
        const int place = skips ? k + Below : k;  // Height - 1 is that of the row that comes in
        pixels[k] = place == Height - 1 ? newest : border;
        if (inside && place < Height - 1) pixels[k] = skips ? above[(k + Below) % Lines] : above[k % Lines];
      }
      for (int k = 1; k < Height; k++) {
#pragma HLS unroll
        if (inside_columns) lines[k - 1][column] = pixels[k];
      }

      beat<Element, Windows * Height * Width * Channels> results;
      for (int r = 0; r < Height; r++) {
#pragma HLS unroll
        const beat<Element, Pixels * Channels> newest_pixels = unpack<Element, Pixels * Channels>(pixels[r]);
        for (int c = 0; c < Strip; c++) {
#pragma HLS unroll
          for (int channel = 0; channel < Channels; channel++) {
#pragma HLS unroll
            const bool is_new = c >= Strip - Pixels;
            strip[r][c][channel] = is_new ? newest_pixels.lane[is_new ? (c + Pixels - Strip) * Channels + channel : 0]
                                 : column == 0 ? Element(Layer::Border) : strip[r][is_new ? c : c + Pixels][channel];
          }
        }
        for (int w = 0; w < Windows; w++) {
#pragma HLS unroll
          for (int c = 0; c < Width; c++) {
#pragma HLS unroll
            for (int channel = 0; channel < Channels; channel++) {
#pragma HLS unroll
              results.lane[((w * Height + r) * Width + c) * Channels + channel] =
                  strip[r][w * Layer::StrideWidth + c][channel];
            }
          }
        }
      }
      const bool row_done = column == Columns - 1;
      const bool in_rows = end >= FirstRow && (rows_until == 0 || skips);
      const bool in_columns = column >= FirstColumn && column < WindowColumns && columns_until == 0;
      if (in_rows && in_columns) out.write(pack(results));
      if (column >= FirstColumn) columns_until = columns_until == 0 ? StrideBeats - 1 : columns_until - 1;
      if (row_done) columns_until = 0;
      if (row_done && end >= FirstRow) rows_until = in_rows ? Layer::StrideHeight - 1 : rows_until - 1;
    }
  }
}

}  // namespace a2q

#endif
