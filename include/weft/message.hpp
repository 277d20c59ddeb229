// Messages between processes, and what a process's end tells others.
//
//   weft::Message order{.tag = kOrder, .bytes = weft::Bytes::copy_of("two coffees")};
//   co_await process.mailbox().send(std::move(order));
//
// Values: any thread may read, copy or move them. Bytes are shared by the copies, see weft/bytes.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "weft/bytes.hpp"
#include "weft/process.hpp"

namespace weft {

using MonitorId = std::uint64_t;  // unique within a runtime, counted from 1

// An ExitStatus in short: what travels along links and to monitors.
struct ExitReason {
  bool no_process = false;  // there was none by then; the rest says nothing
  ExitKind kind = ExitKind::kReturned;
  std::int32_t code = 0;  // kExited
  std::string message{};  // one line for people; empty when all is well

  // It returned, or exited with 0. Links do not pass on such an end.
  bool normal() const noexcept { return !no_process && (kind == ExitKind::kReturned || (kind == ExitKind::kExited && code == 0)); }
};
ExitReason reason_of(const ExitStatus& status);

enum class MessageKind : std::uint8_t {
  kUser = 0,  // somebody sent it
  kExit = 1,  // a linked process has ended, and the receiver traps exits
  kDown = 2,  // a monitored process has ended
};

struct Message {
  MessageKind kind = MessageKind::kUser;
  ProcessId sender = 0;                        // 0: the host. kExit, kDown: the process that has ended
  std::uint64_t tag = 0;                       // the sender's to choose
  Bytes bytes{};                               // kExit, kDown: the reason's message
  MonitorId monitor = 0;                       // kDown
  std::shared_ptr<const ExitReason> reason{};  // kExit, kDown; else null
};

enum class MailFailure : std::uint8_t {
  kWouldWait,  // try_send: no room; try_receive: no such message
  kTimedOut,   // the bound has passed
  kClosed,     // the process has ended
  kTooLarge,   // sending: more than the mailbox may ever hold; receiving: more than MessageFilter::bytes_max
};

// Small, because trying and failing is ordinary here.
struct MailError {
  MailFailure failure = MailFailure::kClosed;
  std::uint64_t bytes = 0;  // kTooLarge: of the message

  bool operator==(const MailError&) const = default;
};
// "would-wait", "timed-out", "closed", "too-large".
std::string_view name_of(MailFailure failure) noexcept;
// The same as an Error for people: kExhausted, kTimedOut, kCancelled, kBadArgument.
Error to_error(MailError error);

template <class T>
using MailResult = std::expected<T, MailError>;

}  // namespace weft
