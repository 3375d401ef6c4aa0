// Thresholding: each element becomes OutputOffset plus the number of its channel's thresholds that it reaches, by a search
// among them or by a multiplication that is proven to be equal (see requantize).
//
// Beats:              of a frame.
// Pe:                 elements of a beat.
// Folds:              beats after which the thresholds repeat.
// InputWidth, InputSigned, OutputWidth, OutputSigned:  the elements' bits and signs.
// OutputOffset:       the output for no threshold reached.
// NumThresholds:      thresholds of a channel.
// Requantizes:        whether there is a multiplication, with RequantizeShift, HalfEven and MultipliesInDsps.
// thresholds:         those of a channel, filled up to 2^n - 1 with one that is never reached; or what it is multiplied
//                     by, and what is added.
#ifndef A2Q_THRESHOLDING_HPP
#define A2Q_THRESHOLDING_HPP

#include "requantize.hpp"

namespace a2q {

// How many of `thresholds`, in rising order, `value` reaches: a binary search, a comparison for each bit of the result.
template <class Value, class Threshold, int Entries>
unsigned count_reached(const Value &value, const Threshold (&thresholds)[Entries]) {
#pragma HLS inline
  static_assert((Entries & (Entries + 1)) == 0, "the entries of a table are 2^n - 1");
  unsigned count = 0;
  for (int step = (Entries + 1) / 2; step > 0; step /= 2) {
#pragma HLS unroll
    if (value >= thresholds[count + step - 1]) count += step;
  }
  return count;
}

// How a unit finds its output for a sum: it is the sum itself, or what its thresholds make of it, or what is equal to that.
struct puts_out_sums {};
struct searches {};
struct requantizes {};
template <class Layer>
using activation = typename std::conditional<
    Layer::NumThresholds == 0, puts_out_sums,
    typename std::conditional<Layer::Requantizes, requantizes, searches>::type>::type;

template <class Layer, class Output, class Value, class Threshold>
Output activate(puts_out_sums, const Value &value, const Threshold &) {
#pragma HLS inline
  return Output(value);
}
template <class Layer, class Output, class Value, class Threshold>
Output activate(searches, const Value &value, const Threshold &thresholds) {
#pragma HLS inline
  return Output(Layer::OutputOffset + int(count_reached(value, thresholds)));
}
template <class Layer, class Output, class Value, class Threshold>
Output activate(requantizes, const Value &value, const Threshold &channel) {
#pragma HLS inline
  return requantize<Layer, Output>(value, channel);
}

template <class Numbers, class Layer, class Threshold, int Entries>
void thresholding(
    stream<Numbers, Layer::Pe, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Threshold (&thresholds)[Layer::Folds][Layer::Pe][Entries]) {
#pragma HLS array_partition variable=thresholds complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=3
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;
  unsigned fold = 0;
  for (unsigned n = 0; n < Layer::Beats; n++) {
#pragma HLS pipeline style=flp II=1
    const auto values = unpack<Input, Layer::Pe>(in.read());
    beat<Output, Layer::Pe> results;
    for (int lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
      results.lane[lane] = activate<Layer, Output>(activation<Layer>(), values.lane[lane], thresholds[fold][lane]);
    }
    out.write(pack(results));
    fold = fold == Layer::Folds - 1 ? 0 : fold + 1;
  }
}

}  // namespace a2q

#endif
