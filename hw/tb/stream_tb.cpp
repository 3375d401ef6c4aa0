// Drives every AXI stream of a Verilator model from files and writes what comes out to files.
//
// usage: stream_tb <idle limit> <stall seed> then, where weights are loaded, <file>, for each input, <file> and, for each
//        output, <file> <beats a frame> <frames>, and at the end the model's own arguments, +<name>=<value>
//
// A stall seed of 0 offers a beat in every cycle and takes one in every cycle; another seed leaves gaps and holds back at
// random, half of the time. A simulation in which no port moves for <idle limit> cycles ends with status 3.
//
// Where the model loads weights, input waits until they are there; with a stall seed it does not, which a layer must
// stand, and there are other weights and another reset before: half of them, or all, by the seed.
//
// On standard output, with cycles counted from the release of reset, or from when the weights are there:
//     first <port> <cycle>    the first beat of an output
//     frame <port> <cycle>    the last beat of a frame of an output
//     input <port> <cycle>    the last beat of an input
//     end <cycle>             the end
//     port <port> <beats moved> <beats expected> <valid> <ready>
// and then what the model itself prints.
//
// ports.h, generated, names the model's class and lists its streams; WEIGHT_STREAMS is that of the weights, or nothing.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "ports.h"
#include "verilated.h"

namespace {

template <typename Word>
void load(Word& port, const uint8_t* bytes, size_t count) {
    port = 0;
    std::memcpy(&port, bytes, count);
}

template <std::size_t Words>
void load(VlWide<Words>& port, const uint8_t* bytes, size_t count) {
    port.m_storage[Words - 1] = 0;
    std::memcpy(port.m_storage, bytes, count);
}

template <typename Word>
void store(const Word& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, &port, count);
}

template <std::size_t Words>
void store(const VlWide<Words>& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, port.m_storage, count);
}

// xorshift64: the stalls of a seed are the same on every machine
class Coin {
  public:
    explicit Coin(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull), always_(seed == 0) {}
    bool toss() {
        if (always_) return true;
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return (state_ >> 32) & 1;
    }

  private:
    uint64_t state_;
    bool always_;
};

struct Source {
    std::vector<uint8_t> bytes;
    size_t beat_bytes;
    bool waits;  // until the weights are there
    size_t sent = 0;
    bool offered = false;
    bool done() const { return sent * beat_bytes >= bytes.size(); }
};

struct Sink {
    FILE* file;
    size_t beat_bytes;
    size_t beats_a_frame;
    size_t expected;
    size_t taken = 0;
    bool ready = false;
};

std::vector<uint8_t> read_file(const char* path) {
    FILE* file = std::fopen(path, "rb");
    if (!file) {
        std::perror(path);
        std::exit(2);
    }
    std::fseek(file, 0, SEEK_END);
    std::vector<uint8_t> bytes(std::ftell(file));
    std::rewind(file);
    if (std::fread(bytes.data(), 1, bytes.size(), file) != bytes.size()) {
        std::perror(path);
        std::exit(2);
    }
    std::fclose(file);
    return bytes;
}

void note(const char* what, const char* port, uint64_t cycle) {
    std::printf("%s %s %llu\n", what, port, (unsigned long long)cycle);
}

}  // namespace

