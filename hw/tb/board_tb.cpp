// A board with an accelerator, as a shared library: a Verilated a2q_accelerator behind a C interface.
//
// What it stands in for is a processor that reads and writes registers, and a DMA with a stream each way. Each board
// has a context of its own, so a process may have several; one board takes one call at a time. Time passes only in
// calls.
//
// The streams' words are as wide as powers of two of bytes, up to 64, so the width of a port's C++ type is its own.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "Vtop.h"
#include "verilated.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr size_t kInputBytes = sizeof(Vtop::s_axis_0_tdata);
constexpr size_t kOutputBytes = sizeof(Vtop::m_axis_0_tdata);
constexpr uint32_t kAddresses = 1 << 12;
constexpr int kHungCycles = 1000;
constexpr int kSlaveError = 2;
constexpr int kHung = -1;

enum Ended { kOpen = 0, kTlast = 1, kFull = 2 };

// a memory file that is missing or does not fit is a warning to Verilator; here it must not pass
thread_local bool complained = false;

class Board {
  public:
    explicit Board(uint64_t seed) : pauses_(seed * 0x9e3779b97f4a7c15ull), top_(context(seed)) {
        top_.ap_clk = 0;
        top_.ap_rst_n = 0;
        top_.s_axi_control_awaddr = top_.s_axi_control_awprot = top_.s_axi_control_awvalid = 0;
        top_.s_axi_control_wdata = top_.s_axi_control_wstrb = top_.s_axi_control_wvalid = 0;
        top_.s_axi_control_araddr = top_.s_axi_control_arprot = top_.s_axi_control_arvalid = 0;
        top_.s_axi_control_bready = top_.s_axi_control_rready = 0;
        top_.s_axis_0_tvalid = top_.s_axis_0_tlast = 0;
        top_.s_axis_0_tkeep = ~uint64_t(0) >> (64 - kInputBytes);
        top_.m_axis_0_tready = 0;
        for (int cycle = 0; cycle < 8; ++cycle) {
            top_.eval();
            advance();
        }
        top_.ap_rst_n = 1;
        cycles_ = 0;
    }

    ~Board() { top_.final(); }

    uint64_t cycles() const { return cycles_; }

    int read(uint32_t address, uint32_t* data) {
        *data = 0;
        if (address >= kAddresses) return kSlaveError;
        const int address_at = pause(), answer_at = pause();
        bool asked = false;
        top_.s_axi_control_araddr = address;
        for (int cycle = 0; cycle < kHungCycles; ++cycle) {
            top_.s_axi_control_arvalid = !asked && cycle >= address_at;
            top_.s_axi_control_rready = cycle >= answer_at;
            top_.eval();
            const bool answered = top_.s_axi_control_rvalid && top_.s_axi_control_rready;
            if (answered && !asked) return quiet(kHung);  // an answer to nothing
            if (answered) *data = top_.s_axi_control_rdata;
            const int response = top_.s_axi_control_rresp;
            asked = asked || (top_.s_axi_control_arvalid && top_.s_axi_control_arready);
            pass();
            if (answered) return quiet(response);
        }
        return quiet(kHung);
    }

    int write(uint32_t address, uint32_t data) {
        if (address >= kAddresses) return kSlaveError;
        const int address_at = pause(), data_at = pause(), answer_at = pause();
        bool addressed = false, given = false;
        top_.s_axi_control_awaddr = address;
        top_.s_axi_control_wdata = data;
        top_.s_axi_control_wstrb = 0xf;
        for (int cycle = 0; cycle < kHungCycles; ++cycle) {
            top_.s_axi_control_awvalid = !addressed && cycle >= address_at;
            top_.s_axi_control_wvalid = !given && cycle >= data_at;
            top_.s_axi_control_bready = cycle >= answer_at;
            top_.eval();
            const bool answered = top_.s_axi_control_bvalid && top_.s_axi_control_bready;
            if (answered && !(addressed && given)) return quiet(kHung);  // an answer to nothing
            const int response = top_.s_axi_control_bresp;
            addressed = addressed || (top_.s_axi_control_awvalid && top_.s_axi_control_awready);
            given = given || (top_.s_axi_control_wvalid && top_.s_axi_control_wready);
            pass();
            if (answered) return quiet(response);
        }
        return quiet(kHung);
    }

    uint64_t run(uint64_t max_cycles, const uint8_t* in, uint64_t in_words, bool in_last, uint64_t* in_taken,
                 uint8_t* out, uint64_t out_words, uint64_t* out_taken, int* out_ended) {
        uint64_t sent = 0, got = 0, cycle = 0;
        Ended ended = kOpen;
        if (in_words > 0 && taken_ && std::memcmp(offered_word_, in, kInputBytes) == 0) sent = 1;
        if (in_words == 0) top_.s_axis_0_tvalid = 0;
        taken_ = false;
        for (; cycle < max_cycles; ++cycle) {
            const bool offer = sent < in_words;
            const bool accept = got < out_words && ended == kOpen;
            if ((in_words || out_words) && !offer && !accept) break;
            if (offer) {
                std::memcpy(&top_.s_axis_0_tdata, in + sent * kInputBytes, kInputBytes);
                top_.s_axis_0_tlast = in_last && sent + 1 == in_words;
            }
            top_.s_axis_0_tvalid = offer;
            top_.m_axis_0_tready = accept;
            top_.eval();
            if (accept && top_.m_axis_0_tvalid) {
                std::memcpy(out + got++ * kOutputBytes, &top_.m_axis_0_tdata, kOutputBytes);
                ended = top_.m_axis_0_tlast ? kTlast : got == out_words ? kFull : kOpen;
            }
            const bool take = offer && top_.s_axis_0_tready;
            advance();
            sent += take;
            if (take) top_.s_axis_0_tvalid = 0;
        }
        top_.m_axis_0_tready = 0;
        *in_taken = sent;
        *out_taken = got;
        *out_ended = ended;
        return cycle;
    }

