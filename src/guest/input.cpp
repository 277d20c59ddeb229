#include "guest/input.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weft::guest {

void SharedStdin::close() {
  std::vector<base::Ref<sched::Task>> waiters;  // let go of without the mutex
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    ended_ = true;
    if (reader_) reader_->stop();
    waiters.swap(waiters_);
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void SharedStdin::forget(const sched::Task& task) {
  std::lock_guard lock(mutex_);
  std::erase_if(waiters_, [&](const base::Ref<sched::Task>& waiter) { return waiter.get() == &task; });
}

std::int64_t SharedStdin::read(std::span<std::byte> buffer, sched::Task* task) {
  std::lock_guard lock(mutex_);
  if (consumed_ < buffer_.size()) {
    const std::size_t count = std::min(buffer.size(), buffer_.size() - consumed_);
    std::memcpy(buffer.data(), buffer_.data() + consumed_, count);
    consumed_ += count;
    return static_cast<std::int64_t>(count);
  }
  if (ended_) return 0;
  if (task != nullptr) {
    const auto same = [&](const base::Ref<sched::Task>& waiter) { return waiter.get() == task; };
    if (std::ranges::none_of(waiters_, same)) waiters_.emplace_back(task);
  }
  if (!std::exchange(wanted_, true)) {
    if (!reader_) {
      reader_ = platform::StdinReader::create();
      if (!reader_) {
        ended_ = true;
        return 0;
      }
      thread_ = std::thread([this] { run(); });
    }
    changed_.notify_all();
  }
  return -1;
}

void SharedStdin::run() {
  std::vector<std::byte> block(kBufferBytes);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return wanted_ || stopping_; });
    if (stopping_) return;
    lock.unlock();
    const long got = reader_->read(block);
    lock.lock();
    // An error reads as the end: a guest has no better use for it.
    if (got > 0) {
      buffer_.assign(block.begin(), block.begin() + got);
      consumed_ = 0;
    } else {
      ended_ = true;
    }
    wanted_ = false;
    std::vector<base::Ref<sched::Task>> waiters = std::exchange(waiters_, {});
    const bool over = ended_;
    lock.unlock();
    for (const base::Ref<sched::Task>& waiter : waiters) waiter->wake();
    waiters.clear();
    lock.lock();
    if (over) return;
  }
}

std::int64_t InputPort::read(std::span<std::byte> buffer, sched::Task* task) {
  {
    std::lock_guard lock(mutex_);
    if (ended_ || input_.kind == Input::Kind::kEmpty) return 0;
    if (input_.kind == Input::Kind::kText) {
      const std::size_t count = std::min(buffer.size(), input_.text.size() - consumed_);
      std::memcpy(buffer.data(), input_.text.data() + consumed_, count);
      consumed_ += count;
      return static_cast<std::int64_t>(count);
    }
  }
  return shared_.read(buffer, task);
}

void InputPort::end() {
  std::lock_guard lock(mutex_);
  ended_ = true;
}

void InputPort::forget(const sched::Task& task) {
  if (input_.kind == Input::Kind::kInherit) shared_.forget(task);
}

}  // namespace weft::guest
