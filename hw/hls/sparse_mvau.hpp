// SparseMVAU: MVAU that multiplies by the weights that are not zero, and by no others.
//
// Rows are dealt to Pe walkers so that all of them finish together. A walker goes through the entries of its rows, one
// a step: where in the vector the element is, and its weight. Three processes work side by side on three vectors: one
// comes in, one is walked, and the sums of one leave, Lanes rows a beat. Row r leaves in lane r % Lanes and is computed
// by one of the walkers l with l % Lanes = r % Lanes; a walker's sums wait in the order of its rows.
//
// The pixels of a beat may be several, each a vector of its own: a step takes the same entry for all of them.
//
// Vectors:            vectors of a frame, those of Pixels neighbours counted once.
// Pixels:             vectors side by side; in a beat the elements of one are neighbours.
// Mw, Mh:             columns and rows of the matrix.
// Simd:               elements of each vector of an input beat, divides Mw.
// Pe:                 walkers.
// Lanes:              elements of each vector of an output beat, divides Mh and Pe.
// Steps:              entries of the longest walk; the others are filled up to it with entries that do nothing.
// Rows:               rows of the walker that has the most of them.
// InputWidth, InputSigned, OutputWidth, OutputSigned:  the elements' bits and signs.
// WeightWidth:        bits of a weight, two's complement.
// acc_width(index):   bits of the sums of walker index % Pe, two's complement.
// walk_length(walker):  entries of its walk.
// LaneWidth:          bits that hold every sum and every sum with its bias.
// HasBias:            `biases` are added to the sums.
// NumThresholds, OutputOffset, Requantizes:  see thresholding; without thresholds the sums themselves go out.
// weights, words, elements, ends:  the entries, for each step and walker: the weight, the beat of the vector, the
//                     element of the beat, and whether the row ends.
// order, places:      for each output beat and lane the number of the walker among those of the lane, and that of the
//                     sum among those of the walker.
#ifndef A2Q_SPARSE_MVAU_HPP
#define A2Q_SPARSE_MVAU_HPP

#include "lanes.hpp"
#include "thresholding.hpp"

namespace a2q {

// A step of the walkers, each of which has a copy of the vector.
template <class Numbers, class Layer, class Vectors, class Sums, class Weights, class Words, class Elements, class Ends>
struct sparse_mvau_step {
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Product = typename Numbers::template number<Layer::InputWidth + Layer::WeightWidth, true>;

  accumulators<Numbers, Layer, Layer::Pixels * Layer::Pe> &sums;
  const Vectors &vectors;
  Sums &results;
  const Weights &weights;
  const Words &words;
  const Elements &elements;
  const Ends &ends;
  bool (&begins)[Layer::Pe];
  int (&rows)[Layer::Pe];  // that have ended
  const int step;

