// StreamingDataWidthConverter: joins narrow beats into wide ones, or splits wide ones, the lowest lanes first.
//
// The narrow side moves a beat in every step.
//
// Beats:               of a frame on the narrow side.
// ElementWidth, ElementSigned:  the elements' bits and sign.
// InLanes, OutLanes:   elements of an input and of an output beat; one is a multiple of the other.
// Pixels:              neighbours in a beat of either side, which are joined or split each by itself; divides both.
#ifndef A2Q_STREAMING_DATA_WIDTH_CONVERTER_HPP
#define A2Q_STREAMING_DATA_WIDTH_CONVERTER_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer>
void streaming_data_width_converter(
    stream<Numbers, Layer::InLanes, Layer::ElementWidth, Layer::ElementSigned> &in,
    stream<Numbers, Layer::OutLanes, Layer::ElementWidth, Layer::ElementSigned> &out) {
  using Element = typename Numbers::template number<Layer::ElementWidth, Layer::ElementSigned>;
  constexpr bool Widen = Layer::OutLanes > Layer::InLanes;
  constexpr int Lanes = Widen ? Layer::InLanes : Layer::OutLanes;
  constexpr int Parts = (Widen ? Layer::OutLanes : Layer::InLanes) / Lanes;
  static_assert(Layer::InLanes * (Widen ? Parts : 1) == Layer::OutLanes * (Widen ? 1 : Parts),
                "InLanes or OutLanes is a multiple of the other");
  static_assert(Lanes % Layer::Pixels == 0, "Pixels divides InLanes and OutLanes");
  constexpr int OfPixel = Lanes / Layer::Pixels;  // of a part

  Element held[Parts][Lanes];  // the wide beat
#pragma HLS array_partition variable=held complete dim=0
  int part = 0;
  for (unsigned n = 0; n < Layer::Beats; n++) {
#pragma HLS pipeline style=flp II=1
    const bool last = part == Parts - 1;
    if (Widen || part == 0) {
      const auto values = unpack<Element, Layer::InLanes>(in.read());
      for (int lane = 0; lane < Layer::InLanes; lane++) {
#pragma HLS unroll
        const int in_part = lane / OfPixel / Parts * OfPixel + lane % OfPixel;  // its place there, in a wide beat
        held[Widen ? part : lane / OfPixel % Parts][Widen ? lane : in_part] = values.lane[lane];
      }
    }
    if (!Widen || last) {
      beat<Element, Layer::OutLanes> results;
      for (int lane = 0; lane < Layer::OutLanes; lane++) {
#pragma HLS unroll
        const int in_part = lane / OfPixel / Parts * OfPixel + lane % OfPixel;
        results.lane[lane] = held[Widen ? lane / OfPixel % Parts : part][Widen ? in_part : lane];
      }
      out.write(pack(results));
    }
    part = last ? 0 : part + 1;
  }
}

}  // namespace a2q

#endif
