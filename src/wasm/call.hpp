// Call: one entry into a guest, which runs when polled. The main call of a process.
//
//   Result<Call> call = Call::prepare(program, config, host);
//   if (call->poll(task)) status = call->outcome();
//
// One thread at a time, each having entered the engine; from poll to poll it may be another one. Destroying it at any time
// cancels: the guest's stack is unwound, and what it waits for is released.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "sched/task.hpp"
#include "wasm/call_host.hpp"
#include "wasm/program.hpp"
#include "weft/error.hpp"
#include "weft/limits.hpp"
#include "weft/process.hpp"
#include "weft/value.hpp"

namespace weft::wasm {

struct CallConfig {
  const WasiConfig* wasi = nullptr;
  std::string_view entry;
  std::span<const Value> values;
  std::span<const std::string> text_values;
  const Limits* limits = nullptr;     // required
  weft_counters* counters = nullptr;  // required; outlives the call
  bool resident = false;              // goes on when its entry has returned, for strands, until finish_strands()
  bool ignore_deadlock = false;       // strands that all wait for each other are left alone
};

class Call {
 public:
  // Nothing of the guest runs yet. kNoEntryPoint, kBadArgument.
  static Result<Call> prepare(const Program& program, const CallConfig& config, CallHost& host);
  // Another thread of the process whose thread `parent` is being polled: only inside CallHost::spawn_thread. The call of the first thread is destroyed
  // last. `counters` outlives the call. kNoEntryPoint.
  static Result<Call> prepare_thread(const Call& parent, std::int32_t id, std::int32_t argument, weft_counters* counters,
                                     CallHost& host);
  Call(Call&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Call& operator=(Call&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (raw_ != nullptr) weft_call_drop(raw_);
  }

  // True when the call has ended. `task` is woken when it is worth polling again, except after a yield.
  bool poll(sched::Task& task) { return weft_call_poll(raw_, &task) == WEFT_POLL_READY; }
  // After a poll that returned false: the host function it waits in, empty after a yield. Lives as long as the program.
  std::string_view waiting_for() const { return from_abi(weft_call_waiting_for(raw_)); }
  // How it ended, without the usage. Once poll() returned true. The stopped kind becomes kKilled: the caller knows better why.
  ExitStatus outcome() const;
  // Hands the stack to `receive` at the next epoch check, or the next poll while the guest waits. False: not now. Any thread.
  bool request_stack(weft_backtrace_fn receive, void* context) const { return weft_call_request_backtrace(raw_, receive, context); }
  // Asks for a strand that calls an exported function; the next poll makes it, and CallHost::strand_finished hears of its end. kBadArgument, kNoEntryPoint.
  // Any thread.
  Result<void> spawn_strand(std::string_view function, std::span<const Value> arguments, std::uint64_t token) const;
  // A resident process ends with its last strand, at the next poll at the earliest. Any thread.
  void finish_strands() const { weft_call_finish_strands(raw_); }

 private:
  explicit Call(weft_call* raw) : raw_(raw) {}
  weft_call* raw_;
};

Value from_abi(const weft_val& value);
weft_val to_abi(const Value& value);
std::vector<Frame> frames_of(const weft_backtrace* backtrace);

}  // namespace weft::wasm
