// UnrolledMVAU: MVAU of which the weights are the circuit, a generated graph of adders.
//
// A beat in is a whole vector, a beat out all of its results. The vector goes through the graph in Digits parts, one
// a step, the most significant first: digits of DigitWidth bits of every element. The accumulators shift what they have
// by a digit and add what the graph makes of the next.
//
// Elements that are two's complement and come in several digits are taken as unsigned ones, larger by
// 2^(InputWidth - 1), which the start values make up for.
//
// On the way to its sum, digit by digit, an accumulator may wrap and come back, so that only whole sums are watched.
//
// Vectors:            vectors of a frame, each of those of Pixels neighbours.
// Pixels:             vectors side by side, each of which goes through a graph of its own.
// Mw, Mh:             columns and rows of the matrix.
// InputWidth, InputSigned, OutputWidth, OutputSigned:  the elements' bits and signs.
// Digits:             steps a vector takes; 1 gives the graph whole elements, as they are.
// DigitWidth:         bits of a digit, InputWidth / Digits rounded up.
// acc_width(row):     bits of a row's accumulator, two's complement.
// HasStart:           accumulators start from `starts`, else from 0.
// NumThresholds, OutputOffset, Requantizes:  see thresholding; without thresholds the sums themselves go out.
// Graph:              the graph; ResultWidth are the bits of its results, two's complement.
// starts:             digit by digit what each row's accumulator starts from, the least significant first; the last of
//                     them are all the bits that are left, with the sign.
#ifndef A2Q_UNROLLED_MVAU_HPP
#define A2Q_UNROLLED_MVAU_HPP

#include "lanes.hpp"
#include "thresholding.hpp"

namespace a2q {

// A node of a graph of adders.
template <class Numbers, int Width, bool Signed>
using node = typename Numbers::template number<Width, Signed>;

// An operand of an adder of Bits bits: a node, shifted left. What does not fit is no part of the sum.
template <int Bits, int Width>
ap_int<Bits> extended(const ap_int<Width> &number, int shift) {
#pragma HLS inline
  return ap_int<Bits>(number) << shift;
}
template <int Bits, int Width>
ap_int<Bits> extended(const ap_uint<Width> &number, int shift) {
#pragma HLS inline
  return ap_int<Bits>(number) << shift;
}
#ifndef __SYNTHESIS__
template <int Bits>
std::int64_t extended(std::int64_t number, int shift) { return number * (std::int64_t(1) << shift); }
#endif

// An adder: the sum or the difference of two nodes, each shifted left, in the bits of its own interval.
template <class Numbers, int Width, bool Signed, class A, class B>
node<Numbers, Width, Signed> plus(const A &a, int p, const B &b, int q) {
#pragma HLS inline
  return extended<Width>(a, p) + extended<Width>(b, q);
}
template <class Numbers, int Width, bool Signed, class A, class B>
node<Numbers, Width, Signed> minus(const A &a, int p, const B &b, int q) {
#pragma HLS inline
  return extended<Width>(a, p) - extended<Width>(b, q);
}

// Makes room for another digit of Bits bits in an accumulator.
template <int Bits, class Accumulator>
void shift_digit(Accumulator &sum) {
#pragma HLS inline
#ifdef __SYNTHESIS__
  sum.start(sum.value() << Bits);
#else
  sum.start(sum.sum() * (std::int64_t(1) << Bits));
#endif
}

// What the rows do with the results of a digit.
template <class Numbers, class Layer, class Sums, class Results, class Starts, class Thresholds>
struct unrolled_mvau_step {
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;

  Sums &sums;
  const Results &results;
  const Starts &starts;
  const Thresholds &thresholds;
  beat<Output, Layer::Pixels * Layer::Mh> &outputs;
  const bool first, last;

