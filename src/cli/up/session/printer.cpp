#include "cli/up/session/printer.hpp"

#include <fmt/format.h>

#include <utility>

namespace weft::cli {

Printer::~Printer() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Printer::put(Job job) {
  {
    const std::lock_guard lock(mutex_);
    const bool redraw = job.what == Job::What::kStatus && !jobs_.empty() && jobs_.back().what == Job::What::kStatus;
    if (redraw) {
      // Only the last look counts.
      bytes_ -= jobs_.back().text.size();
      jobs_.pop_back();
    }
    if (bytes_ + job.text.size() > kBytesMax) {
      ++dropped_;
      return;
    }
    if (dropped_ != 0 && job.what == Job::What::kPrint) {
      job.text.insert(0, fmt::format("{{\"event\":\"dropped\",\"lines\":{}}}\n", std::exchange(dropped_, 0)));
    } else if (dropped_ != 0 && job.what == Job::What::kSay) {
      job.text.insert(0, fmt::format("weft: … {} lines were too many\n", std::exchange(dropped_, 0)));
    }
    bytes_ += job.text.size();
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void Printer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    bytes_ -= job.text.size();
    busy_ = true;
    lock.unlock();
    carry_out(job);
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void Printer::carry_out(const Job& job) {
  switch (job.what) {
    case Job::What::kSay:
      console_.say(job.text);
      return;
    case Job::What::kPrint:
      print_now(job.text);
      return;
    case Job::What::kStatus:
      console_.set_status(job.text);
      return;
  }
}

void Printer::print_now(std::string_view text) {
  const std::lock_guard lock(output_mutex_);
  static_cast<void>(console_.print(text));
}

bool Printer::flush(Duration bound) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, bound, [this] { return jobs_.empty() && !busy_; });
}

}  // namespace weft::cli
