// ConvolutionInputGenerator: the sliding windows of a frame, from a circular line buffer.
//
// A frame is ImageHeight × ImageWidth pixels of Folds beats. Windows leave in raster order, their pixels row by row. With
// Depthwise a window leaves fold by fold: the first beat of each of its pixels, then the second of each, and so on. A
// step sends the next beat if it was written in an earlier one, and takes a beat if there is room, which a beat makes
// once no window needs it. When all windows have left, the rest of the frame is taken too.
//
// A step that sends does not wait for the beat that it could take. The layers before may wait for what it sends: a frame
// that parts and joins again comes no further until this branch has given what it can (pipeline/folding/deadlock.py).
//
// ElementWidth, ElementSigned:  the elements' bits and sign.
// Simd:                         elements of a beat, of each of its pixels.
// Folds:                        beats of a pixel.
// ImageHeight, ImageWidth:      pixels of a frame.
// KernelHeight, KernelWidth:    pixels of a window; not more than those of a frame.
// StrideHeight, StrideWidth:    pixels from a window to the next; may be more than the window's.
// DilationHeight, DilationWidth:  pixels from one of a window to the next; more than 1 in a row needs Folds 1, or Depthwise.
// Depth:                        beats of the buffer; unless Ordered it must span a window.
// Ordered:                      no beat is read twice or after a later one; room is made by beats then, not windows.
// Depthwise:                    windows leave fold by fold; not with Ordered.
// Pixels:                       pixels of a beat in, which divide ImageWidth. More than 1 are a multiple of StrideWidth, and
//                               KernelWidth is 1; those that windows begin with are the beat of as many windows.
#ifndef A2Q_CONVOLUTION_INPUT_GENERATOR_HPP
#define A2Q_CONVOLUTION_INPUT_GENERATOR_HPP

#include "numbers.hpp"

