// The level of a value v, where levels are evenly spaced: (v * m + b) shifted right, clipped.
//
// The shift rounds down. With HalfEven an odd quotient that leaves no remainder becomes one less: with half of
// 2^RequantizeShift in b, halves round to even.
//
// RequantizeShift:    bits that are shifted out; at least 1 with HalfEven.
// HalfEven:           round as above, else down.
// OutputOffset:       the lowest level.
// NumThresholds:      levels above it.
// MultipliesInDsps:   v * m is for DSPs (see scale).
// channel:            m and b.
#ifndef A2Q_REQUANTIZE_HPP
#define A2Q_REQUANTIZE_HPP

#include "scale.hpp"

namespace a2q {

template <class Layer, class Output, class Value, class Factor>
Output requantize(const Value &value, const Factor (&channel)[2]) {
#pragma HLS inline
  static_assert(!Layer::HalfEven || Layer::RequantizeShift > 0, "what is not shifted is not rounded");
  constexpr int highest = Layer::OutputOffset + Layer::NumThresholds;
  const auto sum = scaled(multiplier<Layer>(), value, channel[0]) + channel[1];
  const auto quotient = sum >> Layer::RequantizeShift;
  const bool less = Layer::HalfEven && (quotient & 1) != 0 && (quotient << Layer::RequantizeShift) == sum;
  if (quotient < Layer::OutputOffset + int(less)) return Output(Layer::OutputOffset);
  if (quotient > highest) return Output(highest);
  return Output(quotient - int(less));
}

}  // namespace a2q

#endif
