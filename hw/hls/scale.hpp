// A value times its scale, for DSPs or for look-up tables.
//
// MultipliesInDsps:  of a layer, which of both.
#ifndef A2Q_SCALE_HPP
#define A2Q_SCALE_HPP

#include "numbers.hpp"

namespace a2q {

struct in_dsps {};
struct in_luts {};
template <class Layer>
using multiplier = typename std::conditional<Layer::MultipliesInDsps, in_dsps, in_luts>::type;

template <class Value, class Scale>
auto scaled(in_dsps, const Value &value, const Scale &scale) -> decltype(value * scale) {
#pragma HLS inline
  const decltype(value * scale) product = value * scale;
#pragma HLS bind_op variable=product op=mul impl=dsp
  return product;
}
template <class Value, class Scale>
auto scaled(in_luts, const Value &value, const Scale &scale) -> decltype(value * scale) {
#pragma HLS inline
  const decltype(value * scale) product = value * scale;
#pragma HLS bind_op variable=product op=mul impl=fabric
  return product;
}

}  // namespace a2q

#endif
