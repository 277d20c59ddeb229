// Malicious guests: modules that call everything there is between processes with arguments from the places where mistakes live, chosen by a seed. They may trap and may be
// refused; the host must not be hurt: after each round another guest does its work, and nothing is left.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "support/guests.hpp"
#include "support/process_guest.hpp"

namespace weft::testing {
namespace {

// As the modules are defined; 'I' and 'K' are numbers and keys of 64 bits, 'p' a pointer, 's' a size, 'h' a handle, 't' a time-out, 'k' a small number.
struct Function {
  std::string_view module;
  std::string_view name;
  std::string_view parameters;
  char result;  // 0: none
};
constexpr Function kFunctions[] = {
    {"weft_process", "self", "", 'I'},
    {"weft_process", "send", "IIpst", 'i'},
    {"weft_process", "send_named", "psIpst", 'i'},
    {"weft_process", "receive", "pkIpspt", 'i'},
    {"weft_process", "pending", "", 'i'},
    {"weft_process", "thread_self", "", 'i'},
    {"weft_process", "link", "I", 'i'},
    {"weft_process", "unlink", "I", 'i'},
    {"weft_process", "trap_exits", "k", 0},
    {"weft_process", "monitor", "I", 'I'},
    {"weft_process", "demonitor", "Ik", 'i'},
    {"weft_process", "register_name", "ps", 'i'},
    {"weft_process", "unregister_name", "ps", 'i'},
    {"weft_process", "whereis", "ps", 'I'},
    {"weft_process", "granted", "ps", 'i'},
    {"weft_process", "grant", "Ipsh", 'i'},
    {"weft_process", "drop", "h", 'i'},
    {"weft_channel", "make", "kkskp", 'i'},
    {"weft_channel", "send", "hpst", 'i'},
    {"weft_channel", "send_many", "hppkt", 'i'},
    {"weft_channel", "receive", "hpspt", 'i'},
    {"weft_channel", "receive_many", "hpspkpt", 'i'},
    {"weft_channel", "close", "h", 'i'},
    {"weft_channel", "subscribe", "h", 'i'},
    {"weft_channel", "stats", "hp", 'i'},
    {"weft_wait", "set_new", "", 'i'},
    {"weft_wait", "add", "hKkI", 'i'},
    {"weft_wait", "remove", "hK", 'i'},
    {"weft_wait", "wait", "hpkkt", 'i'},
    {"weft_wait", "event_new", "", 'i'},
    {"weft_wait", "event_set", "h", 'i'},
    {"weft_wait", "event_reset", "h", 'i'},
    {"weft_lock", "open", "psk", 'i'},
    {"weft_lock", "acquire", "ht", 'i'},
    {"weft_lock", "release", "h", 'i'},
    {"weft_topic", "publish", "psps", 'i'},
    {"weft_topic", "subscribe", "psk", 'i'},
    {"weft_topic", "next", "hpspt", 'i'},
    {"weft_topic", "unsubscribe", "h", 'i'},
};

class RandomGuests {
 public:
  explicit RandomGuests(std::uint64_t seed) : random_(seed) {}

  std::string module(int calls) {
    std::string text = "(module ";
    for (std::size_t i = 0; i < std::size(kFunctions); ++i) {
      const Function& function = kFunctions[i];
      text +=
          "(import \"" + std::string(function.module) + "\" \"" + std::string(function.name) + "\" (func $f" + std::to_string(i);
      for (const char parameter : function.parameters) text += is_long(parameter) ? " (param i64)" : " (param i32)";
      if (function.result != 0) text += function.result == 'I' ? " (result i64)" : " (result i32)";
      text += "))";
    }
    text += "(memory (export \"memory\") 1) (data (i32.const 0) \"\\01\\00\\00\\00\\02\\00\\00\\00abc\") (func (export \"_start\")";
    for (int i = 0; i < calls; ++i) text += call();
    return text + "))";
  }

