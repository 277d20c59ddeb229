// Supervisor::State: carries out what the policy decides. A coroutine task takes messages from the inbox, tells the policy, and does what that asks for; handles,
// children and timers only post.
//
//   start():  launch(run(state))
//   the task: messages and due timers ──> Policy ──> actions ──> start, ask, kill a child; answer a command; report; end
//
// It ends when the policy says so, or when its task is dropped (the runtime shuts down): then all its children are killed, and it ends nevertheless, so that
// whoever waits for it hears of it.
//
// `mutex` guards what handles look at. It is never held while a child is started, asked or killed, nor while anybody is told anything.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "supervise/child.hpp"
#include "supervise/inbox.hpp"
#include "supervise/policy.hpp"
#include "weft/supervisor.hpp"

namespace weft {

struct Supervisor::State {
  using Prepared = std::shared_ptr<const supervise::PreparedSupervisor>;

  // `path`: its name, below those of the supervisors above it. `parent`: what hears of its start and end; null for the topmost.
  State(Prepared prepared, std::string path, std::function<void(const SupervisorEvent&)> on_event,
        std::optional<supervise::Port> parent);
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  static std::shared_ptr<State> start(Prepared prepared, std::string path, std::function<void(const SupervisorEvent&)> on_event,
                                      std::optional<supervise::Port> parent);

  // Any thread.
  void stop() { (void)inbox->post({.kind = supervise::PolicyEvent::Kind::kStop}); }
  void kill(std::string_view by) { (void)inbox->post({.kind = supervise::PolicyEvent::Kind::kKill, .text = std::string(by)}); }
  void command(supervise::Command command);
  std::vector<ChildInfo> children(bool only_pending) const;
  std::optional<ChildInfo> child(std::string_view id) const;
  std::uint64_t restarts() const;
  bool running() const;
  SupervisorEnd end() const;  // once it has ended

  const Prepared prepared;
  const std::string path;
  const std::function<void(const SupervisorEvent&)> on_event;
  const std::shared_ptr<supervise::Inbox> inbox;  // shared with the children's ports, which do not keep the rest alive
  detail::JoinState ended;

 private:
  using ChildKey = supervise::ChildKey;
  struct Child {
    std::string id{};
    Restart restart = Restart::kPermanent;
    std::shared_ptr<const supervise::Starter> starter;
    SpawnOptions options{};
    std::shared_ptr<supervise::Running> running;  // the last that was started
    std::string last_end{};
  };

  // The task, and what it does; only there.
  struct Alive;
  static Task<> run(Alive alive);
  void begin();
  ChildKey add_child(std::string id, const supervise::PreparedChild& child, SpawnOptions options);
  void take(supervise::InboxMessage message);
  void take_add(supervise::Command command);
  void fire_timers();
  void tell(supervise::PolicyEvent event);
  void perform(const supervise::Action& action);
  void start_child(ChildKey key, std::uint64_t incarnation);
  void start_failed(ChildKey key, Error why);
  void forget(ChildKey key);
  void answer(supervise::CommandId id, supervise::Answer answer);
  void finish(SupervisorEndReason reason, ChildKey cause);
  void abandon();
  void publish(SupervisorEnd end);
  void report(SupervisorEvent::Kind kind, ChildKey key, SupervisorEvent event = {});
  ChildInfo info(ChildKey key, const Child& child) const;  // under mutex

  const std::optional<supervise::Port> parent_;
  std::uint64_t now_ns_ = 0;
  std::string killed_by_ = "its supervisor";
  std::deque<supervise::PolicyEvent> events_;                      // to be told to the policy
  std::vector<supervise::Action> actions_;                         // of the event before
  std::set<std::pair<std::uint64_t, supervise::TimerId>> timers_;  // by time
  std::unordered_map<supervise::TimerId, std::pair<std::uint64_t, ChildKey>> timers_by_id_;
  std::unordered_map<supervise::CommandId, supervise::Command> commands_;
  supervise::CommandId last_command_ = 0;
  ChildKey last_child_ = 0;
  std::uint64_t copies_ = 0;
  Error start_failure_{};  // the last one

  mutable std::mutex mutex_;
  // Under mutex; written by the task only:
  supervise::Policy policy_;
  std::map<ChildKey, Child> children_;
  std::unordered_map<std::string, ChildKey> keys_;  // by id
  std::optional<SupervisorEnd> end_;
};

}  // namespace weft
