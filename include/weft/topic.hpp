// Topics: events for whoever is interested, by name. A publisher never waits; who is slow loses the oldest, and is told how many.
//
//   weft::Result<weft::Subscription> prices = weft::subscribe(runtime, "prices");
//   weft::publish(runtime, "prices", weft::Bytes::copy_of("42"));
//   weft::MailResult<weft::TopicEvent> event = co_await prices->next();
//
// A subscriber gets what is published while it is there. Events of one publisher keep their order. The bytes are shared, not copied. Guests publish and subscribe by
// the same names (import module weft_topic, weft/topic.h).
//
// Subscription is a handle: copies share the events. Dropping the last one unsubscribes; so does the end of a process for its own. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "weft/bytes.hpp"
#include "weft/error.hpp"
#include "weft/mailbox.hpp"
#include "weft/waitable.hpp"

namespace weft {

class Runtime;

struct TopicEvent {
  ProcessId publisher = 0;  // 0: the host
  Bytes bytes{};
  std::uint64_t lost = 0;  // events that went by since the last one that was received
};

struct TopicOptions {
  std::size_t events = 64;  // that may wait to be received
  std::uint64_t bytes =
      1U << 20;  // of these; each counts for its size, but for at least 64. What is larger than this passes by, and counts as lost
};

namespace detail {
class SubscriptionState;
}

class Subscription {
 public:
  // Parks until there is an event. kTimedOut; with a bound of zero kWouldWait.
  Task<MailResult<TopicEvent>> next(Duration bound = kForever) const;
  MailResult<TopicEvent> try_next() const;
  // From a thread of the host; never on a worker (asserted).
  MailResult<TopicEvent> next_blocking(Duration bound = kForever) const;
  // Ready while there is an event.
  Waitable readable() const;

  explicit Subscription(std::shared_ptr<detail::SubscriptionState> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<detail::SubscriptionState> state_;
};

// Never parks. To how many it went.
std::size_t publish(const Runtime& runtime, std::string_view topic, const Bytes& bytes);
// kBadArgument: room for nothing; a name of no bytes or of more than 255. kExhausted: 16,384 topics, or 4096 subscribers of this one.
Result<Subscription> subscribe(const Runtime& runtime, std::string_view topic, TopicOptions options = {});

}  // namespace weft
