// Runs layers of hw/hls on files, in strict or in fast numbers.
//
//   <program> strict|fast <layer> <frames> <input file>… -- <output file>…
//
// A file holds the elements of its frames, channels fastest, each in the smallest native integer. A layer's structure has
// name() and call<Numbers>(inputs…, outputs…), which is one frame, and says with `port` what its streams are; the whole
// network is one too. What was seen of accumulators goes to the standard output (see accumulator.hpp):
//
//   extremes <layer> <accumulator> <width> <least> <greatest> <least used> <greatest used>
#ifndef A2Q_CPPSIM_HPP
#define A2Q_CPPSIM_HPP

#include <functional>
#include <iostream>
#include <fstream>
#include <tuple>

#include "accumulator.hpp"

namespace a2q {

// A stream of a layer, with the elements of a frame.
template <int Lanes, int Width, bool Signed, std::size_t Elements>
struct port {
  using element = native<Width, Signed>;
  template <class Numbers>
  using stream = a2q::stream<Numbers, Lanes, Width, Signed>;
  template <class Numbers>
  using number = typename Numbers::template number<Width, Signed>;
  static_assert(Elements % Lanes == 0, "a frame is whole beats");

  template <class Numbers>
  static void fill(std::istream &file, stream<Numbers> &to) {
    std::vector<element> frame(Elements);
    if (!file.read(reinterpret_cast<char *>(frame.data()), Elements * sizeof(element))) {
      throw std::runtime_error("an input file is too short");
    }
    for (std::size_t i = 0; i < Elements; i += Lanes) {
      beat<number<Numbers>, Lanes> values;
      for (int lane = 0; lane < Lanes; lane++) values.lane[lane] = number<Numbers>(frame[i + lane]);
      to.write(values);
    }
  }
  template <class Numbers>
  static void drain(stream<Numbers> &from, std::ostream &file) {
    std::vector<element> frame;
    frame.reserve(Elements);
    while (!from.empty()) {
      const auto values = from.read();
      for (int lane = 0; lane < Lanes; lane++) frame.push_back(static_cast<element>(value_of(values.lane[lane])));
    }
    if (frame.size() != Elements) {
      throw std::runtime_error("a frame of " + std::to_string(frame.size()) + " elements came out, not of " +
                               std::to_string(Elements));
    }
    file.write(reinterpret_cast<const char *>(frame.data()), frame.size() * sizeof(element));
  }
};

template <class... Ports>
struct ports {
  static constexpr std::size_t count = sizeof...(Ports);
  using indices = std::make_index_sequence<count>;
  template <class Numbers>
  using streams = std::tuple<typename Ports::template stream<Numbers>...>;

  template <class Numbers, std::size_t... I>
  static void fill(std::vector<std::ifstream> &files, streams<Numbers> &to, std::index_sequence<I...>) {
    const int done[] = {(Ports::template fill<Numbers>(files[I], std::get<I>(to)), 0)...};
    (void)done;
  }
  template <class Numbers, std::size_t... I>
  static void drain(streams<Numbers> &from, std::vector<std::ofstream> &files, std::index_sequence<I...>) {
    const int done[] = {(Ports::template drain<Numbers>(std::get<I>(from), files[I]), 0)...};
    (void)done;
  }
  template <class Numbers, std::size_t... I>
  static bool empty(streams<Numbers> &streams, std::index_sequence<I...>) {
    const bool each[] = {std::get<I>(streams).empty()...};
    return std::all_of(std::begin(each), std::end(each), [](bool one) { return one; });
  }
};

template <class Numbers, class Layer, std::size_t... I, std::size_t... O>
void call(typename Layer::inputs::template streams<Numbers> &in, typename Layer::outputs::template streams<Numbers> &out,
          std::index_sequence<I...>, std::index_sequence<O...>) {
  Layer::template call<Numbers>(std::get<I>(in)..., std::get<O>(out)...);
}

template <class Numbers, class Layer>
void run(unsigned frames, std::vector<std::ifstream> &in_files, std::vector<std::ofstream> &out_files) {
  using Inputs = typename Layer::inputs;
  using Outputs = typename Layer::outputs;
  const typename Inputs::indices inputs{};
  const typename Outputs::indices outputs{};
  if (in_files.size() != Inputs::count || out_files.size() != Outputs::count) {
    throw std::runtime_error("the layer has " + std::to_string(Inputs::count) + " inputs and " +
                             std::to_string(Outputs::count) + " outputs");
  }
  typename Inputs::template streams<Numbers> in;
  typename Outputs::template streams<Numbers> out;
  for (unsigned frame = 0; frame < frames; frame++) {
    Inputs::template fill<Numbers>(in_files, in, inputs);
    call<Numbers, Layer>(in, out, inputs, outputs);
    enter_layer(Layer::name());
    if (!Inputs::template empty<Numbers>(in, inputs)) throw std::runtime_error("input was left");
    Outputs::template drain<Numbers>(out, out_files, outputs);
  }
}

struct runners {
  std::function<void(unsigned, std::vector<std::ifstream> &, std::vector<std::ofstream> &)> strict_numbers, fast_numbers;
};

// What the program can run, by name.
inline std::map<std::string, runners> &known() {
  static std::map<std::string, runners> all;
  return all;
}

template <class Layer>
struct registered {
  registered() { known()[Layer::name()] = {run<strict, Layer>, run<fast, Layer>}; }
};

inline int main(int count, char **words) {
  const std::vector<std::string> given(words + 1, words + count);
  const auto dashes = std::find(given.begin(), given.end(), "--");
  if (given.size() < 4 || dashes == given.end() || (given[0] != "strict" && given[0] != "fast") ||
      !known().count(given[1])) {
    std::cerr << "usage: strict|fast <layer> <frames> <input file>... -- <output file>...\n";
    return 2;
  }
  std::vector<std::ifstream> in;
  std::vector<std::ofstream> out;
  for (auto name = given.begin() + 3; name != dashes; ++name) in.emplace_back(*name, std::ios::binary);
  for (auto name = dashes + 1; name != given.end(); ++name) out.emplace_back(*name, std::ios::binary);
  try {
    const runners &chosen = known()[given[1]];
    (given[0] == "strict" ? chosen.strict_numbers : chosen.fast_numbers)(std::stoul(given[2]), in, out);
  } catch (const std::exception &error) {
    std::cerr << (current_layer().empty() ? given[1] : current_layer()) << ": " << error.what() << "\n";
    return 1;
  }
  for (const auto &layer : all_watched()) {
    for (std::size_t i = 0; i < layer.second.size(); i++) {
      const extremes &seen = layer.second[i];
      std::cout << "extremes " << layer.first << " " << i << " " << seen.width << " " << seen.lowest << " "
                << seen.highest << " " << seen.lowest_used << " " << seen.highest_used << "\n";
    }
  }
  return 0;
}

}  // namespace a2q

#endif
