// MVAU: an integer matrix times the vectors of a stream, plus bias, then thresholds.
//
// A vector is Mw / Simd beats. It is taken once, while the first Mh / Pe rows are computed from it, and replayed from a
// buffer for the others. A beat of Pe results leaves after every Mw / Simd steps.
//
// Vectors:            vectors of a frame.
// Mw, Mh:             columns and rows of the matrix.
// Simd, Pe:           elements of an input and of an output beat. Row r is computed by lane r % Pe.
// InputWidth, InputSigned, OutputWidth, OutputSigned:  the elements' bits and signs.
// WeightWidth:        bits of a weight, two's complement.
// acc_width(lane):    bits of a lane's accumulator, two's complement.
// HasBias:            accumulators start from `biases`, else from 0.
// NumThresholds, OutputOffset, Requantizes:  see thresholding; without thresholds the sums themselves go out.
// weights:            a word for each beat of a vector, for each beat of its results.
//
// Channels:           channels of an input beat, Simd elements of each, of which as many neighbouring lanes see the same;
//                     more than 1 for a VVAU (see vvau).
// Pixels:             vectors side by side: Pe rows of each, with the same weights; in a beat the elements of a vector, and
//                     its results, are neighbours.
// Replays:            vectors are replayed, else every step takes a beat.
// Multiplier:         what gives a product; another one for a DspMVAU (see dsp_mvau).
#ifndef A2Q_MVAU_HPP
#define A2Q_MVAU_HPP

#include "lanes.hpp"
#include "thresholding.hpp"

namespace a2q {

// A product as synthesis finds it best.
struct any_multiplier {
  template <class Product, class Input, class Weight>
  static Product multiply(const Input &input, const Weight &weight) {
#pragma HLS inline
    const Product product = input * weight;
    return product;
  }
};

// A step of the lanes: one beat of the vector, for Pe rows.
template <class Multiplier, class Numbers, class Layer, int Channels, class Weights, class Biases, class Thresholds>
struct mvau_step {
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;
  using Product = typename Numbers::template number<Layer::InputWidth + Layer::WeightWidth, true>;

  accumulators<Numbers, Layer, Layer::Pixels * Layer::Pe> &sums;
  const beat<Input, Layer::Pixels * Layer::Simd * Channels> &inputs;
  const Weights &weights;
  const Biases &biases;
  const Thresholds &thresholds;
  beat<Output, Layer::Pixels * Layer::Pe> &results;
  const bool first, last;

  template <std::size_t Lane>
  void lane() {
#pragma HLS inline
    constexpr bool has_thresholds = Layer::NumThresholds > 0;
    constexpr int row = int(Lane) % Layer::Pe;
    constexpr int place = int(Lane) / Layer::Pe * Layer::Simd * Channels + row / (Layer::Pe / Channels);
    auto &sum = sums.template get<Lane>();
    if (first) sum.start(biases[Layer::HasBias ? row : 0]);
    for (int s = 0; s < Layer::Simd; s++) {
#pragma HLS unroll
      const Product product =
          Multiplier::template multiply<Product>(inputs.lane[s * Channels + place], weights[row][s]);
      sum.add(product);
      watch<Layer, Layer::acc_width(row)>(row, sum, last && s == Layer::Simd - 1);
    }
    if (last) {
      results.lane[Lane] = activate<Layer, Output>(
          activation<Layer>(), sum.value(), thresholds[has_thresholds ? Lane : 0]);
    }
  }
};

template <int Channels, bool Replays, class Numbers, class Layer, class Multiplier = any_multiplier, class Weight,
          class Bias, int BiasFolds, int BiasLanes, class Threshold, int ThresholdFolds, int ThresholdLanes, int Entries>
void matrix_vector(
    stream<Numbers, Layer::Pixels * Layer::Simd * Channels, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Mh / Layer::Pe * (Layer::Mw / Layer::Simd)][Layer::Pe][Layer::Simd],
    const Bias (&biases)[BiasFolds][BiasLanes],
    const Threshold (&thresholds)[ThresholdFolds][ThresholdLanes][Entries]) {
#pragma HLS array_reshape variable=weights complete dim=2
#pragma HLS array_reshape variable=weights complete dim=3
#pragma HLS array_partition variable=biases complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=3
  static_assert(Layer::Mw % Layer::Simd == 0 && Layer::Mh % Layer::Pe == 0, "Simd divides Mw, and Pe divides Mh");
  static_assert(Layer::Pe % Channels == 0, "Channels divides Pe");
  using Step = mvau_step<Multiplier, Numbers, Layer, Channels, Weight[Layer::Pe][Layer::Simd], Bias[BiasLanes],
                         Threshold[ThresholdLanes][Entries]>;
  constexpr unsigned SynapseFolds = Layer::Mw / Layer::Simd;
  constexpr unsigned NeuronFolds = Layer::Mh / Layer::Pe;

  using Input = typename Step::Input;
  constexpr int Inputs = Layer::Pixels * Layer::Simd * Channels, Lanes = Layer::Pixels * Layer::Pe;
  using Word = word<Input, Inputs>;
  Word vector[Replays ? SynapseFolds : 1];
  accumulators<Numbers, Layer, Lanes> sums;
  unsigned synapse_fold = 0, neuron_fold = 0, word = 0;
  for (unsigned n = 0; n < Layer::Vectors * NeuronFolds * SynapseFolds; n++) {
#pragma HLS pipeline style=flp II=1
    Word packed;
    if (!Replays || neuron_fold == 0) {
      packed = in.read();
      if (Replays) vector[synapse_fold] = packed;
    } else {
      packed = vector[Replays ? synapse_fold : 0];
    }
    const beat<Input, Inputs> inputs = unpack<Input, Inputs>(packed);
    const bool last = synapse_fold == SynapseFolds - 1;
    beat<typename Step::Output, Lanes> results;
    Step step = {sums, inputs, weights[word], biases[BiasFolds > 1 ? neuron_fold : 0],
                 thresholds[ThresholdFolds > 1 ? neuron_fold : 0], results, synapse_fold == 0, last};
    for_each_lane<Lanes>(step);
    if (last) out.write(pack(results));
    const bool vector_done = last && neuron_fold == NeuronFolds - 1;
    synapse_fold = last ? 0 : synapse_fold + 1;
    if (last) neuron_fold = vector_done ? 0 : neuron_fold + 1;
    word = vector_done ? 0 : word + 1;
  }
}

template <class Numbers, class Layer, class Weight, class Bias, int BiasFolds, int BiasLanes, class Threshold,
          int ThresholdFolds, int ThresholdLanes, int Entries>
void mvau(
    stream<Numbers, Layer::Pixels * Layer::Simd, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Mh / Layer::Pe * (Layer::Mw / Layer::Simd)][Layer::Pe][Layer::Simd],
    const Bias (&biases)[BiasFolds][BiasLanes],
    const Threshold (&thresholds)[ThresholdFolds][ThresholdLanes][Entries]) {
#pragma HLS inline
  matrix_vector<1, true, Numbers, Layer>(in, out, weights, biases, thresholds);
}

}  // namespace a2q

#endif