  private:
    VerilatedContext* context(uint64_t seed) {
        // what no reset sets begins at random, so that a reset that is missing shows
        context_.randReset(2);
        context_.randSeed(1 + int(seed % 0x7ffffffe));
        return &context_;
    }

    void advance() {
        top_.ap_clk = 1;
        top_.eval();
        top_.ap_clk = 0;
        ++cycles_;
    }

    // a cycle beside the streams: what is offered stays offered, and is not forgotten if it is taken
    void pass() {
        const bool take = top_.s_axis_0_tvalid && top_.s_axis_0_tready;
        if (take) std::memcpy(offered_word_, &top_.s_axis_0_tdata, kInputBytes);
        advance();
        if (take) top_.s_axis_0_tvalid = 0;
        taken_ = taken_ || take;
    }

    int quiet(int response) {
        top_.s_axi_control_arvalid = top_.s_axi_control_rready = 0;
        top_.s_axi_control_awvalid = top_.s_axi_control_wvalid = top_.s_axi_control_bready = 0;
        return response;
    }

    // 0 to 3 cycles by an xorshift64, the same on every machine; a seed of 0 never waits
    int pause() {
        pauses_ ^= pauses_ << 13;
        pauses_ ^= pauses_ >> 7;
        pauses_ ^= pauses_ << 17;
        return int(pauses_ >> 32) & 3;
    }

    VerilatedContext context_;
    uint64_t pauses_;
    uint64_t cycles_ = 0;
    bool taken_ = false;  // the word that was offered at the end of a run has been taken since
    uint8_t offered_word_[kInputBytes];
    Vtop top_;
};

Board* board(void* handle) { return static_cast<Board*>(handle); }

}  // namespace

// Verilator calls these, which it leaves to who defines VL_USER_WARN and VL_USER_FATAL.
void vl_warn(const char* filename, int, const char*, const char* message) {
    std::fprintf(stderr, "board: %s: %s\n", filename, message);
    complained = true;
}

void vl_fatal(const char* filename, int, const char*, const char* message) {
    std::fprintf(stderr, "board: %s: %s\n", filename, message);
    throw std::runtime_error(message);
}

// Bytes of a word of each stream.
EXPORT uint32_t board_input_bytes() { return kInputBytes; }
EXPORT uint32_t board_output_bytes() { return kOutputBytes; }

// A board whose reset has been released, or null where a memory file is not in the working directory or does not fit,
// which standard error then says. The seed decides what is in the flip-flops that no reset sets, and how long the
// processor waits with an address, with data and before it takes an answer; it never waits with 0.
EXPORT void* board_new(uint64_t seed) {
    complained = false;
    Board* made = nullptr;
    try {
        made = new Board(seed);
    } catch (const std::runtime_error&) {
        return nullptr;
    }
    if (complained) {
        delete made;
        return nullptr;
    }
    return made;
}

EXPORT void board_free(void* handle) { delete board(handle); }

// Clock cycles since board_new.
EXPORT uint64_t board_cycles(void* handle) { return board(handle)->cycles(); }

// A register, by its address in bytes. Returns the response, 0 for OKAY and 2 for SLVERR, or -1 without one. A word
// that is offered to the accelerator meanwhile stays so, and none is taken from it.
EXPORT int board_read(void* handle, uint32_t address, uint32_t* data) { return board(handle)->read(address, data); }
EXPORT int board_write(void* handle, uint32_t address, uint32_t data) { return board(handle)->write(address, data); }

// Runs for at most max_cycles. Offers in[0..in_words), one a cycle, the last with TLAST if in_last, and takes words to
// out[0..out_words) until one has TLAST. Ends earlier when all input is taken and the output has ended; with neither
// input nor room for output all cycles pass. Returns the cycles.
//
// *out_ended is 0 while more output is awaited, 1 after a word with TLAST, 2 if out_words were taken and none had it.
// A word that was offered and not taken stays offered, and has to be in[0] of the next call; if it was taken while a
// register was accessed, it counts as taken by that call. A call without input withdraws it, as a reset of a DMA does.
EXPORT uint64_t board_run(void* handle, uint64_t max_cycles, const uint8_t* in, uint64_t in_words, int in_last,
                          uint64_t* in_taken, uint8_t* out, uint64_t out_words, uint64_t* out_taken, int* out_ended) {
    return board(handle)->run(max_cycles, in, in ? in_words : 0, in_last, in_taken, out, out ? out_words : 0, out_taken,
                              out_ended);
}
