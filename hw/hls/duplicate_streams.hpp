// DuplicateStreams: gives each beat of a stream to several readers.
//
// Beats:        of a frame.
// Pe:           elements of a beat.
// ElementWidth, ElementSigned:  the elements' bits and sign.
// Copies:       outputs, at least 1.
#ifndef A2Q_DUPLICATE_STREAMS_HPP
#define A2Q_DUPLICATE_STREAMS_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer, class... Outputs>
void duplicate_streams(
    stream<Numbers, Layer::Pe, Layer::ElementWidth, Layer::ElementSigned> &in, Outputs &...outputs) {
  static_assert(sizeof...(Outputs) == Layer::Copies, "there is an output for each copy");
  for (unsigned n = 0; n < Layer::Beats; n++) {
#pragma HLS pipeline style=flp II=1
    const auto values = in.read();
    const int done[] = {(outputs.write(values), 0)...};
    (void)done;
  }
}

}  // namespace a2q

#endif
