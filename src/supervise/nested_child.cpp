// Children that are supervisors.
#include <utility>

#include "supervise/child.hpp"
#include "supervise/executor.hpp"

namespace weft::supervise {
namespace {

class RunningSupervisor final : public Running {
 public:
  explicit RunningSupervisor(std::shared_ptr<Supervisor::State> state) : state_(std::move(state)) {}
  void request_stop() override { state_->stop(); }
  void kill(std::string_view by) override { state_->kill(by); }
  // Its port says so when all its own children have been started.
  bool started() const override { return false; }
  Supervisor supervisor() const override { return Supervisor(state_); }

 private:
  const std::shared_ptr<Supervisor::State> state_;
};

class NestedStarter final : public Starter {
 public:
  explicit NestedStarter(PrepareNested prepare) : prepare_(std::move(prepare)) {}
  Result<std::unique_ptr<Running>> start(const Start& start) const override {
    Result<std::shared_ptr<const PreparedSupervisor>> prepared = prepare_();
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    const auto& on_event = (*prepared)->on_event ? (*prepared)->on_event : start.on_event;
    return std::make_unique<RunningSupervisor>(
        Supervisor::State::start(*prepared, start.path + "/" + start.id, on_event, start.port));
  }

 private:
  const PrepareNested prepare_;
};

}  // namespace

std::shared_ptr<const Starter> nested_starter(std::shared_ptr<const PreparedSupervisor> prepared) {
  return std::make_shared<NestedStarter>(
      [prepared = std::move(prepared)] { return Result<std::shared_ptr<const PreparedSupervisor>>(prepared); });
}

std::shared_ptr<const Starter> nested_function_starter(PrepareNested prepare) {
  return std::make_shared<NestedStarter>(std::move(prepare));
}

}  // namespace weft::supervise
