// UpsampleNearestNeighbour: each row of a frame several times, and each pixel of it several times.
//
// A row is held in a memory, and a pixel of few beats in registers: a memory is not written and read in as few steps.
//
// ElementWidth, ElementSigned:  the elements' bits and sign.
// Simd:                         elements of a beat.
// Folds:                        beats of a pixel.
// ImageHeight, ImageWidth:      pixels of a frame at the input.
// FactorHeight, FactorWidth:    copies of a row, and of a pixel.
#ifndef A2Q_UPSAMPLE_NEAREST_NEIGHBOUR_HPP
#define A2Q_UPSAMPLE_NEAREST_NEIGHBOUR_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer>
void upsample_nearest_neighbour(
    stream<Numbers, Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &in,
    stream<Numbers, Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &out) {
  using Word = word<typename Numbers::template number<Layer::ElementWidth, Layer::ElementSigned>, Layer::Simd>;
  constexpr int Few = 16;  // beats: more steps than a memory takes to be read and written
  constexpr bool InRegisters = Layer::Folds <= Few;
  constexpr int Row = Layer::ImageWidth * Layer::Folds;
  constexpr int Distance = InRegisters ? Row * Layer::FactorWidth : Layer::Folds;  // from writing a word to reading it
  static_assert(Distance >= 1, "a word is read after it was written");
  Word row[Row];
  Word pixel[InRegisters ? Layer::Folds : 1];
#pragma HLS array_partition variable=pixel complete
#pragma HLS dependence variable=row type=inter direction=RAW distance=Distance dependent=true
  for (int y = 0; y < Layer::ImageHeight * Layer::FactorHeight; y++) {
    for (int x = 0; x < Layer::ImageWidth; x++) {
      for (int copy = 0; copy < Layer::FactorWidth; copy++) {
        for (int fold = 0; fold < Layer::Folds; fold++) {
#pragma HLS pipeline style=flp II=1
          const bool first_row = y % Layer::FactorHeight == 0;
          const int place = x * Layer::Folds + fold;
          const int register_of_fold = InRegisters ? fold : 0;
          Word value;
          if (first_row && copy == 0) {
            value = in.read();
            row[place] = value;
          } else if (InRegisters && copy > 0) {
            value = pixel[register_of_fold];
          } else {
            value = row[place];
          }
          pixel[register_of_fold] = value;
          out.write(value);
        }
      }
    }
  }
}

}  // namespace a2q

#endif
