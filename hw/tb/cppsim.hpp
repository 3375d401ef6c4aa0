// Runs layers of hw/hls on files, in strict or in fast numbers.
//
//   <program> strict|fast|bounded|needs <layer> <frames> <input file>… -- <output file>…
//
// strict and fast call the layer frame by frame, with streams of any depth. bounded is for a network: its layers run side
// by side, in fast numbers, with streams as deep as they are written out. needs, in fast numbers too, gives a layer its
// input beat by beat, and says after which one each beat of output had come; it is there with A2Q_NEEDS.
//
// A file holds the elements of its frames, channels fastest, each in the smallest native integer. A layer's structure has
// name() and call<Numbers>(inputs…, outputs…), which is one frame, and says with `port` what its streams are; the whole
// network is one too. What was seen of accumulators goes to the standard output (see accumulator.hpp):
//
//   needs <beats of each input, as far as it has them, before the first beat of output> <before the second> …
//   extremes <layer> <accumulator> <width> <least> <greatest> <least used> <greatest used>
#ifndef A2Q_CPPSIM_HPP
#define A2Q_CPPSIM_HPP

#include <algorithm>
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
  static constexpr std::size_t Beats = Elements / Lanes;
  static_assert(Elements % Lanes == 0, "a frame is whole beats");

  // A beat from the file to the stream, and back.
  template <class Numbers>
  static void fill(std::istream &file, stream<Numbers> &to) {
    element elements[Lanes];
    if (!file.read(reinterpret_cast<char *>(elements), sizeof elements)) {
      throw std::runtime_error("an input file is too short");
    }
    beat<number<Numbers>, Lanes> values;
    for (int lane = 0; lane < Lanes; lane++) values.lane[lane] = number<Numbers>(elements[lane]);
    to.write(pack(values));
  }
  template <class Numbers>
  static void drain(stream<Numbers> &from, std::ostream &file) {
    const beat<number<Numbers>, Lanes> values = unpack<number<Numbers>, Lanes>(from.read());
    element elements[Lanes];
    for (int lane = 0; lane < Lanes; lane++) elements[lane] = static_cast<element>(value_of(values.lane[lane]));
    file.write(reinterpret_cast<const char *>(elements), sizeof elements);
  }
};

template <class... Ports>
struct ports {
  static constexpr std::size_t count = sizeof...(Ports);
  using indices = std::make_index_sequence<count>;
  using all = std::tuple<Ports...>;
  template <class Numbers>
  using streams = std::tuple<typename Ports::template stream<Numbers>...>;

  // the most beats that a frame has on one of them
  static constexpr std::size_t most() { return std::max({Ports::Beats...}); }

  // a frame of each
  template <class Numbers, std::size_t... I>
  static void fill(std::vector<std::ifstream> &files, streams<Numbers> &to, std::index_sequence<I...>) {
    const int done[] = {(fill_one<Numbers, Ports>(files[I], std::get<I>(to), Ports::Beats), 0)...};
    (void)done;
  }
  // beat `number` of those that `frames` have on each
  template <class Numbers, std::size_t... I>
  static void fill_beat(std::vector<std::ifstream> &files, streams<Numbers> &to, std::index_sequence<I...>,
                        std::size_t number, std::size_t frames) {
    const int done[] = {(fill_one<Numbers, Ports>(files[I], std::get<I>(to), number < frames * Ports::Beats), 0)...};
    (void)done;
  }
  template <class Numbers, std::size_t... I>
  static void drain(streams<Numbers> &from, std::vector<std::ofstream> &files, std::index_sequence<I...>) {
    const int done[] = {(drain_one<Numbers, Ports>(std::get<I>(from), files[I]), 0)...};
    (void)done;
  }
  template <class Numbers, std::size_t... I>
  static std::vector<channel *> channels(streams<Numbers> &streams, std::index_sequence<I...>) {
    return {&std::get<I>(streams)...};
  }
  template <class Numbers, std::size_t... I>
  static bool empty(streams<Numbers> &streams, std::index_sequence<I...>) {
    const bool each[] = {std::get<I>(streams).empty()...};
    return std::all_of(std::begin(each), std::end(each), [](bool one) { return one; });
  }

 private:
  template <class Numbers, class Port, class Stream>
  static void fill_one(std::istream &file, Stream &to, std::size_t beats) {
    for (std::size_t beat = 0; beat < beats; beat++) Port::template fill<Numbers>(file, to);
  }
  template <class Numbers, class Port, class Stream>
  static void drain_one(Stream &from, std::ostream &file) {
    if (from.size() != Port::Beats) {
      throw std::runtime_error("a frame of " + std::to_string(from.size()) + " beats came out, not of " +
                               std::to_string(Port::Beats));
    }
    while (!from.empty()) Port::template drain<Numbers>(from, file);
  }
};