  template <std::size_t Row>
  void lane() {
#pragma HLS inline
    constexpr bool has_thresholds = Layer::NumThresholds > 0;
    constexpr int row = int(Row) % Layer::Mh;  // of its pixel
    auto &sum = sums.template get<Row>();
    const auto &start = starts[Layer::HasStart ? row : 0];
    if (first) {
      sum.start(start);
    } else {
      shift_digit<Layer::DigitWidth>(sum);
      sum.add(start);
    }
    sum.add(results[Row]);
    if (last) {
      watch<Layer, Layer::acc_width(row)>(row, sum, true);
      outputs.lane[Row] = activate<Layer, Output>(
          activation<Layer>(), sum.value(), thresholds[has_thresholds ? Row : 0]);
    }
  }
};

// What goes through the graph: an element as it is, or a digit of it as an unsigned one.
template <class Layer, class Digit, class Element>
Digit digit_of(std::false_type, const Element &element, int) {
#pragma HLS inline
  return element;
}
template <class Layer, class Digit, class Element>
Digit digit_of(std::true_type, const Element &element, int digit) {
#pragma HLS inline
  static_assert(Layer::InputWidth < 32, "elements that come in digits have at most 31 bits");
  const auto unsigned_element = element + (Layer::InputSigned ? 1 << (Layer::InputWidth - 1) : 0);
  return Digit((unsigned_element >> (digit * Layer::DigitWidth)) & ((1 << Layer::DigitWidth) - 1));
}

template <class Numbers, class Layer, class Graph, class Start, int StartDigits, int StartRows, class Threshold,
          int ThresholdRows, int Entries>
void unrolled_mvau(
    stream<Numbers, Layer::Pixels * Layer::Mw, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Mh, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Start (&starts)[StartDigits][StartRows],
    const Threshold (&thresholds)[1][ThresholdRows][Entries]) {
#pragma HLS array_partition variable=starts complete dim=0
#pragma HLS array_partition variable=thresholds complete dim=0
  static_assert(Layer::DigitWidth == (Layer::InputWidth + Layer::Digits - 1) / Layer::Digits,
                "DigitWidth is InputWidth / Digits rounded up");
  constexpr bool in_digits = Layer::Digits > 1;
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Digit = typename Numbers::template number<Layer::DigitWidth, Layer::InputSigned && !in_digits>;
  using Result = typename Numbers::template number<Graph::ResultWidth, true>;
  constexpr int Pixels = Layer::Pixels, Rows = Pixels * Layer::Mh;
  using Sums = accumulator_set<Numbers, Layer, std::make_index_sequence<Rows>>;
  using Thresholds = Threshold[ThresholdRows][Entries];
  using Step = unrolled_mvau_step<Numbers, Layer, Sums, Result[Rows], Start[StartRows], Thresholds>;

  beat<Input, Pixels * Layer::Mw> vector;
  Sums sums;
  int digit = Layer::Digits - 1;
  for (int n = 0; n < Layer::Vectors * Layer::Digits; n++) {
#pragma HLS pipeline style=flp II=1
    const bool first = digit == Layer::Digits - 1, last = digit == 0;
    if (first) vector = unpack<Input, Pixels * Layer::Mw>(in.read());
    Result results[Rows];
#pragma HLS array_partition variable=results complete
    for (int pixel = 0; pixel < Pixels; pixel++) {
#pragma HLS unroll
      Digit digits[Layer::Mw];
      Result sums_of_pixel[Layer::Mh];
#pragma HLS array_partition variable=digits complete
#pragma HLS array_partition variable=sums_of_pixel complete
      for (int column = 0; column < Layer::Mw; column++) {
#pragma HLS unroll
        digits[column] = digit_of<Layer, Digit>(
            std::integral_constant<bool, in_digits>(), vector.lane[pixel * Layer::Mw + column], digit);
      }
      Graph::template multiply<Numbers>(digits, sums_of_pixel);
      for (int row = 0; row < Layer::Mh; row++) {
#pragma HLS unroll
        results[pixel * Layer::Mh + row] = sums_of_pixel[row];
      }
    }
    beat<typename Step::Output, Rows> outputs;
    Step step = {sums, results, starts[StartDigits > 1 ? digit : 0], thresholds[0], outputs, first, last};
    for_each_lane<Rows>(step);
    if (last) out.write(pack(outputs));
    digit = last ? Layer::Digits - 1 : digit - 1;
  }
}

}  // namespace a2q

#endif
