// CoroutineTask: a started weft::Task as the scheduler sees it.
//
//   scheduler.spawn(base::make_ref<sync::CoroutineTask>(std::move(body), join, priority, "copy files"));
//
// It ends when its coroutine does, or, once cancelled, at its next run: then the frames are destroyed where they wait.
#pragma once

#include <memory>
#include <string>

#include "base/atomic.hpp"
#include "sched/task.hpp"
#include "weft/task.hpp"

namespace weft::sync {

class CoroutineTask final : public sched::Task {
 public:
  CoroutineTask(std::unique_ptr<detail::Started> body, std::shared_ptr<detail::JoinState> join, std::uint8_t priority,
                std::string name);

  sched::Poll run(sched::RunContext& context) override;
  void on_done() override;
  void cancel_requested() override;

  // Instead of running: the scheduler did not take it.
  void refuse(Error why);

 private:
  std::unique_ptr<detail::Started> body_;    // only run()
  std::shared_ptr<detail::JoinState> join_;  // until done
  // Writer: cancel_requested, any thread; reader: run(). The wake that follows the store publishes it.
  base::atomic<bool> cancelled_{false};
};

}  // namespace weft::sync