 private:
  static bool is_long(char parameter) { return parameter == 'I' || parameter == 't' || parameter == 'K'; }
  template <std::size_t N>
  std::int64_t one_of(const std::array<std::int64_t, N>& values) {
    return values[random_() % N];
  }
  std::int64_t argument(char parameter) {
    if (random_() % 40 == 0) return static_cast<std::int64_t>(random_());
    // Most pointers are good, or a guest would not come far.
    const bool bad = random_() % 60 == 0;
    switch (parameter) {
      case 'p':
        return bad ? one_of<5>({-1, 65'535, 65'536, 0x7fffffff, -65'536}) : one_of<6>({0, 8, 64, 1024, 4096, 3});
      case 's':
        return bad ? one_of<4>({-1, 65'537, 0x7fffffff, 0x40000000}) : one_of<7>({0, 1, 2, 3, 63, 64, 5000});
      case 'h':
        return one_of<4>({1, 2, 3, 0}) + static_cast<std::int64_t>(random_() % 12);
      case 't':
        return random_() % 50 == 0 ? -1 : one_of<4>({0, 1, 20'000, 0});
      case 'K':
        return one_of<5>({0, 1, 2, 3, -1});
      case 'k':
        return one_of<11>({0, 1, 2, 3, 4, 5, 6, 7, 64, 1024, -1});
      case 'I':
        return one_of<8>({-1, 0, 1, 2, 3, 5, 1000, INT64_MIN}) + static_cast<std::int64_t>(random_() % 4);
      default:
        return static_cast<std::int64_t>(random_() % 3);
    }
  }
  std::string call() {
    const std::size_t which = random_() % std::size(kFunctions);
    const Function& function = kFunctions[which];
    std::string text = "(call $f" + std::to_string(which);
    for (const char parameter : function.parameters) {
      const std::int64_t value = argument(parameter);
      text += is_long(parameter) || parameter == 'I' ? "(i64.const " + std::to_string(value) + ")"
                                                     : "(i32.const " + std::to_string(static_cast<std::int32_t>(value)) + ")";
    }
    text += ")";
    return function.result != 0 ? "(drop " + text + ")" : text;
  }

  std::mt19937_64 random_;
};

class GuestRandomTest : public ProcessGuestTest {};

TEST_F(GuestRandomTest, DoNoHarm) {
  const char* const given = std::getenv("WEFT_HOSTILE_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  const char* const many = std::getenv("WEFT_HOSTILE_CALLS");
  const int rounds = many != nullptr ? std::atoi(many) / 50 + 1 : 12;
  SCOPED_TRACE("WEFT_HOSTILE_SEED=" + std::to_string(seed));
  RandomGuests guests(seed);
  int trapped = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<Process> all;
    for (int i = 0; i < 8; ++i) {
      Channel channel = *make_channel({.kind = static_cast<ChannelKind>(i % 5), .capacity = 2});
      std::vector<Grant> grants;
      grants.push_back({.name = "a", .what = channel.sender});
      grants.push_back({.name = "ab", .what = channel.receiver});
      const Program program = runtime_->prepare({.module = compile(guests.module(150))}).value();
      for (int copy = 0; copy < 2; ++copy) all.push_back(runtime_->spawn(program, {.grants = grants}).value());
    }
    for (const Process& one : all) {
      if (!one.join_for(std::chrono::milliseconds(30))) one.kill("it waits");
    }
    for (const Process& one : all) {
      const ExitStatus status = one.join();
      trapped += status.kind == ExitKind::kTrapped ? 1 : 0;
      EXPECT_TRUE(status.kind == ExitKind::kTrapped || status.kind == ExitKind::kReturned || status.kind == ExitKind::kKilled)
          << status.message;
    }
    ends_well(spawn(kReturns));
  }
  EXPECT_GT(trapped, 0);
  EXPECT_EQ(runtime_->stats().names, 0U);
  EXPECT_EQ(runtime_->stats().channel_bytes, 0U);
}

}  // namespace
}  // namespace weft::testing
