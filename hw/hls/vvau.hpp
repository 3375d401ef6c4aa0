// VVAU: the folded MVAU of a depthwise convolution, of which each row sees one channel of a window, plus bias, then
// thresholds.
//
// Pe rows are computed at a time, from the windows of the Pe / Multiplier channels that they see: Mw / Simd beats, each of
// the next Simd pixels of these channels. A beat of Pe results leaves after every Mw / Simd steps.
//
// Vectors:            places of a frame.
// Mw, Mh:             pixels of a window; rows.
// Multiplier:         rows that see the same channel, divides Pe. Row r sees channel r / Multiplier.
// Simd:               pixels of an input beat. In a beat the channels of a pixel are neighbours.
// Pe:                 elements of an output beat. Row r is computed by lane r % Pe.
// weights:            a word for each beat of all windows of a place.
// All else as in mvau.
#ifndef A2Q_VVAU_HPP
#define A2Q_VVAU_HPP

#include "mvau.hpp"

namespace a2q {

// A step of the lanes: that of an MVAU, with the pixels of the lane's channel.
template <class Layer, class Step>
struct vvau_step {
  static constexpr int Channels = Layer::Pe / Layer::Multiplier;  // of a beat
  using Input = typename Step::Input;

  const beat<Input, Layer::Simd * Channels> &inputs;
  beat<Input, Layer::Simd> &pixels;
  Step &step;  // whose inputs are `pixels`

  template <std::size_t Lane>
  void lane() {
#pragma HLS inline
    for (int s = 0; s < Layer::Simd; s++) {
#pragma HLS unroll
      pixels.lane[s] = inputs.lane[s * Channels + int(Lane) / Layer::Multiplier];
    }
    step.template lane<Lane>();
  }
};

template <class Numbers, class Layer, class Weight, class Bias, int BiasFolds, int BiasLanes, class Threshold,
          int ThresholdFolds, int ThresholdLanes, int Entries>
void vvau(
    stream<Numbers, Layer::Simd * Layer::Pe / Layer::Multiplier, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Mh / Layer::Pe * (Layer::Mw / Layer::Simd)][Layer::Pe][Layer::Simd],
    const Bias (&biases)[BiasFolds][BiasLanes],
    const Threshold (&thresholds)[ThresholdFolds][ThresholdLanes][Entries]) {
#pragma HLS array_reshape variable=weights complete dim=2
#pragma HLS array_reshape variable=weights complete dim=3
#pragma HLS array_partition variable=biases complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=3
  static_assert(Layer::Mw % Layer::Simd == 0 && Layer::Mh % Layer::Pe == 0, "Simd divides Mw, and Pe divides Mh");
  static_assert(Layer::Pe % Layer::Multiplier == 0, "Multiplier divides Pe");
  using Step = mvau_step<Numbers, Layer, Weight[Layer::Pe][Layer::Simd], Bias[BiasLanes], Threshold[ThresholdLanes][Entries]>;
  constexpr unsigned SynapseFolds = Layer::Mw / Layer::Simd;
  constexpr unsigned NeuronFolds = Layer::Mh / Layer::Pe;
  constexpr int Inputs = Layer::Simd * Layer::Pe / Layer::Multiplier;

  using Input = typename Step::Input;
  accumulators<Numbers, Layer> sums;
  unsigned synapse_fold = 0, neuron_fold = 0, word = 0;
  for (unsigned n = 0; n < Layer::Vectors * NeuronFolds * SynapseFolds; n++) {
#pragma HLS pipeline style=flp II=1
    const beat<Input, Inputs> inputs = unpack<Input, Inputs>(in.read());
    const bool last = synapse_fold == SynapseFolds - 1;
    beat<Input, Layer::Simd> pixels;
    beat<typename Step::Output, Layer::Pe> results;
    Step step = {sums, pixels, weights[word], biases[BiasFolds > 1 ? neuron_fold : 0],
                 thresholds[ThresholdFolds > 1 ? neuron_fold : 0], results, synapse_fold == 0, last};
    vvau_step<Layer, Step> lanes = {inputs, pixels, step};
    for_each_lane<Layer::Pe>(lanes);
    if (last) out.write(pack(results));
    const bool place_done = last && neuron_fold == NeuronFolds - 1;
    synapse_fold = last ? 0 : synapse_fold + 1;
    if (last) neuron_fold = place_done ? 0 : neuron_fold + 1;
    word = place_done ? 0 : word + 1;
  }
}

}  // namespace a2q

#endif
