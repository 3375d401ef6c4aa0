// The numbers that kernels calculate with, and the streams between them.
//
// Every kernel is a template on `Numbers`, one of two classes:
//
//   a2q::strict  ap_int and ap_uint: what Vitis HLS synthesizes, and a simulation to the bit
//   a2q::fast    native integers that check their ranges: the same results, many times faster
//
// Both have  number<Width, Signed>  an integer of Width bits, two's complement if Signed
//            accumulator<Width>     a sum in exactly Width bits, two's complement (see accumulator.hpp)
//
// A strict number drops bits that do not fit, as hardware does; a fast one raises std::range_error.
#ifndef A2Q_NUMBERS_HPP
#define A2Q_NUMBERS_HPP

#include <cstdint>
#include <type_traits>

#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 4096  // the widest word, and the most that Vitis HLS takes
#endif
#include <ap_int.h>

#ifdef A2Q_CPPSIM
#include "processes.hpp"
#else
#include <hls_stream.h>
#endif

#ifndef __SYNTHESIS__
#include <stdexcept>
#include <string>
#endif

namespace a2q {

// The smallest native integer of at least Width bits.
template <int Width, bool Signed>
struct native_of {
  static_assert(Width >= 1 && Width <= 64, "a number has 1 to 64 bits");
  using signed_type = typename std::conditional<(Width <= 8), std::int8_t,
      typename std::conditional<(Width <= 16), std::int16_t,
      typename std::conditional<(Width <= 32), std::int32_t, std::int64_t>::type>::type>::type;
  using type = typename std::conditional<Signed, signed_type, typename std::make_unsigned<signed_type>::type>::type;
};
template <int Width, bool Signed>
using native = typename native_of<Width, Signed>::type;

template <int Width, bool Signed>
using arbitrary = typename std::conditional<Signed, ap_int<Width>, ap_uint<Width>>::type;

// An element of a table: as wide as it is in hardware, and initialized before a simulation starts.
#ifdef __SYNTHESIS__
template <int Width, bool Signed>
using constant = arbitrary<Width, Signed>;
#else
template <int Width, bool Signed>
using constant = native<Width, Signed>;
#endif

#ifndef __SYNTHESIS__
// A native integer that raises std::range_error for a value that Width bits do not hold.
template <int Width, bool Signed>
class checked {
 public:
  static constexpr std::int64_t lowest() { return Signed ? -(std::int64_t(1) << (Width - 1)) : 0; }
  static constexpr std::int64_t highest() {
    return Signed ? ~lowest() : std::int64_t((std::uint64_t(1) << (Width - 1)) * 2 - 1);
  }

  checked() = default;
  checked(std::int64_t value) : value_(static_cast<native<Width, Signed>>(value)) {
    static_assert(Width < 64 || Signed, "an unsigned number has 1 to 63 bits");
    if (value < lowest() || value > highest()) {
      throw std::range_error(std::to_string(value) + " does not fit " + std::to_string(Width) + " bits, " +
                             (Signed ? "signed" : "unsigned"));
    }
  }
  operator std::int64_t() const { return value_; }

 private:
  native<Width, Signed> value_ = 0;
};
#endif

template <int Width>
class strict_accumulator;
template <int Width>
class fast_accumulator;

struct strict {
  template <int Width, bool Signed>
  using number = arbitrary<Width, Signed>;
  template <int Width>
  using accumulator = strict_accumulator<Width>;
};

#ifndef __SYNTHESIS__
struct fast {
  template <int Width, bool Signed>
  using number = checked<Width, Signed>;
  template <int Width>
  using accumulator = fast_accumulator<Width>;
};
#endif

// The value of any number as a 64-bit integer. Simulation only: in synthesis numbers keep their widths.
#ifndef __SYNTHESIS__
template <int Width>
std::int64_t value_of(const ap_int<Width> &number) { return number.to_int64(); }
template <int Width>
std::int64_t value_of(const ap_uint<Width> &number) { return number.to_int64(); }
inline std::int64_t value_of(std::int64_t number) { return number; }
#endif

// A beat: neighbouring channels, each in a register of its own.
template <class Number, int Lanes>
struct beat {
  Number lane[Lanes];
  beat() {
#pragma HLS inline
#pragma HLS array_partition variable=lane complete
  }
};

// What streams and memories hold of a beat: one word, lane 0 in the least significant bits. In native integers it is the
// beat itself.
template <class Number, int Lanes>
struct word_of {
  using type = beat<Number, Lanes>;
  static const type &pack(const type &values) { return values; }
  static const type &unpack(const type &word) { return word; }
};
template <class Number, int Width, int Lanes>
struct packed_word {
  static_assert(Width * Lanes <= 4096, "a word has at most 4,096 bits");
  using type = ap_uint<Width * Lanes>;
  static type pack(const beat<Number, Lanes> &values) {
#pragma HLS inline
    type word;
    for (int lane = 0; lane < Lanes; lane++) {
#pragma HLS unroll
      word.range(Width * (lane + 1) - 1, Width * lane) = values.lane[lane].range(Width - 1, 0);
    }
    return word;
  }
  static beat<Number, Lanes> unpack(const type &word) {
#pragma HLS inline
    beat<Number, Lanes> values;
    for (int lane = 0; lane < Lanes; lane++) {
#pragma HLS unroll
      values.lane[lane].range(Width - 1, 0) = word.range(Width * (lane + 1) - 1, Width * lane);
    }
    return values;
  }
};
template <int Width, int Lanes>
struct word_of<ap_int<Width>, Lanes> : packed_word<ap_int<Width>, Width, Lanes> {};
template <int Width, int Lanes>
struct word_of<ap_uint<Width>, Lanes> : packed_word<ap_uint<Width>, Width, Lanes> {};

template <class Number, int Lanes>
using word = typename word_of<Number, Lanes>::type;

template <class Number, int Lanes>
word<Number, Lanes> pack(const beat<Number, Lanes> &values) {
#pragma HLS inline
  return word_of<Number, Lanes>::pack(values);
}
template <class Number, int Lanes>
beat<Number, Lanes> unpack(const word<Number, Lanes> &word) {
#pragma HLS inline
  return word_of<Number, Lanes>::unpack(word);
}

#ifdef A2Q_CPPSIM
template <class Word>
using stream_of = simulated_stream<Word>;
#else
template <class Word>
using stream_of = hls::stream<Word>;
#endif
template <class Numbers, int Lanes, int Width, bool Signed>
using stream = stream_of<word<typename Numbers::template number<Width, Signed>, Lanes>>;

}  // namespace a2q

#endif
