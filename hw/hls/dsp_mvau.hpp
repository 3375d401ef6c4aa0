// DspMVAU: the MVAU whose products are made by DSPs.
//
// Its beats, tables and sums are those of mvau. Here each product is bound to a DSP (UG1399, "pragma HLS bind_op"); that
// several rows share the words of one, as hw/rtl/dsp_lanes.sv has them, is not written out.
//
// With Taps, which are columns of a kernel, it is a convolution along the rows of an image. A vector is what a column of the
// kernel sees, RowBeats times Pixels of them are a row, with zeros beside it, and each step adds to all sums that its pixels
// reach. As in the lanes of hw/rtl/dsp_lanes.sv, the first Pixels sums are complete with a vector, and the others go on.
//
// Taps:                  columns of the kernel, 1 for a matrix alone. The weights of a step and a row are those of the first
//                        column, then those of the next one.
// Rows:                  rows of the image.
// RowBeats, FirstBeat:   vectors side by side in a row, and those at its begin without a result.
// LastEmits:             the zeros behind a row complete a result.
// Held:                  pixels of a result, the first ones, that the vectors before complete.
#ifndef A2Q_DSP_MVAU_HPP
#define A2Q_DSP_MVAU_HPP

#include <type_traits>

#include "mvau.hpp"

namespace a2q {

struct dsp_multiplier {
  template <class Product, class Input, class Weight>
  static Product multiply(const Input &input, const Weight &weight) {
#pragma HLS inline
    const Product product = input * weight;
#pragma HLS bind_op variable=product op=mul impl=dsp
    return product;
  }
};

// The sums of a row of the matrix that vectors side by side reach, and those that are complete and wait.
template <class Numbers, class Layer, std::size_t Row>
struct sums_of_taps {
  using Sum = typename Numbers::template accumulator<Layer::acc_width(Row)>;
  Sum lanes[Layer::Taps + Layer::Pixels - 1], held[Layer::Held > 0 ? Layer::Held : 1];
};

// Those of all rows; those of a row are `get<Row>()`.
template <class Numbers, class Layer, class Rows>
struct tap_sums;
template <class Numbers, class Layer, std::size_t... Row>
struct tap_sums<Numbers, Layer, std::index_sequence<Row...>> : sums_of_taps<Numbers, Layer, Row>... {
  template <std::size_t Which>
  sums_of_taps<Numbers, Layer, Which> &get() {
    return static_cast<sums_of_taps<Numbers, Layer, Which> &>(*this);
  }
};

// A step of all rows: one beat of the vectors, or the zeros behind a row of the image.
template <class Numbers, class Layer, class Weights, class Biases, class Thresholds>
struct tap_step {
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;
  using Product = typename Numbers::template number<Layer::InputWidth + Layer::WeightWidth, true>;

  tap_sums<Numbers, Layer, std::make_index_sequence<Layer::Pe>> &sums;
  const beat<Input, Layer::Pixels * Layer::Simd> &inputs;
  const Weights &weights;
  const Biases &biases;
  const Thresholds &thresholds;
  beat<Output, Layer::Pixels * Layer::Pe> &results;
  const bool begins, zeros, first, last, emits;