template <class Numbers, class Layer, std::size_t... I, std::size_t... O>
void call(typename Layer::inputs::template streams<Numbers> &in, typename Layer::outputs::template streams<Numbers> &out,
          std::index_sequence<I...>, std::index_sequence<O...>) {
  Layer::template call<Numbers>(std::get<I>(in)..., std::get<O>(out)...);
}

using in_files = std::vector<std::ifstream>;
using out_files = std::vector<std::ofstream>;

template <class Layer>
void check_ports(const in_files &in, const out_files &out) {
  if (in.size() != Layer::inputs::count || out.size() != Layer::outputs::count) {
    throw std::runtime_error("the layer has " + std::to_string(Layer::inputs::count) + " inputs and " +
                             std::to_string(Layer::outputs::count) + " outputs");
  }
}

template <class Numbers, class Layer>
void run(unsigned frames, in_files &from, out_files &to) {
  using Inputs = typename Layer::inputs;
  using Outputs = typename Layer::outputs;
  const typename Inputs::indices inputs{};
  const typename Outputs::indices outputs{};
  check_ports<Layer>(from, to);
  typename Inputs::template streams<Numbers> in;
  typename Outputs::template streams<Numbers> out;
  for (unsigned frame = 0; frame < frames; frame++) {
    Inputs::template fill<Numbers>(from, in, inputs);
    call<Numbers, Layer>(in, out, inputs, outputs);
    current_layer() = Layer::name();
    if (!Inputs::template empty<Numbers>(in, inputs)) throw std::runtime_error("input was left");
    Outputs::template drain<Numbers>(out, to, outputs);
  }
}

#ifdef A2Q_NEEDS
template <class Layer>
void run_beat_by_beat(unsigned frames, in_files &from, out_files &to) {
  using Inputs = typename Layer::inputs;
  using Outputs = typename Layer::outputs;
  const typename Inputs::indices inputs{};
  const typename Outputs::indices outputs{};
  check_ports<Layer>(from, to);
  typename Inputs::template streams<fast> in;
  typename Outputs::template streams<fast> out;
  side_by_side alone;
  alone.add(Layer::name(), [&] { call<fast, Layer>(in, out, inputs, outputs); }, Inputs::template channels<fast>(in, inputs),
            Outputs::template channels<fast>(out, outputs));
  alone.start(frames);
  std::cout << "needs";
  std::size_t seen = 0;
  for (std::size_t taken = 0; taken <= frames * Inputs::most(); taken++) {
    if (taken) Inputs::template fill_beat<fast>(from, in, inputs, taken - 1, frames);
    alone.go_on();
    for (; seen < std::get<0>(out).size(); seen++) std::cout << " " << taken;
  }
  std::cout << "\n";
}
#endif

template <class Network>
void run_bounded(unsigned frames, in_files &from, out_files &to) {
  using Input = typename std::tuple_element<0, typename Network::inputs::all>::type;
  using Output = typename std::tuple_element<0, typename Network::outputs::all>::type;
  check_ports<Network>(from, to);
  typename Input::template stream<fast> in("the network's input", 2);
  typename Output::template stream<fast> out("the network's output", 2);
  side_by_side network;
  network.add("the source", [&] { for (std::size_t n = 0; n < Input::Beats; n++) Input::template fill<fast>(from[0], in); }, {}, {&in});
  network.add("the sink", [&] { for (std::size_t n = 0; n < Output::Beats; n++) Output::template drain<fast>(out, to[0]); }, {&out}, {});
  Network::template run<fast>(network, frames, in, out);
}

using runner = void (*)(unsigned, in_files &, out_files &);

// What the program can run: a layer, and how.
void add_runner(const char *layer, const char *mode, runner run);

template <class Layer>
struct registered {
  registered() {
    add_runner(Layer::name(), "strict", run<strict, Layer>);
    add_runner(Layer::name(), "fast", run<fast, Layer>);
#ifdef A2Q_NEEDS
    add_runner(Layer::name(), "needs", run_beat_by_beat<Layer>);
#endif
  }
};
template <class Network>
struct registered_network {
  registered_network() {
    add_runner(Network::name(), "strict", run<strict, Network>);
    add_runner(Network::name(), "bounded", run_bounded<Network>);
  }
};

}  // namespace a2q

#endif
