// StreamingConcat: the channels of two streams behind each other.
//
// Pixels:       of a frame.
// Simd:         elements of a beat, on all sides.
// Folds0:       beats of a pixel of input 0.
// Width0, Signed0:  the bits and sign of its elements.
// Folds1, Width1, Signed1:  the same for input 1.
// OutputWidth, OutputSigned:  the bits and sign of the output, which holds the elements of both.
#ifndef A2Q_STREAMING_CONCAT_HPP
#define A2Q_STREAMING_CONCAT_HPP

#include "numbers.hpp"

namespace a2q {

// The next beat of `in`, as wide as the output's.
template <class Numbers, class Layer, class Number, class In>
word<typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>, Layer::Simd> widened(In &in) {
#pragma HLS inline
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;
  const auto values = unpack<Number, Layer::Simd>(in.read());
  beat<Output, Layer::Simd> wide;
  for (int lane = 0; lane < Layer::Simd; lane++) {
#pragma HLS unroll
    wide.lane[lane] = Output(values.lane[lane]);
  }
  return pack(wide);
}

template <class Numbers, class Layer>
void streaming_concat(
    stream<Numbers, Layer::Simd, Layer::Width0, Layer::Signed0> &in0,
    stream<Numbers, Layer::Simd, Layer::Width1, Layer::Signed1> &in1,
    stream<Numbers, Layer::Simd, Layer::OutputWidth, Layer::OutputSigned> &out) {
  using Number0 = typename Numbers::template number<Layer::Width0, Layer::Signed0>;
  using Number1 = typename Numbers::template number<Layer::Width1, Layer::Signed1>;
  constexpr int Folds = Layer::Folds0 + Layer::Folds1;
  for (int pixel = 0; pixel < Layer::Pixels; pixel++) {
    for (int fold = 0; fold < Folds; fold++) {
#pragma HLS pipeline style=flp II=1
      if (fold < Layer::Folds0) {
        out.write(widened<Numbers, Layer, Number0>(in0));
      } else {
        out.write(widened<Numbers, Layer, Number1>(in1));
      }
    }
  }
}

}  // namespace a2q

#endif