int main(int argc, char** argv) {
    VerilatedContext context;
    // what no reset sets begins at random, so that a reset that is missing shows
    context.randReset(2);
    context.randSeed(argc > 2 ? 1 + std::atoi(argv[2]) : 1);
    context.commandArgs(argc, argv);  // the model's own, which begin with a plus sign and come last
    TOP_CLASS top(&context);
    int next = 1;
    auto argument = [&]() -> const char* {
        if (next >= argc) {
            std::fprintf(stderr, "stream_tb: too few arguments\n");
            std::exit(2);
        }
        return argv[next++];
    };
    const uint64_t idle_limit = std::strtoull(argument(), nullptr, 10);
    const uint64_t seed = std::strtoull(argument(), nullptr, 10);
    Coin coin(seed);

#define SOURCES(X) WEIGHT_STREAMS(X) INPUT_STREAMS(X)
    std::vector<Source> sources;
    bool waits = false;
#define ADD_SOURCE(port, width_bytes) sources.push_back({read_file(argument()), width_bytes, waits});
    WEIGHT_STREAMS(ADD_SOURCE)
    waits = seed == 0;
    INPUT_STREAMS(ADD_SOURCE)
    std::vector<Sink> sinks;
#define ADD_SINK(port, width_bytes)                                                                    \
    {                                                                                                  \
        FILE* file = std::fopen(argument(), "wb");                                                     \
        if (!file) { std::perror("output"); return 2; }                                                \
        const size_t beats = std::strtoull(argument(), nullptr, 10);                                   \
        const size_t frames = std::strtoull(argument(), nullptr, 10);                                  \
        sinks.push_back({file, width_bytes, beats, beats * frames});                                   \
    }
    OUTPUT_STREAMS(ADD_SINK)

    auto tick = [&]() {
        top.ap_clk = 1;
        top.eval();
        top.ap_clk = 0;
    };
    auto reset = [&]() {
        top.ap_clk = 0;
        top.ap_rst_n = 0;
#define QUIET_SOURCE(port, width_bytes) top.port##_tvalid = 0;
#define QUIET_SINK(port, width_bytes) top.port##_tready = 0;
        SOURCES(QUIET_SOURCE)
        OUTPUT_STREAMS(QUIET_SINK)
        for (int cycle = 0; cycle < 8; ++cycle) {
            top.eval();
            tick();
        }
        top.ap_rst_n = 1;
    };
    reset();
#define LOAD_OTHERS(port, width_bytes)                                                                 \
    if (seed != 0) {                                                                                   \
        const size_t words = sources[0].bytes.size() / width_bytes >> (seed & 1);                      \
        for (size_t word = 0; word < words; ++word) {                                                  \
            load(top.port##_tdata, &sources[0].bytes[word * width_bytes], width_bytes);                \
            top.port##_tdata = ~top.port##_tdata;                                                      \
            top.port##_tvalid = 1;                                                                     \
            top.eval();                                                                                \
            tick();                                                                                    \
        }                                                                                              \
        reset();                                                                                       \
    }
    WEIGHT_STREAMS(LOAD_OTHERS)

    uint64_t cycle = 0, idle = 0;
    std::vector<uint8_t> beat(65536);
    bool hang = false, loaded = true;
    for (;; cycle += loaded) {
#define LOOK(port, width_bytes) loaded = top.weights_loaded;
        WEIGHT_STREAMS(LOOK)
        bool finished = true;
        for (const Sink& sink : sinks) finished = finished && sink.taken >= sink.expected;
        if (finished) break;
        if (idle > idle_limit) {
            hang = true;
            break;
        }
        size_t index = 0;
        // an offered beat stays offered until it is taken
#define OFFER(port, width_bytes)                                                                       \
    {                                                                                                  \
        Source& source = sources[index++];                                                             \
        if (!source.offered && !source.done() && (loaded || !source.waits) && coin.toss()) {           \
            source.offered = true;                                                                     \
            load(top.port##_tdata, &source.bytes[source.sent * width_bytes], width_bytes);             \
        }                                                                                              \
        top.port##_tvalid = source.offered;                                                            \
    }
        SOURCES(OFFER)
        index = 0;
#define ACCEPT(port, width_bytes)                                                                      \
    {                                                                                                  \
        Sink& sink = sinks[index++];                                                                   \
        sink.ready = sink.taken < sink.expected && coin.toss();                                        \
        top.port##_tready = sink.ready;                                                                \
    }
        OUTPUT_STREAMS(ACCEPT)
        top.eval();
        bool moved = false;
        index = 0;
#define TAKE(port, width_bytes)                                                                        \
    {                                                                                                  \
        Sink& sink = sinks[index++];                                                                   \
        if (sink.ready && top.port##_tvalid) {                                                         \
            store(top.port##_tdata, beat.data(), width_bytes);                                         \
            std::fwrite(beat.data(), 1, width_bytes, sink.file);                                       \
            if (sink.taken++ == 0) note("first", #port, cycle);                                        \
            if (sink.taken % sink.beats_a_frame == 0) note("frame", #port, cycle);                     \
            moved = true;                                                                              \
        }                                                                                              \
    }
        OUTPUT_STREAMS(TAKE)
        index = 0;
#define ADVANCE(port, width_bytes)                                                                     \
    {                                                                                                  \
        Source& source = sources[index++];                                                             \
        if (source.offered && top.port##_tready) {                                                     \
            source.offered = false;                                                                    \
            ++source.sent;                                                                             \
            moved = true;                                                                              \
            if (source.done()) note("input", #port, cycle);                                            \
        }                                                                                              \
    }
        SOURCES(ADVANCE)
        idle = moved ? 0 : idle + 1;
        tick();
    }
    std::printf("end %llu\n", (unsigned long long)cycle);
    size_t index = 0;
#define REPORT_INPUT(port, width_bytes)                                                                \
    {                                                                                                  \
        const Source& source = sources[index++];                                                       \
        std::printf("port " #port " %zu %zu %d %d\n", source.sent, source.bytes.size() / width_bytes,  \
                    int(top.port##_tvalid), int(top.port##_tready));                                   \
    }
    SOURCES(REPORT_INPUT)
    index = 0;
#define REPORT_OUTPUT(port, width_bytes)                                                               \
    {                                                                                                  \
        const Sink& sink = sinks[index++];                                                             \
        std::printf("port " #port " %zu %zu %d %d\n", sink.taken, sink.expected,                       \
                    int(top.port##_tvalid), int(top.port##_tready));                                   \
        std::fclose(sink.file);                                                                        \
    }
    OUTPUT_STREAMS(REPORT_OUTPUT)
    top.final();
    return hang ? 3 : 0;
}
