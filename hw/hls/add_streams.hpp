// AddStreams: the sum of two streams, element by element, each times a constant.
//
// Beats:         of a frame.
// Pe:            elements of a beat.
// Width0, Signed0:          an element of input 0, its bits and sign.
// Multiplier0:              the constant it is multiplied by.
// TermWidth0, TermSigned0:  bits and sign of the product, wide enough for every one.
// Width1, Signed1, Multiplier1, TermWidth1, TermSigned1:  the same for input 1.
// OutputWidth, OutputSigned:  bits and sign of a sum, wide enough for every one.
#ifndef A2Q_ADD_STREAMS_HPP
#define A2Q_ADD_STREAMS_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer>
void add_streams(
    stream<Numbers, Layer::Pe, Layer::Width0, Layer::Signed0> &in0,
    stream<Numbers, Layer::Pe, Layer::Width1, Layer::Signed1> &in1,
    stream<Numbers, Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out) {
  using Number0 = typename Numbers::template number<Layer::Width0, Layer::Signed0>;
  using Number1 = typename Numbers::template number<Layer::Width1, Layer::Signed1>;
  using Term0 = typename Numbers::template number<Layer::TermWidth0, Layer::TermSigned0>;
  using Term1 = typename Numbers::template number<Layer::TermWidth1, Layer::TermSigned1>;
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;
  for (unsigned n = 0; n < Layer::Beats; n++) {
#pragma HLS pipeline style=flp II=1
    const auto a = unpack<Number0, Layer::Pe>(in0.read());
    const auto b = unpack<Number1, Layer::Pe>(in1.read());
    beat<Output, Layer::Pe> sums;
    for (int lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
      const Term0 term0(a.lane[lane] * Layer::Multiplier0);
      const Term1 term1(b.lane[lane] * Layer::Multiplier1);
      sums.lane[lane] = Output(term0 + term1);
    }
    out.write(pack(sums));
  }
}

}  // namespace a2q

#endif
