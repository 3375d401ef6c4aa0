// Lookup: each element becomes the word of a table that stands at its bits.
//
// Beats:                      of a frame.
// Pe:                         elements of a beat.
// Folds:                      tables of a lane, which take turns.
// InputWidth, InputSigned, OutputWidth, OutputSigned:  the elements' bits and signs.
// Entries:                    words of a table, 2^InputWidth, by the bits of the element as an unsigned number.
#ifndef A2Q_LOOKUP_HPP
#define A2Q_LOOKUP_HPP

#include "numbers.hpp"

namespace a2q {

template <class Numbers, class Layer, class Word>
void lookup(
    stream<Numbers, Layer::Pe, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pe, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Word (&table)[Layer::Folds][Layer::Pe][Layer::Entries]) {
#pragma HLS array_partition variable=table complete dim=2
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;
  unsigned fold = 0;
  for (unsigned n = 0; n < Layer::Beats; n++) {
#pragma HLS pipeline style=flp II=1
    const auto elements = unpack<Input, Layer::Pe>(in.read());
    beat<Output, Layer::Pe> words;
    for (int lane = 0; lane < Layer::Pe; lane++) {
#pragma HLS unroll
      const unsigned place = unsigned(int(elements.lane[lane])) & (Layer::Entries - 1);
      words.lane[lane] = Output(table[fold][lane][place]);
    }
    out.write(pack(words));
    fold = fold == Layer::Folds - 1 ? 0 : fold + 1;
  }
}

}  // namespace a2q

#endif
