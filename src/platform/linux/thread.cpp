#include <pthread.h>
#include <sys/prctl.h>

#include <cstring>

#include "base/assert.hpp"
#include "platform/linux/host.hpp"

namespace weft::platform {
namespace {

thread_local bool own_thread = false;

struct Start {
  std::string name;
  std::function<void()> body;
};

void* run_thread(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  // 15 bytes and a null is all the kernel keeps.
  pthread_setname_np(pthread_self(), start->name.substr(0, 15).c_str());
  // The default slack of 50 us would be most of a timer's lateness.
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  adopt_thread();
  start->body();
  return nullptr;
}

class PosixThread final : public Thread {
 public:
  explicit PosixThread(pthread_t thread) : thread_(thread) {}
  ~PosixThread() override { WEFT_ASSERT(joined_, "a thread was dropped without being joined"); }
  void join() override {
    WEFT_ASSERT(!joined_, "a thread was joined twice");
    joined_ = true;
    pthread_join(thread_, nullptr);
  }

 private:
  pthread_t thread_;
  bool joined_ = false;
};

}  // namespace

bool on_own_thread() noexcept { return own_thread; }
void adopt_thread() noexcept { own_thread = true; }

Result<std::unique_ptr<Thread>> start_posix_thread(std::string name, std::function<void()> body) {
  auto start = std::make_unique<Start>(Start{std::move(name), std::move(body)});
  pthread_t thread{};
  const int error = pthread_create(&thread, nullptr, run_thread, start.get());
  if (error != 0) {
    return fail(ErrorKind::kExhausted, "the system refused to start thread " + start->name + ": " + std::strerror(error) +
                                           "; look at ulimit -u and the control group's pids.max");
  }
  static_cast<void>(start.release());  // run_thread owns it now
  return std::make_unique<PosixThread>(thread);
}

}  // namespace weft::platform
