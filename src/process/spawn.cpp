#include "process/spawn.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "process/guest_task.hpp"
#include "process/together/society.hpp"

namespace weft::process {
namespace {

// Where guests' stacks arrive. Some may come after nobody waits any more.
struct Stacks {
  std::mutex mutex;
  std::condition_variable arrived;
  std::size_t missing = 0;                 // under mutex
  std::vector<std::vector<Frame>> frames;  // under mutex; one a request
};

struct Request {
  std::shared_ptr<Stacks> stacks;
  std::size_t index;
};

void receive(void* context, const weft_backtrace* backtrace) {
  const std::unique_ptr<Request> request(static_cast<Request*>(context));
  std::vector<Frame> frames = wasm::frames_of(backtrace);
  {
    std::lock_guard lock(request->stacks->mutex);
    request->stacks->frames[request->index] = std::move(frames);
    --request->stacks->missing;
  }
  request->stacks->arrived.notify_all();
}

// The process's way of being linked.
Result<std::shared_ptr<const wasm::Program>> linked_for(Environment& environment, const Program::State& program,
                                                        const FuelPool& fuel) {
  if (!fuel || !program.paid) return program.linked;
  const Result<const wasm::Linker*> linker = environment.paid_linker.get();
  if (!linker) return std::unexpected(linker.error());
  return program.paid->get(**linker);
}

}  // namespace

Result<Process> spawn(const std::shared_ptr<Environment>& kept, std::shared_ptr<const Program::State> program, SpawnOptions options,
                      std::weak_ptr<ProcessObserver> observer) {
  Environment& environment = *kept;
  if (Result<void> checked = Society::check_grants(options.grants); !checked) return std::unexpected(std::move(checked.error()));
  Result<std::shared_ptr<const wasm::Program>> linked = linked_for(environment, *program, options.fuel);
  if (!linked) return std::unexpected(std::move(linked.error()));
  if (!environment.table.reserve()) {
    return fail(ErrorKind::kExhausted, "there are " + std::to_string(environment.table.processes_max()) +
                                           " processes already; raise RuntimeOptions::processes_max");
  }
  const bool threads = program->linked->module().has_threads();
  if (threads && !environment.threads.reserve()) {
    environment.table.release();
    return fail(ErrorKind::kExhausted, "there are " + std::to_string(environment.threads.max()) +
                                           " guest threads already; raise RuntimeOptions::threads_max");
  }
  const auto release = [&environment, threads] {
    environment.table.release();
    if (threads) environment.threads.release();
  };
  const Priority priority = options.priority.value_or(program->spec.priority);
  std::vector<Grant> grants = std::exchange(options.grants, {});
  const sched::SpawnPlace place = options.next ? sched::SpawnPlace::kNext : sched::SpawnPlace::kBack;
  auto state =
      std::make_shared<Process::State>(kept, std::move(program), std::move(*linked), std::move(options), std::move(observer));
  Society::give_grants(*state, std::move(grants));
  auto task = GuestTask::create(state, priority);
  if (!task) {
    release();
    return std::unexpected(task.error());
  }
  {
    std::lock_guard lock(state->mutex);
    state->task = *task;
    state->group.thread_started();
  }
  environment.table.add(state->id, state);
  if (state->limits().wall_time) {
    const auto span_ns = static_cast<std::uint64_t>(state->limits().wall_time->count());
    const std::uint64_t deadline_ns = span_ns < sched::kNever - state->spawned_ns ? state->spawned_ns + span_ns : sched::kNever;
    environment.scheduler().timers().arm(state->wall_timer, deadline_ns);
  }
  if (!environment.scheduler().spawn(*task, place)) {
    state->wall_timer.cancel();
    environment.table.remove(state->id);
    release();
    std::lock_guard lock(state->mutex);
    state->task = nullptr;
    return fail(ErrorKind::kCancelled, "the runtime is shutting down");
  }
  if (environment.recorder) environment.names.add((*task)->id(), state->id, state->name);
  return Process(std::move(state));
}

TaskDump dump_of(const sched::TaskInfo& info, std::uint64_t now_ns) {
  TaskDump dump;
  dump.task_id = info.id;
  dump.name = info.name;
  dump.state = sched::state_name(info.state);
  if (info.state == sched::State::kParked) {
    dump.reason = info.park.reason;
    dump.address = info.park.address;
  }
  dump.since = Duration(static_cast<std::int64_t>(now_ns > info.since_ns ? now_ns - info.since_ns : 0));
  dump.cpu_time = Duration(static_cast<std::int64_t>(info.cpu_ns));
  dump.switches = info.switches;
  dump.preemptions = info.preemptions;
  dump.priority = info.priority;
  return dump;
}

std::vector<TaskDump> dump(const Environment& environment, bool guest_stacks, Duration bound) {
  std::vector<TaskDump> dumps;
  std::vector<std::pair<std::size_t, base::Ref<GuestTask>>> guests;
  const std::uint64_t now_ns = environment.scheduler().now_ns();
  environment.scheduler().for_each_task([&](sched::Task& task) {
    dumps.push_back(dump_of(task.info(), now_ns));
    if (auto* guest = dynamic_cast<GuestTask*>(&task)) {
      dumps.back().process_id = guest->process_id();
      dumps.back().thread_id = guest->thread();
      if (guest_stacks) guests.emplace_back(dumps.size() - 1, guest);
    }
  });
  if (guests.empty()) return dumps;

  auto stacks = std::make_shared<Stacks>();
  stacks->frames.resize(guests.size());
  stacks->missing = guests.size();
  for (std::size_t index = 0; index < guests.size(); ++index) {
    auto request = std::make_unique<Request>(stacks, index);
    if (guests[index].second->request_stack(receive, request.get())) {
      (void)request.release();
      guests[index].second->wake();
    } else {
      std::lock_guard lock(stacks->mutex);
      --stacks->missing;
    }
  }
  // Again and again: a single tick can come before a guest that has just begun to run looks for it.
  const auto deadline = std::chrono::steady_clock::now() + std::min<Duration>(bound, std::chrono::hours(1));
  const auto quantum = std::chrono::nanoseconds(environment.scheduler().quantum_ns());
  const auto all_there = [&] { return stacks->missing == 0; };
  std::unique_lock lock(stacks->mutex);
  while (!all_there() && std::chrono::steady_clock::now() < deadline) {
    lock.unlock();
    environment.scheduler().request_tick();
    lock.lock();
    (void)stacks->arrived.wait_until(lock, std::min(deadline, std::chrono::steady_clock::now() + quantum), all_there);
  }
  for (std::size_t index = 0; index < guests.size(); ++index) dumps[guests[index].first].stack = stacks->frames[index];
  return dumps;
}

}  // namespace weft::process
