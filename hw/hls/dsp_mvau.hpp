// DspMVAU: the MVAU whose products are made by DSPs.
//
// Its beats, tables and sums are those of mvau. Here each product is bound to a DSP (UG1399, "pragma HLS bind_op"); that
// several rows share the words of one, as hw/rtl/dsp_lanes.sv has them, is not written out.
#ifndef A2Q_DSP_MVAU_HPP
#define A2Q_DSP_MVAU_HPP

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

template <class Numbers, class Layer, class Weight, class Bias, int BiasFolds, int BiasLanes, class Threshold,
          int ThresholdFolds, int ThresholdLanes, int Entries>
void dsp_mvau(
    stream<Numbers, Layer::Pixels * Layer::Simd, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Mh / Layer::Pe * (Layer::Mw / Layer::Simd)][Layer::Pe][Layer::Simd],
    const Bias (&biases)[BiasFolds][BiasLanes],
    const Threshold (&thresholds)[ThresholdFolds][ThresholdLanes][Entries]) {
#pragma HLS inline
  matrix_vector<1, true, Numbers, Layer, dsp_multiplier>(in, out, weights, biases, thresholds);
}

}  // namespace a2q

#endif
