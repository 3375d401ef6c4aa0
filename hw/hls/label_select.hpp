// LabelSelect: the index of the largest element of a frame, each multiplied by and added to a constant of its own first;
// the lowest index of equal ones.
//
// Labels:           elements of a frame.
// Pe:               elements of a beat, 1 or all.
// InputWidth, InputSigned:  an element's bits and sign.
// MultiplierWidth:  bits of `multipliers`, unsigned; 0 multiplies by nothing.
// OffsetWidth:      bits of `offsets`, two's complement; 0 adds nothing.
// MultipliesInDsps: the multiplication is for DSPs (see scale).
// ScoreWidth:       bits that hold every product and every score, two's complement.
// OutputWidth:      bits of the index.
#ifndef A2Q_LABEL_SELECT_HPP
#define A2Q_LABEL_SELECT_HPP

#include "scale.hpp"

namespace a2q {

template <class Numbers, class Layer, class Multiplier, int Multipliers, class Offset, int Offsets>
void label_select(
    stream<Numbers, Layer::Pe, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, 1, Layer::OutputWidth, false> &out,
    const Multiplier (&multipliers)[Multipliers],
    const Offset (&offsets)[Offsets]) {
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Score = typename Numbers::template number<Layer::ScoreWidth, true>;
  using Label = typename Numbers::template number<Layer::OutputWidth, false>;
  Score best;
  beat<Label, 1> best_label;
  for (unsigned first = 0; first < Layer::Labels; first += Layer::Pe) {
#pragma HLS pipeline style=flp II=1
    const auto values = unpack<Input, Layer::Pe>(in.read());
    for (unsigned lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
      const unsigned label = first + lane;
      Score score(values.lane[lane]);
      if (Layer::MultiplierWidth > 0) {
        score = scaled(multiplier<Layer>(), values.lane[lane], multipliers[Layer::MultiplierWidth > 0 ? label : 0]);
      }
      if (Layer::OffsetWidth > 0) score = score + offsets[Layer::OffsetWidth > 0 ? label : 0];
      if (label == 0 || score > best) {
        best = score;
        best_label.lane[0] = Label(label);
      }
    }
    if (first + Layer::Pe == Layer::Labels) out.write(pack(best_label));
  }
}

}  // namespace a2q

#endif
