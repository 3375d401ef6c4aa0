// FMPadding: puts a border of a constant around each frame.
//
// ElementWidth, ElementSigned:             the elements' bits and sign.
// Simd:                                    elements of a beat.
// Folds:                                   beats of a pixel.
// ImageHeight, ImageWidth:                 pixels of a frame at the input.
// PadTop, PadLeft, PadBottom, PadRight:    pixels of the border; any of them may be 0.
// Value:                                   an element of the border.
#ifndef A2Q_FM_PADDING_HPP
#define A2Q_FM_PADDING_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer>
void fm_padding(
    stream<Numbers, Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &in,
    stream<Numbers, Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &out) {
  using Element = typename Numbers::template number<Layer::ElementWidth, Layer::ElementSigned>;
  using Word = word<Element, Layer::Simd>;
  beat<Element, Layer::Simd> values;
  for (int lane = 0; lane < Layer::Simd; lane++) {
#pragma HLS unroll
    values.lane[lane] = Element(Layer::Value);
  }
  const Word border = pack(values);
  constexpr int Rows = Layer::PadTop + Layer::ImageHeight + Layer::PadBottom;
  constexpr int Columns = Layer::PadLeft + Layer::ImageWidth + Layer::PadRight;
  for (int row = 0; row < Rows; row++) {
    for (int column = 0; column < Columns; column++) {
      for (int fold = 0; fold < Layer::Folds; fold++) {
#pragma HLS pipeline style=flp II=1
        const bool inside_rows = row >= Layer::PadTop && row < Layer::PadTop + Layer::ImageHeight;
        const bool inside_columns = column >= Layer::PadLeft && column < Layer::PadLeft + Layer::ImageWidth;
        Word pixel = border;
        if (inside_rows && inside_columns) pixel = in.read();
        out.write(pixel);
      }
    }
  }
}

}  // namespace a2q

#endif
