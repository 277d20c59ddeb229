#include "process/together/topic.hpp"

#include "process/environment.hpp"
#include "process/together/society.hpp"

namespace weft::detail {

std::size_t TopicState::publish(ProcessId publisher, const Bytes& bytes) const {
  std::shared_ptr<const std::vector<Box>> boxes;
  {
    base::Lock lock(mutex_);
    boxes = boxes_;
  }
  for (const Box& box : *boxes) {
    Message message{.sender = publisher, .bytes = bytes};
    if (const auto error = box->try_send(message); error && error->failure == MailFailure::kTooLarge) box->count_dropped();
  }
  return boxes->size();
}

bool TopicState::add(const Box& box) {
  base::Lock lock(mutex_);
  if (boxes_->size() >= kSubscribersMax) return false;
  auto boxes = std::make_shared<std::vector<Box>>(*boxes_);
  boxes->push_back(box);
  boxes_ = std::move(boxes);
  return true;
}

void TopicState::remove(const MailboxState& box) {
  base::Lock lock(mutex_);
  auto boxes = std::make_shared<std::vector<Box>>(*boxes_);
  std::erase_if(*boxes, [&box](const Box& one) { return one.get() == &box; });
  boxes_ = std::move(boxes);
}

SubscriptionState::~SubscriptionState() {
  topic_->remove(*box_);
  box_->close();
}

Mailbox SubscriptionState::mailbox() const {
  box_->retain();
  return Mailbox(box_.get());
}

TopicEvent SubscriptionState::event_of(Message message) {
  const std::uint64_t dropped = box_->stats().dropped;
  const std::uint64_t told = told_.exchange(dropped, std::memory_order_relaxed);
  return {.publisher = message.sender, .bytes = std::move(message.bytes), .lost = dropped > told ? dropped - told : 0};
}

}  // namespace weft::detail

namespace weft {

Task<MailResult<TopicEvent>> Subscription::next(Duration bound) const {
  const std::shared_ptr<detail::SubscriptionState> state = state_;
  const Mailbox mailbox = state->mailbox();
  Mailbox::Receive receive = mailbox.receive({}, bound);
  MailResult<Message> message = co_await receive;
  if (!message) co_return std::unexpected(message.error());
  co_return state->event_of(std::move(*message));
}

MailResult<TopicEvent> Subscription::next_blocking(Duration bound) const {
  MailResult<Message> message = state_->mailbox().receive({}, bound).block();
  if (!message) return std::unexpected(message.error());
  return state_->event_of(std::move(*message));
}

MailResult<TopicEvent> Subscription::try_next() const {
  MailResult<Message> message = state_->mailbox().try_receive();
  if (!message) return std::unexpected(message.error());
  return state_->event_of(std::move(*message));
}

Waitable Subscription::readable() const { return state_->mailbox().readable(); }

}  // namespace weft

namespace weft::process {

std::size_t Society::publish(std::string_view topic, ProcessId publisher, const Bytes& bytes) const {
  const std::shared_ptr<detail::TopicState> known = topics_.find(topic);
  return known ? known->publish(publisher, bytes) : 0;
}

Result<std::shared_ptr<detail::SubscriptionState>> Society::subscribe(std::string_view topic, const TopicOptions& options) {
  if (options.events == 0 || options.bytes < detail::MailboxState::kCostMin)
    return fail(ErrorKind::kBadArgument, "a subscription needs room for one event and for 64 bytes");
  auto opened = topics_.open(topic, [] { return std::make_shared<detail::TopicState>(); });
  if (!opened) return std::unexpected(std::move(opened.error()));
  MailboxLimits limits{.messages = options.events, .bytes = options.bytes, .notices = 0, .when_full = FullMailbox::kDropsOldest};
  auto box = base::make_ref<detail::MailboxState>(limits);
  if (!(*opened)->add(box)) {
    return fail(ErrorKind::kExhausted, "the topic " + std::string(topic) + " has " +
                                           std::to_string(detail::TopicState::kSubscribersMax) + " subscribers already");
  }
  return std::make_shared<detail::SubscriptionState>(std::move(*opened), std::move(box));
}

}  // namespace weft::process
