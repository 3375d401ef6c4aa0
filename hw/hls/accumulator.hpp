// Sums in exactly the certified width, and what simulation watches of them.
//
// In hardware an accumulator is Width bits, two's complement, and wraps. Simulation keeps beside it the sum as it would be
// without end, and notes the least and the greatest that it was: `watched(layer)` has them for each accumulator of a layer.
// A width that holds both held every partial sum.
#ifndef A2Q_ACCUMULATOR_HPP
#define A2Q_ACCUMULATOR_HPP

#include "numbers.hpp"

#ifndef __SYNTHESIS__
#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <vector>
#endif

namespace a2q {

#ifndef __SYNTHESIS__
// The extremes of the sums of one accumulator: of all partial sums, and of those that were used.
struct extremes {
  int width = 0;
  std::int64_t lowest = std::numeric_limits<std::int64_t>::max(), highest = std::numeric_limits<std::int64_t>::min();
  std::int64_t lowest_used = lowest, highest_used = highest;

  void add(std::int64_t sum) {
    lowest = std::min(lowest, sum);
    highest = std::max(highest, sum);
  }
  void use(std::int64_t sum) {
    lowest_used = std::min(lowest_used, sum);
    highest_used = std::max(highest_used, sum);
  }
};

// By name of the layer, the extremes of each of its accumulators.
inline std::map<std::string, std::vector<extremes>> &all_watched() {
  static std::map<std::string, std::vector<extremes>> watched;
  return watched;
}

// The extremes of the accumulator `index` of Layer, of which there are Layer::Accumulators.
template <class Layer>
extremes &watched(int index) {
  static std::vector<extremes> &own = [] () -> std::vector<extremes> & {
    std::vector<extremes> &found = all_watched()[Layer::name()];
    found.resize(Layer::Accumulators);
    return found;
  }();
  return own[index];
}
#endif

// A sum of ap_int, Width bits.
template <int Width>
class strict_accumulator {
 public:
  template <class Number>
  void start(const Number &number) {
    value_ = number;
#ifndef __SYNTHESIS__
    sum_ = value_of(number);
#endif
  }
  template <class Number>
  void add(const Number &number) {
    value_ += number;
#ifndef __SYNTHESIS__
    sum_ += value_of(number);
#endif
  }
  const ap_int<Width> &value() const { return value_; }
#ifndef __SYNTHESIS__
  std::int64_t sum() const { return sum_; }
#endif

 private:
  ap_int<Width> value_;
#ifndef __SYNTHESIS__
  std::int64_t sum_ = 0;
#endif
};

#ifndef __SYNTHESIS__
// The same sum in a native integer. It does not wrap: that it left its width is what its extremes say.
template <int Width>
class fast_accumulator {
 public:
  void start(std::int64_t number) { sum_ = number; }
  void add(std::int64_t number) { sum_ += number; }
  std::int64_t value() const { return sum_; }
  std::int64_t sum() const { return sum_; }

 private:
  std::int64_t sum_ = 0;
};
#endif

// Notes, in simulation, what an accumulator of Layer holds; `used` when the sum is complete.
template <class Layer, int Width, class Accumulator>
void watch(int index, const Accumulator &accumulator, bool used) {
#pragma HLS inline
#ifndef __SYNTHESIS__
  extremes &own = watched<Layer>(index);
  own.width = Width;
  own.add(accumulator.sum());
  if (used) own.use(accumulator.sum());
#else
  (void)index, (void)accumulator, (void)used;
#endif
}

}  // namespace a2q

#endif