namespace a2q {

// How far a step of `beats`, forwards or backwards, takes an address of a circular buffer forwards.
constexpr int turn_of(int beats, int depth) { return (beats % depth + depth) % depth; }

// The pixels of a beat that are kept.
template <class Layer>
constexpr int kept() { return Layer::Pixels > Layer::StrideWidth ? Layer::Pixels / Layer::StrideWidth : 1; }

template <class Layer, class Element>
word<Element, kept<Layer>() * Layer::Simd> kept_of(const word<Element, Layer::Pixels * Layer::Simd> &taken) {
#pragma HLS inline
  const beat<Element, Layer::Pixels * Layer::Simd> pixels = unpack<Element, Layer::Pixels * Layer::Simd>(taken);
  beat<Element, kept<Layer>() * Layer::Simd> some;
  for (int lane = 0; lane < kept<Layer>() * Layer::Simd; lane++) {
#pragma HLS unroll
    some.lane[lane] = pixels.lane[lane / Layer::Simd * Layer::StrideWidth * Layer::Simd + lane % Layer::Simd];
  }
  return pack(some);
}

template <class Numbers, class Layer>
void convolution_input_generator(
    stream<Numbers, Layer::Pixels * Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &in,
    stream<Numbers, kept<Layer>() * Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &out) {
  using Element = typename Numbers::template number<Layer::ElementWidth, Layer::ElementSigned>;
  // several pixels are one here
  constexpr int RowPixels = Layer::ImageWidth / Layer::Pixels;
  constexpr int Stride = Layer::Pixels > 1 ? 1 : Layer::StrideWidth;
  static_assert(Layer::Pixels == 1 || (Layer::KernelWidth == 1 && Layer::Pixels % Layer::StrideWidth == 0),
                "several pixels are those of windows a pixel wide, and a multiple of their stride");
  // pixels of the image over which a window is spread
  constexpr int SpanHeight = (Layer::KernelHeight - 1) * Layer::DilationHeight + 1;
  constexpr int SpanWidth = (Layer::KernelWidth - 1) * Layer::DilationWidth + 1;
  constexpr int OutHeight = (Layer::ImageHeight - SpanHeight) / Layer::StrideHeight + 1;
  constexpr int OutWidth = (RowPixels - SpanWidth) / Stride + 1;
  constexpr int Passes = Layer::Depthwise ? Layer::Folds : 1;  // through the pixels of a window
  constexpr int Beats = Layer::KernelWidth * Layer::Folds / Passes;  // of a row of a window, in a pass

  // in beats of the frame: from the first of a window to its last, and to the first of the next window, in the same
  // row and in the next
  constexpr int Row = RowPixels * Layer::Folds;
  constexpr int Last = (SpanHeight - 1) * Row + SpanWidth * Layer::Folds - 1;
  constexpr int ToWindow = Stride * Layer::Folds;
  constexpr int ToRow = Layer::StrideHeight * Row - (OutWidth - 1) * ToWindow;
  static_assert(!Layer::Ordered || !Layer::Depthwise, "Ordered and Depthwise exclude each other");
  static_assert(Layer::Ordered || Layer::Depth > Last, "Depth holds all beats from the first of a window to its last");

  // from a beat to the next one that is read
  constexpr int StepBeat = Passes * Layer::DilationWidth;
  constexpr int StepRow = Layer::DilationHeight * Row - (Beats - 1) * StepBeat;
  constexpr int StepPass = Passes - Last;
  constexpr int StepWindow = ToWindow - Last;
  constexpr int StepNextRow = ToRow - Last;

  constexpr int Taken = Layer::ImageHeight * Row;
  constexpr int Sent = OutHeight * OutWidth * Passes * Layer::KernelHeight * Beats;
  constexpr int Moved = Taken + Sent;

  word<Element, kept<Layer>() * Layer::Simd> buffer[Layer::Depth];
#pragma HLS bind_storage variable=buffer type=ram_s2p
  int to_take = Taken, to_send = Sent, to_move = Moved;
  int available = 0;  // beats written that the read index has not passed, negative if it is ahead
  int room = Layer::Depth;
  int read_address = 0, write_address = 0;
  int beat_index = 0, kernel_row = 0, pass = 0, window = 0;  // of a row of the window, of the window, of a row of windows
  while (to_move > 0) {
#pragma HLS pipeline style=flp II=1
#pragma HLS loop_tripcount min=Sent max=Moved
    const bool sends = to_send > 0 && available > 0;
    const bool takes = to_take > 0 && (room > 0 || to_send == 0) && (!sends || !in.empty());
    // read before the beat of this step is written: it is never the one that is sent
    if (sends) out.write(buffer[read_address]);
    to_move -= int(sends) + int(takes);
    if (takes) {
      buffer[write_address] = kept_of<Layer, Element>(in.read());
      write_address = write_address == Layer::Depth - 1 ? 0 : write_address + 1;
      to_take--;
      available++;
      room--;
    }
    if (sends) {
      const bool last_beat = beat_index == Beats - 1;
      const bool last_kernel_row = kernel_row == Layer::KernelHeight - 1;
      const bool last_pass = pass == Passes - 1;
      const bool last_window = window == OutWidth - 1;
      int step = StepBeat, turn = turn_of(StepBeat, Layer::Depth), freed = 0;
      if (last_beat && !last_kernel_row) {
        step = StepRow;
        turn = turn_of(StepRow, Layer::Depth);
      } else if (last_beat && !last_pass) {
        step = StepPass;
        turn = turn_of(StepPass, Layer::Depth);
      } else if (last_beat && !last_window) {
        step = StepWindow;
        turn = turn_of(StepWindow, Layer::Depth);
        freed = ToWindow;
      } else if (last_beat) {
        step = StepNextRow;
        turn = turn_of(StepNextRow, Layer::Depth);
        freed = ToRow;
      }
      const int turned = read_address + turn;
      read_address = turned >= Layer::Depth ? turned - Layer::Depth : turned;
      to_send--;
      available -= step;
      room += Layer::Ordered ? step : freed;
      beat_index = last_beat ? 0 : beat_index + 1;
      if (last_beat) kernel_row = last_kernel_row ? 0 : kernel_row + 1;
      if (last_beat && last_kernel_row) pass = last_pass ? 0 : pass + 1;
      if (last_beat && last_kernel_row && last_pass) window = last_window ? 0 : window + 1;
    }
  }
}

}  // namespace a2q

#endif