  // A walker for one of the pixels, those of the first pixel first; the last pixel is the end of the walker's step.
  template <std::size_t Lane>
  void lane() {
#pragma HLS inline
    constexpr int walker = int(Lane) % Layer::Pe, pixel = int(Lane) / Layer::Pe;
    constexpr int length = Layer::walk_length(walker);
    auto &sum = sums.template get<Lane>();
    const beat<Input, Layer::Pixels * Layer::Simd> inputs =
        unpack<Input, Layer::Pixels * Layer::Simd>(vectors[walker][words[walker]]);
    const Product product = inputs.lane[pixel * Layer::Simd + elements[walker]] * weights[walker];
    if (step < length) {
      const bool row_ends = ends[walker] != 0;
      if (begins[walker]) {
        sum.start(product);
      } else {
        sum.add(product);
      }
      watch<Layer, Layer::acc_width(walker)>(walker, sum, row_ends && !Layer::HasBias);
      if (row_ends) {
        results[walker % Layer::Lanes][walker / Layer::Lanes][rows[walker]][pixel].start(sum.value());
      }
      if (pixel == Layer::Pixels - 1) {
        if (row_ends) rows[walker]++;
        begins[walker] = row_ends;
      }
    }
  }
};

template <class Numbers, class Layer, class Word, int Words>
void load_vector(
    stream<Numbers, Layer::Pixels * Layer::Simd, Layer::InputWidth, Layer::InputSigned> &in,
    Word (&vectors)[Layer::Pe][Words]) {
  for (int word = 0; word < Words; word++) {
#pragma HLS pipeline style=flp II=1
    const Word inputs = in.read();
    for (int walker = 0; walker < Layer::Pe; walker++) {
#pragma HLS unroll
      vectors[walker][word] = inputs;
    }
  }
}

template <class Numbers, class Layer, class Vectors, class Sums, class Weights, class Words, class Elements, class Ends>
void walk(
    const Vectors &vectors, Sums &results, const Weights (&weights)[Layer::Steps], const Words (&words)[Layer::Steps],
    const Elements (&elements)[Layer::Steps], const Ends (&ends)[Layer::Steps]) {
  accumulators<Numbers, Layer, Layer::Pixels * Layer::Pe> sums;
  bool begins[Layer::Pe];
  int rows[Layer::Pe];
#pragma HLS array_partition variable=begins complete
#pragma HLS array_partition variable=rows complete
  for (int walker = 0; walker < Layer::Pe; walker++) {
#pragma HLS unroll
    begins[walker] = true;
    rows[walker] = 0;
  }
  for (int n = 0; n < Layer::Steps; n++) {
#pragma HLS pipeline style=flp II=1
    sparse_mvau_step<Numbers, Layer, Vectors, Sums, Weights, Words, Elements, Ends> step = {
        sums, vectors, results, weights[n], words[n], elements[n], ends[n], begins, rows, n};
    for_each_lane<Layer::Pixels * Layer::Pe>(step);
  }
}

template <class Numbers, class Layer, class Sums, class Owner, class Place, class Bias, int BiasBeats, int BiasLanes,
          class Threshold, int ThresholdBeats, int ThresholdLanes, int Entries>
void collect_sums(
    const Sums &results, stream<Numbers, Layer::Pixels * Layer::Lanes, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Owner (&order)[Layer::Mh / Layer::Lanes][Layer::Lanes],
    const Place (&places)[Layer::Mh / Layer::Lanes][Layer::Lanes],
    const Bias (&biases)[BiasBeats][BiasLanes],
    const Threshold (&thresholds)[ThresholdBeats][ThresholdLanes][Entries]) {
  using Output = typename Numbers::template number<Layer::OutputWidth, Layer::OutputSigned>;
  constexpr bool has_thresholds = Layer::NumThresholds > 0;
  for (int n = 0; n < Layer::Mh / Layer::Lanes; n++) {
#pragma HLS pipeline style=flp II=1
    beat<Output, Layer::Pixels * Layer::Lanes> outputs;
    for (int output = 0; output < Layer::Pixels * Layer::Lanes; output++) {
#pragma HLS unroll
      const int lane = output % Layer::Lanes;
      auto sum = results[lane][order[n][lane]][places[n][lane]][output / Layer::Lanes];
      if (Layer::HasBias) {
        sum.add(biases[BiasBeats > 1 ? n : 0][Layer::HasBias ? lane : 0]);
        watch<Layer, Layer::LaneWidth>(Layer::Pe + lane, sum, true);
      }
      outputs.lane[output] = activate<Layer, Output>(
          activation<Layer>(), sum.value(),
          thresholds[ThresholdBeats > 1 ? n : 0][has_thresholds ? output : 0]);
    }
    out.write(pack(outputs));
  }
}

template <class Numbers, class Layer, class Weight, class Word, class Element, class End, class Owner, class Place,
          class Bias, int BiasBeats, int BiasLanes, class Threshold, int ThresholdBeats, int ThresholdLanes,
          int Entries>
void sparse_mvau(
    stream<Numbers, Layer::Pixels * Layer::Simd, Layer::InputWidth, Layer::InputSigned> &in,
    stream<Numbers, Layer::Pixels * Layer::Lanes, Layer::OutputWidth, Layer::OutputSigned> &out,
    const Weight (&weights)[Layer::Steps][Layer::Pe],
    const Word (&words)[Layer::Steps][Layer::Pe],
    const Element (&elements)[Layer::Steps][Layer::Pe],
    const End (&ends)[Layer::Steps][Layer::Pe],
    const Owner (&order)[Layer::Mh / Layer::Lanes][Layer::Lanes],
    const Place (&places)[Layer::Mh / Layer::Lanes][Layer::Lanes],
    const Bias (&biases)[BiasBeats][BiasLanes],
    const Threshold (&thresholds)[ThresholdBeats][ThresholdLanes][Entries]) {
#pragma HLS array_reshape variable=weights complete dim=2
#pragma HLS array_reshape variable=words complete dim=2
#pragma HLS array_reshape variable=elements complete dim=2
#pragma HLS array_reshape variable=ends complete dim=2
#pragma HLS array_reshape variable=order complete dim=2
#pragma HLS array_reshape variable=places complete dim=2
#pragma HLS array_partition variable=biases complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=2
#pragma HLS array_partition variable=thresholds complete dim=3
  static_assert(Layer::Mw % Layer::Simd == 0, "Simd divides Mw");
  static_assert(Layer::Mh % Layer::Lanes == 0 && Layer::Pe % Layer::Lanes == 0, "Lanes divides Mh and Pe");
  using Input = typename Numbers::template number<Layer::InputWidth, Layer::InputSigned>;
  using Sum = typename Numbers::template accumulator<Layer::LaneWidth>;
  for (int n = 0; n < Layer::Vectors; n++) {
#pragma HLS dataflow
    word<Input, Layer::Pixels * Layer::Simd> vectors[Layer::Pe][Layer::Mw / Layer::Simd];
#pragma HLS array_partition variable=vectors complete dim=1
    Sum results[Layer::Lanes][Layer::Pe / Layer::Lanes][Layer::Rows][Layer::Pixels];
#pragma HLS array_partition variable=results complete dim=1
#pragma HLS array_partition variable=results complete dim=2
#pragma HLS array_partition variable=results complete dim=4
    load_vector<Numbers, Layer>(in, vectors);
    walk<Numbers, Layer>(vectors, results, weights, words, elements, ends);
    collect_sums<Numbers, Layer>(results, out, order, places, biases, thresholds);
  }
}

}  // namespace a2q

#endif
