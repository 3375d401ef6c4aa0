// What the lanes of a unit have, where each accumulator has a width of its own.
#ifndef A2Q_LANES_HPP
#define A2Q_LANES_HPP

#include <cstddef>
#include <utility>

#include "accumulator.hpp"

namespace a2q {

template <class Numbers, class Layer, std::size_t Lane>
struct accumulator_of_lane {
  typename Numbers::template accumulator<Layer::acc_width(Lane)> sum;
};

// The accumulators of Layer; that of a lane is `get<Lane>()`, in Layer::acc_width(Lane) bits.
template <class Numbers, class Layer, class Lanes>
struct accumulator_set;
template <class Numbers, class Layer, std::size_t... Lane>
struct accumulator_set<Numbers, Layer, std::index_sequence<Lane...>> : accumulator_of_lane<Numbers, Layer, Lane>... {
  template <std::size_t Which>
  typename Numbers::template accumulator<Layer::acc_width(Which)> &get() {
    return static_cast<accumulator_of_lane<Numbers, Layer, Which> &>(*this).sum;
  }
};

template <class Numbers, class Layer, int Lanes = Layer::Pe>
using accumulators = accumulator_set<Numbers, Layer, std::make_index_sequence<Lanes>>;

// Calls body.template lane<0>(), body.template lane<1>(), …, Count of them, side by side in hardware.
template <class Body, std::size_t... Lane>
void for_each_lane(Body &body, std::index_sequence<Lane...>) {
#pragma HLS inline
  const int done[] = {(body.template lane<Lane>(), 0)...};
  (void)done;
}
template <std::size_t Count, class Body>
void for_each_lane(Body &body) {
#pragma HLS inline
  for_each_lane(body, std::make_index_sequence<Count>());
}

}  // namespace a2q

#endif
