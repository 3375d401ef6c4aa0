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
// All else as in mvau, whose steps these are.
#ifndef A2Q_VVAU_HPP
#define A2Q_VVAU_HPP

#include "mvau.hpp"

namespace a2q {

template <class Numbers, class Layer, class Weight, class Bias, int BiasFolds, int BiasLanes, class Threshold,
          int ThresholdFolds, int ThresholdLanes, int Entries>
void vvau(
    stream<Numbers, Layer::Pixels * Layer::Simd * (Layer::Pe / Layer::Multiplier), Layer::InputWidth,
           Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Mh / Layer::Pe * (Layer::Mw / Layer::Simd)][Layer::Pe][Layer::Simd],
    const Bias (&biases)[BiasFolds][BiasLanes],
    const Threshold (&thresholds)[ThresholdFolds][ThresholdLanes][Entries]) {
#pragma HLS inline
  static_assert(Layer::Pe % Layer::Multiplier == 0, "Multiplier divides Pe");
  matrix_vector<Layer::Pe / Layer::Multiplier, false, Numbers, Layer>(in, out, weights, biases, thresholds);
}

}  // namespace a2q

#endif
