// Layers that run side by side over streams of bounded depth, as in hardware, and what waits for what where none goes on.
//
// A layer is a process: a function that takes frames from its streams and gives frames to others, over and over. It runs
// until it reads from an empty stream or writes to a full one, and goes on when that has changed. Processes take turns on
// one thread, so that a run does the same whenever it is made. Where each one waits and frames are missing, the network
// has come to a stop for ever: which process goes first changes neither values nor whether that happens (Kahn 1974;
// Parks 1995, chapter 4).
//
// The window generator is the one kernel that asks whether a stream is empty: where it may send, it takes a beat only if
// there is one. Here the answer is always that there is none, the least that it can take in: a network that does not stop
// so does not stop if beats come earlier either, as a beat that was taken before makes room and holds nothing back.
#ifndef A2Q_PROCESSES_HPP
#define A2Q_PROCESSES_HPP

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace a2q {

class process;

// What processes know of a stream.
class channel {
 public:
  channel() = default;
  channel(const char *name, std::size_t depth) : name(name), depth(depth) {}
  channel(const channel &) = delete;
  channel &operator=(const channel &) = delete;
  virtual ~channel() = default;
  virtual std::size_t size() const = 0;  // beats that it holds

  const std::string name = "a stream";
  const std::size_t depth = 0;  // beats that it can hold; 0 is any number
  process *writer = nullptr, *reader = nullptr;
};

// The layer that a simulation is in, for its errors.
inline std::string &current_layer() {
  static std::string layer;
  return layer;
}

class process {
 public:
  process(std::string name, std::function<void()> frame) : name(std::move(name)), frame_(std::move(frame)) {}
  process(const process &) = delete;
  process &operator=(const process &) = delete;
  ~process() {
    if (stack_) munmap(stack_, StackBytes);
  }

  // The one that runs; none where a layer is called as a function.
  static process *&running() {
    static process *one = nullptr;
    return one;
  }

  void start(unsigned frames, std::deque<process *> &ready) {
    frames_ = frames;
    ready_ = &ready;
    stack_ = mmap(nullptr, StackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack_ == MAP_FAILED) {
      stack_ = nullptr;
      throw std::bad_alloc();
    }
    mprotect(stack_, GuardBytes, PROT_NONE);  // what overflows ends there
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_;
    inside_.uc_stack.ss_size = StackBytes;
    inside_.uc_link = &outside_;
    makecontext(&inside_, enter, 0);
    ready.push_back(this);
  }

  // Goes on until it waits or has ended.
  void resume() {
    running() = this;
    current_layer() = name;
    swapcontext(&outside_, &inside_);
    running() = nullptr;
    if (error_) std::rethrow_exception(error_);
  }

  // Of the one that runs: lets the others go on until `stream` has changed.
  void wait(const channel &stream, bool to_write) {
    waits_for = &stream;
    writes = to_write;
    swapcontext(&inside_, &outside_);
  }

  void wake(const channel &stream) {
    if (waits_for != &stream) return;
    waits_for = nullptr;
    ready_->push_back(this);
  }

  bool ended() const { return done == frames_; }

  const std::string name;
  unsigned done = 0;  // frames
  const channel *waits_for = nullptr;
  bool writes = false;  // whether it waits for room there, or for a beat

 private:
  static constexpr std::size_t StackBytes = std::size_t(16) << 20;  // twice a program's own; taken as it is used
  static constexpr std::size_t GuardBytes = std::size_t(64) << 10;

  static void enter() {
    process &self = *running();
    try {
      for (; self.done < self.frames_; self.done++) self.frame_();
    } catch (...) {
      self.error_ = std::current_exception();
    }
  }

  const std::function<void()> frame_;
  unsigned frames_ = 0;
  std::deque<process *> *ready_ = nullptr;
  void *stack_ = nullptr;
  ucontext_t inside_, outside_;
  std::exception_ptr error_;
};

// hls::stream as simulation needs it.
template <class Word>
class simulated_stream : public channel {
 public:
  simulated_stream() = default;  // of any depth, for layers that are called one after the other
  simulated_stream(const char *name, std::size_t depth) : channel(name, depth) {}

  std::size_t size() const override { return words_.size(); }
  bool empty() const { return process::running() || words_.empty(); }
  Word read() {
    while (words_.empty()) {
      if (!process::running()) throw std::runtime_error("a stream is read when it is empty");
      process::running()->wait(*this, false);
    }
    const Word word = words_.front();
    words_.pop_front();
    if (writer) writer->wake(*this);
    return word;
  }
  void write(const Word &word) {
    while (depth && words_.size() >= depth && process::running()) process::running()->wait(*this, true);
    words_.push_back(word);
    if (reader) reader->wake(*this);
  }

 private:
  std::deque<Word> words_;
};

// Processes that have come to a stop before their time.
struct deadlock : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Processes, and the streams between them.
class side_by_side {
 public:
  // `frame` takes a frame from `inputs` and gives one to `outputs`.
  void add(const char *name, std::function<void()> frame, const std::vector<channel *> &inputs,
           const std::vector<channel *> &outputs) {
    all_.push_back(std::make_unique<process>(name, std::move(frame)));
    for (channel *stream : inputs) stream->reader = all_.back().get();
    for (channel *stream : outputs) stream->writer = all_.back().get();
    streams_.insert(streams_.end(), outputs.begin(), outputs.end());
  }

  // All processes on `frames` frames. Raises `deadlock` where they stop before, and std::runtime_error where they leave
  // beats in a stream.
  void run(unsigned frames) {
    start(frames);
    go_on();
    for (const auto &one : all_) {
      if (!one->ended()) throw deadlock(stop(*one, frames));
    }
    for (const channel *stream : streams_) {
      if (stream->size()) throw std::runtime_error(stream->name + " keeps " + beats(*stream));
    }
  }

  void start(unsigned frames) {
    for (const auto &one : all_) one->start(frames, ready_);
  }

  // Until each process waits or has ended.
  void go_on() {
    while (!ready_.empty()) {
      process &next = *ready_.front();
      ready_.pop_front();
      next.resume();
    }
    current_layer().clear();
  }

 private:
  static std::string beats(const channel &stream) {
    return std::to_string(stream.size()) + (stream.depth ? " of " + std::to_string(stream.depth) : "") + " beats";
  }

  // What waits for what: from `first` on, the processes that wait for each other.
  std::string stop(const process &first, unsigned frames) const {
    std::vector<const process *> chain;
    const process *next = &first;
    auto before = chain.end();
    while (next && !next->ended() && before == chain.end()) {
      chain.push_back(next);
      next = next->writes ? next->waits_for->reader : next->waits_for->writer;
      before = std::find(chain.begin(), chain.end(), next);
    }
    if (before != chain.end()) chain.erase(chain.begin(), before);
    std::string text;
    for (const process *one : chain) {
      const channel &stream = *one->waits_for;
      text += (text.empty() ? "" : "; ") + one->name + " waits for " + (one->writes ? "room in " : "a beat of ") +
              stream.name + " (" + (one->writes ? "full, " : "") + beats(stream) + ")";
    }
    std::size_t waiting = 0;
    for (const auto &one : all_) waiting += !one->ended();
    if (waiting > chain.size()) text += "; " + std::to_string(waiting - chain.size()) + " more wait for these";
    return "in frame " + std::to_string(chain.front()->done + 1) + " of " + std::to_string(frames) + " " + text;
  }

  std::vector<std::unique_ptr<process>> all_;
  std::vector<const channel *> streams_;
  std::deque<process *> ready_;
};

}  // namespace a2q

#endif