  template <std::size_t Row>
  void lane() {
#pragma HLS inline
    constexpr int Pixels = Layer::Pixels, Lanes = Layer::Taps + Pixels - 1, Width = Layer::acc_width(Row);
    constexpr bool has_thresholds = Layer::NumThresholds > 0;
    auto &row = sums.template get<Row>();
#pragma HLS array_partition variable=row.lanes complete
#pragma HLS array_partition variable=row.held complete
    for (int l = 0; l < Lanes; l++) {
#pragma HLS unroll
      if (first && (begins || l + Pixels >= Lanes)) row.lanes[l].start(biases[Layer::HasBias ? Row : 0]);
      else if (first) row.lanes[l] = row.lanes[l + Pixels < Lanes ? l + Pixels : l];
    }
    for (int k = 0; k < Layer::Taps; k++) {
#pragma HLS unroll
      for (int p = 0; p < Pixels; p++) {
#pragma HLS unroll
        for (int s = 0; s < Layer::Simd; s++) {
#pragma HLS unroll
          const Product product = dsp_multiplier::multiply<Product>(inputs.lane[p * Layer::Simd + s],
                                                                    weights[Row][k * Layer::Simd + s]);
          auto &sum = row.lanes[p + Layer::Taps - 1 - k];
          if (!zeros) sum.add(product);
          watch<Layer, Width>(Row, sum, false);
        }
      }
    }
    for (int p = 0; p < Pixels; p++) {
#pragma HLS unroll
      const bool waited = p < Layer::Held;
      auto &sum = waited ? row.held[waited ? p : 0] : row.lanes[waited ? 0 : p - Layer::Held];
      if (!last || !emits) continue;
      watch<Layer, Width>(Row, sum, true);
      constexpr int Pe = Layer::Pe;
      results.lane[p * Pe + Row] = activate<Layer, Output>(activation<Layer>(), sum.value(),
                                                           thresholds[has_thresholds ? p * Pe + Row : 0]);
    }
    for (int h = 0; h < Layer::Held; h++) {
#pragma HLS unroll
      if (last) row.held[h] = row.lanes[Pixels - Layer::Held + h];
    }
  }
};

template <class Numbers, class Layer, class Weight, class Bias, int BiasFolds, int BiasLanes, class Threshold,
          int ThresholdFolds, int ThresholdLanes, int Entries>
void matrix_in_dsps(
    std::true_type, stream<Numbers, Layer::Pixels * Layer::Simd, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Mw / Layer::Simd][Layer::Pe][Layer::Taps * Layer::Simd],
    const Bias (&biases)[BiasFolds][BiasLanes],
    const Threshold (&thresholds)[ThresholdFolds][ThresholdLanes][Entries]) {
#pragma HLS array_reshape variable=weights complete dim=2
#pragma HLS array_reshape variable=weights complete dim=3
#pragma HLS array_partition variable=biases complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=3
  static_assert(Layer::Mw % Layer::Simd == 0 && Layer::Mh == Layer::Pe, "Simd divides Mw, and Pe is Mh");
  static_assert(Layer::Taps <= Layer::Pixels + 1 && Layer::Held < Layer::Pixels, "Taps is at most Pixels + 1");
  using Step = tap_step<Numbers, Layer, Weight[Layer::Pe][Layer::Taps * Layer::Simd], Bias[BiasLanes],
                        Threshold[ThresholdLanes][Entries]>;
  constexpr unsigned Folds = Layer::Mw / Layer::Simd;
  constexpr unsigned RowSteps = Layer::RowBeats * Folds + (Layer::LastEmits ? 1 : 0);
  constexpr int Inputs = Layer::Pixels * Layer::Simd, Lanes = Layer::Pixels * Layer::Pe;
  using Input = typename Step::Input;
  tap_sums<Numbers, Layer, std::make_index_sequence<Layer::Pe>> sums;
  word<Input, Inputs> packed{};
  unsigned fold = 0;
  int vector = 0;
  for (unsigned n = 0; n < Layer::Rows * RowSteps; n++) {
#pragma HLS pipeline style=flp II=1
    const bool zeros = vector == Layer::RowBeats;
    if (!zeros) packed = in.read();
    const beat<Input, Inputs> inputs = unpack<Input, Inputs>(packed);
    const bool last = zeros || fold == Folds - 1;
    const bool emits = zeros || vector >= Layer::FirstBeat;
    beat<typename Step::Output, Lanes> results;
    Step step = {sums,           inputs,    weights[zeros ? 0 : fold], biases[0], thresholds[0], results, vector == 0, zeros,
                 fold == 0, last, emits};
    for_each_lane<Layer::Pe>(step);
    if (last && emits) out.write(pack(results));
    fold = last ? 0 : fold + 1;
    if (last) vector = vector == Layer::RowBeats - (Layer::LastEmits ? 0 : 1) ? 0 : vector + 1;
  }
}

template <class Numbers, class Layer, class Weight, class Bias, int BiasFolds, int BiasLanes, class Threshold,
          int ThresholdFolds, int ThresholdLanes, int Entries>
void matrix_in_dsps(
    std::false_type, stream<Numbers, Layer::Pixels * Layer::Simd, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Mh / Layer::Pe * (Layer::Mw / Layer::Simd)][Layer::Pe][Layer::Simd],
    const Bias (&biases)[BiasFolds][BiasLanes],
    const Threshold (&thresholds)[ThresholdFolds][ThresholdLanes][Entries]) {
#pragma HLS inline
  matrix_vector<1, true, Numbers, Layer, dsp_multiplier>(in, out, weights, biases, thresholds);
}

template <class Numbers, class Layer, class Weight, class Bias, int BiasFolds, int BiasLanes, class Threshold,
          int ThresholdFolds, int ThresholdLanes, int Entries>
void dsp_mvau(
    stream<Numbers, Layer::Pixels * Layer::Simd, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Mh / Layer::Pe * (Layer::Mw / Layer::Simd)][Layer::Pe][Layer::Taps * Layer::Simd],
    const Bias (&biases)[BiasFolds][BiasLanes],
    const Threshold (&thresholds)[ThresholdFolds][ThresholdLanes][Entries]) {
#pragma HLS inline
  matrix_in_dsps<Numbers, Layer>(std::integral_constant<bool, (Layer::Taps > 1)>(), in, out, weights, biases, thresholds);
}

}  // namespace a2q

#endif
