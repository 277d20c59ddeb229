// TopicState and SubscriptionState: behind weft::Subscription and the handles of guests. A subscription's queue is a mailbox that drops the oldest.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/atomic.hpp"
#include "base/mutex.hpp"
#include "base/ref.hpp"
#include "process/together/mailbox.hpp"
#include "process/together/shareable.hpp"
#include "weft/topic.hpp"

namespace weft::detail {

class TopicState {
 public:
  static constexpr std::size_t kSubscribersMax = 4096;
  using Box = base::Ref<MailboxState>;

  // To how many it went. Any thread.
  std::size_t publish(ProcessId publisher, const Bytes& bytes) const;
  bool add(const Box& box);
  void remove(const MailboxState& box);

 private:
  mutable base::Mutex mutex_;
  // Replaced, never changed: publishers go through it without the lock.
  std::shared_ptr<const std::vector<Box>> boxes_ WEFT_GUARDED_BY(mutex_) = std::make_shared<const std::vector<Box>>();
};

class SubscriptionState final : public process::Shareable {
 public:
  SubscriptionState(std::shared_ptr<TopicState> topic, TopicState::Box box) : topic_(std::move(topic)), box_(std::move(box)) {}
  ~SubscriptionState() override;

  Mailbox mailbox() const;
  TopicEvent event_of(Message message);

 private:
  const std::shared_ptr<TopicState> topic_;
  const TopicState::Box box_;
  // Writers and readers: receivers. How many lost ones were told of; publishes nothing, hence relaxed.
  base::atomic<std::uint64_t> told_{0};
};

}  // namespace weft::detail
