// Pool: the maximum, or the sum shifted right, of each channel over the elements of a window.
//
// A window is Window elements of Folds beats; results leave while the last element comes in.
//
// Windows:      of a frame.
// Pe:           channels of a beat.
// Folds:        beats of an element.
// Window:       elements of a window.
// InputWidth, InputSigned:  an element's bits and sign.
// Sum:          sums instead of maxima.
// AccWidth:     bits that hold every result before the shift, signed like the input; InputWidth for maxima.
// Shift:        bits by which results are shifted right, rounding toward minus infinity.
// OutputWidth:  bits that hold every result, signed like the input.
#ifndef A2Q_POOL_HPP
#define A2Q_POOL_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer>
void pool(
    stream<Numbers, Layer::Pe, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pe, Layer::OutputWidth, Layer::InputSigned> &out) {
  using Gathered = typename Numbers::template number<Layer::AccWidth, Layer::InputSigned>;
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::InputSigned>;

  // what has been gathered of a window; a word is read again Folds beats after it was written
  beat<Gathered, Layer::Pe> gathered[Layer::Folds];
#pragma HLS aggregate variable=gathered
  for (int window = 0; window < Layer::Windows; window++) {
    for (int element = 0; element < Layer::Window; element++) {
      for (int fold = 0; fold < Layer::Folds; fold++) {
#pragma HLS pipeline II=1
        const auto values = in.read();
        const beat<Gathered, Layer::Pe> so_far = gathered[fold];
        beat<Gathered, Layer::Pe> merged;
        beat<Output, Layer::Pe> results;
        const bool first = element == 0, last = element == Layer::Window - 1;
        for (int lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
          Gathered value(values.lane[lane]);
          if (!first && Layer::Sum) value = so_far.lane[lane] + value;
          if (!first && !Layer::Sum && so_far.lane[lane] > value) value = so_far.lane[lane];
          merged.lane[lane] = value;
          if (last) results.lane[lane] = Output(value >> Layer::Shift);
        }
        gathered[fold] = merged;
        if (last) out.write(results);
      }
    }
  }
}

}  // namespace a2q

#endif
