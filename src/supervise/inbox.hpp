// Inbox: what a supervisor's task waits for: ends of children and commands, from any thread, and the time of its next timer.
//
//   std::vector<InboxMessage> messages;
//   const std::uint64_t now_ns = co_await inbox.next(deadline_ns, messages);
//
// post() may be called from any thread; next() by one task. A closed inbox drops what comes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/ref.hpp"
#include "sched/task.hpp"
#include "sched/timer.hpp"
#include "supervise/rules.hpp"
#include "weft/error.hpp"
#include "weft/process.hpp"
#include "weft/task.hpp"

namespace weft::supervise {

struct PreparedChild;

// What somebody wants of a supervisor.
struct Command {
  PolicyEvent::Kind kind = PolicyEvent::Kind::kRemove;
  std::string id{};                               // of the child it is about
  std::shared_ptr<const PreparedChild> child;     // kAdd; null: a copy of the template
  SpawnOptions options{};                         // kAdd of a copy
  std::function<void(Result<std::string>)> done;  // called once, with the child's id; may be empty
};

struct InboxMessage {
  PolicyEvent::Kind kind = PolicyEvent::Kind::kExited;
  // Of a child:
  ChildKey child = 0;
  std::uint64_t incarnation = 0;
  bool normal = false;
  std::unique_ptr<const ExitStatus> status;  // kExited
  std::string text{};                        // kStartFailed: why; kKill: by whom
  std::unique_ptr<Command> command;
};

class Inbox {
 public:
  static constexpr std::size_t kCommandsMax = 100'000;

  Inbox();
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // What becomes of a message. Not taken: it is still the caller's.
  enum class Posted : std::uint8_t { kTaken, kClosed, kFull };
  Posted post(InboxMessage&& message);

  class [[nodiscard]] Next final : public Awaitable {
   public:
    Next(Inbox& inbox, std::uint64_t deadline_ns, std::vector<InboxMessage>& into)
        : inbox_(inbox), deadline_ns_(deadline_ns), into_(into) {}
    bool poll(detail::TaskContext& context) override;
    std::uint64_t await_resume() const noexcept { return now_ns_; }

   private:
    Inbox& inbox_;
    const std::uint64_t deadline_ns_;
    std::vector<InboxMessage>& into_;
    std::uint64_t now_ns_ = 0;
  };
  // Waits until there are messages, or until the deadline (sched::kNever: none); answers the time.
  Next next(std::uint64_t deadline_ns, std::vector<InboxMessage>& into) { return {*this, deadline_ns, into}; }

  // Once: lets go of the task and its timer. What had not been taken is answered: the commands in it are the caller's now.
  std::vector<InboxMessage> close();

 private:
  std::mutex mutex_;
  // Under mutex:
  std::vector<InboxMessage> messages_;
  std::size_t commands_ = 0;
  bool closed_ = false;
  base::Ref<sched::Task> task_;
  // Only the task, and close():
  std::unique_ptr<sched::TaskTimer> timer_;
  std::uint64_t armed_ns_ = sched::kNever;
};

}  // namespace weft::supervise
