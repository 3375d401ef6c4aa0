// Crop: a part of each frame; the rest is taken and dropped.
//
// ElementWidth, ElementSigned:       the elements' bits and sign.
// Simd:                              elements of a beat.
// ImageHeight, ImageWidth, Folds:    rows of a frame, pixels of a row, beats of a pixel.
// FirstRow, FirstColumn, FirstFold:  where the part begins.
// Rows, Columns, PartFolds:          rows of the part, pixels of its rows, beats of its pixels.
#ifndef A2Q_CROP_HPP
#define A2Q_CROP_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer>
void crop(
    stream<Numbers, Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &in,
    stream<Numbers, Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &out) {
  for (int row = 0; row < Layer::ImageHeight; row++) {
    for (int column = 0; column < Layer::ImageWidth; column++) {
      for (int fold = 0; fold < Layer::Folds; fold++) {
#pragma HLS pipeline style=flp II=1
        const auto values = in.read();
        const bool inside_rows = row >= Layer::FirstRow && row < Layer::FirstRow + Layer::Rows;
        const bool inside_columns = column >= Layer::FirstColumn && column < Layer::FirstColumn + Layer::Columns;
        const bool inside_folds = fold >= Layer::FirstFold && fold < Layer::FirstFold + Layer::PartFolds;
        if (inside_rows && inside_columns && inside_folds) out.write(values);
      }
    }
  }
}

}  // namespace a2q

#endif
