// ElementwiseMul: the product of two streams, element by element.
//
// Pixels:        of a frame of input 0.
// Folds:         beats of a pixel.
// Pe:            elements of a beat.
// Gated:         input 1 has one pixel a frame, which is read first.
// Width0, Signed0:  an element of input 0, its bits and sign; Width1, Signed1: of input 1.
// OutputWidth, OutputSigned:  bits and sign of a product, wide enough for every one.
#ifndef A2Q_ELEMENTWISE_MUL_HPP
#define A2Q_ELEMENTWISE_MUL_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer>
void elementwise_mul(
    stream<Numbers, Layer::Pe, Layer::Width0, Layer::Signed0> &in0,
    stream<Numbers, Layer::Pe, Layer::Width1, Layer::Signed1> &in1,
    stream<Numbers, Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out) {
  using Number0 = typename Numbers::template number<Layer::Width0, Layer::Signed0>;
  using Number1 = typename Numbers::template number<Layer::Width1, Layer::Signed1>;
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;
  constexpr int Kept = Layer::Gated ? Layer::Folds : 1;
  beat<Number1, Layer::Pe> gates[Kept];
  // with Gated a pixel more, the first one, in which only input 1 is read
  for (int pixel = Layer::Gated ? -1 : 0; pixel < Layer::Pixels; pixel++) {
    for (int fold = 0; fold < Layer::Folds; fold++) {
#pragma HLS pipeline style=flp II=1
      const int kept = Layer::Gated ? fold : 0;
      if (!Layer::Gated || pixel < 0) gates[kept] = unpack<Number1, Layer::Pe>(in1.read());
      if (pixel < 0) continue;
      const auto a = unpack<Number0, Layer::Pe>(in0.read());
      const beat<Number1, Layer::Pe> b = gates[kept];
      beat<Output, Layer::Pe> products;
      for (int lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
        products.lane[lane] = Output(a.lane[lane] * b.lane[lane]);
      }
      out.write(pack(products));
    }
  }
}

}  // namespace a2q

#endif
