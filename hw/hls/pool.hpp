// Pool: the maximum, or the sum shifted right, of each channel over the elements of a window.
//
// A window is Window elements of Folds beats; results leave while the last element comes in. What has been gathered of a
// beat's channels is needed again Folds steps later.
//
// Rows, Columns:  windows of a frame, below and beside each other.
// Pe:           channels of a beat.
// Folds:        beats of an element.
// Window:       elements of a window.
// InputWidth, InputSigned:  an element's bits and sign.
// Sum:          sums instead of maxima.
// AccWidth:     bits that hold every result before the shift, signed like the input; InputWidth for maxima.
// Shift:        bits by which results are shifted right, rounding toward minus infinity.
// OutputWidth:  bits that hold every result, signed like the input.
// Multiple, RowCounts, ColumnCounts:  a sum is multiplied by Multiple / (its row's count x its column's) before the shift.
// ScaledWidth:  bits that hold every such product, signed like the input.
#ifndef A2Q_POOL_HPP
#define A2Q_POOL_HPP

#include "numbers.hpp"

namespace a2q {

// A channel's next element, gathered into what there is of its window.
template <class Layer, class Gathered, class Input>
Gathered merged(const Gathered &so_far, const Input &element, bool first) {
#pragma HLS inline
  const Gathered value(element);
  if (first) return value;
  if (Layer::Sum) return Gathered(so_far + value);
  return so_far > value ? so_far : value;
}

// What the sums of window number `window` are multiplied by.
template <class Layer>
int factor(int window) {
#pragma HLS inline
  if (Layer::Multiple == 1) return 1;
  return Layer::Multiple / (Layer::RowCounts(window / Layer::Columns) * Layer::ColumnCounts(window % Layer::Columns));
}

// A step of the lanes: gathers a beat, `so_far` being of the same channels, and sends it with the last element.
template <class Numbers, class Layer, class In, class Out, class Gathered>
void gather(In &in, Out &out, Gathered (&so_far)[Layer::Pe], int window, bool first, bool last) {
#pragma HLS inline
  using Scaled = typename Numbers::template number<Layer::ScaledWidth, Layer::InputSigned>;
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::InputSigned>;
  const beat<Input, Layer::Pe> values = unpack<Input, Layer::Pe>(in.read());
  beat<Output, Layer::Pe> results;
  for (int lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
    so_far[lane] = merged<Layer>(so_far[lane], values.lane[lane], first);
    if (last) results.lane[lane] = Output(Scaled(so_far[lane] * factor<Layer>(window)) >> Layer::Shift);
  }
  if (last) out.write(pack(results));
}

// Few folds: in a shift register, whose end is needed next. A memory is not read and written in as few steps.
template <class Numbers, class Layer, class In, class Out>
void pool(std::true_type, In &in, Out &out) {
#pragma HLS inline
  using Gathered = typename Numbers::template number<Layer::AccWidth, Layer::InputSigned>;
  Gathered gathered[Layer::Folds][Layer::Pe];
#pragma HLS array_partition variable=gathered complete dim=0
  for (int window = 0; window < Layer::Rows * Layer::Columns; window++) {
    for (int element = 0; element < Layer::Window; element++) {
      for (int fold = 0; fold < Layer::Folds; fold++) {
#pragma HLS pipeline style=flp II=1
        Gathered so_far[Layer::Pe];
#pragma HLS array_partition variable=so_far complete
        for (int lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
          so_far[lane] = gathered[Layer::Folds - 1][lane];
        }
        gather<Numbers, Layer>(in, out, so_far, window, element == 0, element == Layer::Window - 1);
        for (int lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
          for (int next = Layer::Folds - 1; next > 0; next--) {
#pragma HLS unroll
            gathered[next][lane] = gathered[next - 1][lane];
          }
          gathered[0][lane] = so_far[lane];
        }
      }
    }
  }
}

// Many folds: in a memory of each lane. A word is read again Folds steps after it was written.
template <class Numbers, class Layer, class In, class Out>
void pool(std::false_type, In &in, Out &out) {
#pragma HLS inline
  using Gathered = typename Numbers::template number<Layer::AccWidth, Layer::InputSigned>;
  constexpr int Folds = Layer::Folds;
  Gathered gathered[Folds][Layer::Pe];
#pragma HLS array_partition variable=gathered complete dim=2
#pragma HLS dependence variable=gathered type=inter direction=RAW distance=Folds dependent=true
  for (int window = 0; window < Layer::Rows * Layer::Columns; window++) {
    for (int element = 0; element < Layer::Window; element++) {
      for (int fold = 0; fold < Folds; fold++) {
#pragma HLS pipeline style=flp II=1
        gather<Numbers, Layer>(in, out, gathered[fold], window, element == 0, element == Layer::Window - 1);
      }
    }
  }
}

template <class Numbers, class Layer>
void pool(
    stream<Numbers, Layer::Pe, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pe, Layer::OutputWidth, Layer::InputSigned> &out) {
  constexpr int Few = 16;  // more steps than a memory takes to be read and written
  pool<Numbers, Layer>(std::integral_constant<bool, Layer::Folds <= Few>(), in, out);
}

}  // namespace a2q

#endif
