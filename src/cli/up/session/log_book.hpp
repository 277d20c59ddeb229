// The last lines that each child has written, for `weft logs`. Bounded in lines and bytes for each child.
//
//   LogBook book(500);
//   book.add("payment/ledger", Stream::kOut, "ready\n");     // on the runtime's output thread
//   for (const LogLine& line : book.last("payment", 10)) …
//
// Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "weft/process.hpp"

namespace weft::cli {

struct LogLine {
  std::uint64_t number = 0;   // in the order in which they came, of all children
  std::uint64_t time_ns = 0;  // since 1970
  std::string child;          // its id, below those of its groups
  Stream stream = Stream::kOut;
  std::string text;  // without the newline
};

std::string to_json(const LogLine& line);  // one line, with its newline

class LogBook {
 public:
  // `on_fresh` is called when a line comes that a follower waits for, once until take_fresh(). Any thread.
  LogBook(std::size_t lines_max, std::function<void()> on_fresh) : lines_max_(lines_max), on_fresh_(std::move(on_fresh)) {}

  // One or more lines; a missing last newline does not matter.
  void add(const std::string& child, Stream stream, std::string_view text);

  // The last `count` lines of a child, or of all below a group; empty: of all. In the order in which they came.
  std::vector<LogLine> last(std::string_view id, std::size_t count) const;

  // While somebody follows, new lines are kept for take_fresh(); beyond a bound they are only counted.
  void set_followed(bool followed);
  struct Fresh {
    std::vector<LogLine> lines;
    std::uint64_t dropped = 0;
  };
  Fresh take_fresh();

  void set_lines_max(std::size_t lines_max);
  void forget(const std::string& child);

 private:
  static constexpr std::size_t kBytesMax = 256U << 10;  // of one child
  static constexpr std::size_t kFreshMax = 10'000;

  struct Ring {
    std::deque<LogLine> lines;
    std::size_t bytes = 0;
  };
  void trim(Ring& ring) const;

  mutable std::mutex mutex_;
  std::size_t lines_max_;  // under mutex_, like all below
  const std::function<void()> on_fresh_;
  std::map<std::string, Ring> rings_;
  std::uint64_t number_ = 0;
  bool followed_ = false;
  Fresh fresh_;
};

// Whether `id` is `path`, or the group, or the copied child, that it belongs to: "payment" holds "payment/ledger", "cart" holds "cart#2".
bool is_below(std::string_view path, std::string_view id);

}  // namespace weft::cli
