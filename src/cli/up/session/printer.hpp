// What weft up says, said by a thread of its own: a reader that takes nothing must not keep the main thread from signals and clients.
//
//   Printer printer(console);
//   printer.say("weft: shop: a started");        // standard error
//   printer.print("{…}\n");                      // standard output
//   printer.flush(std::chrono::seconds(5));
//
// Bounded: beyond that, lines are dropped, and their number is said. Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "cli/console.hpp"
#include "weft/units.hpp"

namespace weft::cli {

class Printer {
 public:
  explicit Printer(Console& console) : console_(console), thread_([this] { run(); }) {}
  ~Printer();  // waits for what is left: flush() first, and leave when that fails
  Printer(const Printer&) = delete;
  Printer& operator=(const Printer&) = delete;

  void say(std::string text) { put({Job::What::kSay, std::move(text)}); }
  void print(std::string text) { put({Job::What::kPrint, std::move(text)}); }
  void status(std::string text) { put({Job::What::kStatus, std::move(text)}); }

  // On the calling thread, between two that the other one writes; blocks as long as the reader does.
  void print_now(std::string_view text);

  // False: something still waits for a reader.
  bool flush(Duration bound);

 private:
  static constexpr std::size_t kBytesMax = 8U << 20;

  struct Job {
    enum class What : std::uint8_t { kSay, kPrint, kStatus };
    What what;
    std::string text;
  };
  void put(Job job);
  void run();
  void carry_out(const Job& job);

  Console& console_;
  std::mutex output_mutex_;  // guards standard output
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // under mutex_, like all below
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  bool busy_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace weft::cli
