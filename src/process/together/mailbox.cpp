#include "process/together/mailbox.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace weft::detail {
namespace {

std::uint64_t cost(const Message& message) { return std::max<std::uint64_t>(message.bytes.size(), MailboxState::kCostMin); }

bool passes(const MessageFilter& filter, const Message& message) {
  if (filter.kind && *filter.kind != message.kind) return false;
  if (filter.sender && *filter.sender != message.sender) return false;
  if (filter.monitor && *filter.monitor != message.monitor) return false;
  if (filter.tags.empty()) return true;
  return message.kind == MessageKind::kUser && std::ranges::find(filter.tags, message.tag) != filter.tags.end();
}

}  // namespace

MailboxState::~MailboxState() {
  // Nobody waits any more: who waits has a reference.
  while (MailNode* const node = queue_.pop_front()) delete node;
  while (MailNode* const node = waiting_.pop_front()) delete node;
}

// ---- under the lock ----

std::optional<MailError> MailboxState::refused(const Message& message) const {
  if (stats_.closed) return MailError{MailFailure::kClosed, 0};
  if (cost(message) > limits_.bytes) return MailError{MailFailure::kTooLarge, message.bytes.size()};
  return std::nullopt;
}

bool MailboxState::has_room(const MailNode& node) const {
  return node.notice() ||
         (stats_.messages < limits_.messages && cost(node.message) <= limits_.bytes - std::min(stats_.bytes, limits_.bytes));
}

bool MailboxState::hand_over(Node& node, Wakes& wakes) {
  for (MailReceiver* receiver = receivers_.front(); receiver != nullptr;) {
    MailReceiver* const next = receivers_.next(*receiver);
    if (passes(receiver->filter, node->message)) {
      receivers_.remove(*receiver);
      wakes.add(receiver->sleeper);
      if (!receiver->filter.predicate) {
        if (node->notice()) --stats_.reserved;
        ++stats_.received;
        receiver->node = std::move(node);
        return true;
      }
    }
    receiver = next;
  }
  return false;
}

void MailboxState::keep(Node node) {
  if (node->notice()) {
    ++stats_.notices;
  } else {
    ++stats_.messages;
    stats_.bytes += cost(node->message);
  }
  queue_.push_back(*node.release());
}

bool MailboxState::offer(Node& node, Wakes& wakes) {
  node->sequence = next_sequence_++;
  if (hand_over(node, wakes)) return true;
  // The rest waits behind those that wait.
  if (waiting_.empty() && has_room(*node)) {
    keep(std::move(node));
    return true;
  }
  if (limits_.when_full == FullMailbox::kHoldsBack) return false;
  if (limits_.when_full == FullMailbox::kDropsOldest) {
    for (MailNode* oldest = queue_.front(); oldest != nullptr && !has_room(*node);) {
      MailNode* const next = queue_.next(*oldest);
      if (!oldest->notice()) {
        (void)unlink(*oldest, true, wakes);
        ++stats_.dropped;
      }
      oldest = next;
    }
  }
  if (has_room(*node)) {
    keep(std::move(node));
  } else {
    ++stats_.dropped;
    node.reset();
  }
  return true;
}

MailboxState::Node MailboxState::unlink(MailNode& node, bool queued, Wakes& wakes) {
  Nodes::remove(node);
  if (MailSender* const sender = std::exchange(node.sender, nullptr)) {
    --stats_.senders_waiting;
    sender->node = nullptr;
    wakes.add(sender->sleeper);
  } else if (node.notice()) {
    --stats_.notices;
  } else if (queued) {
    --stats_.messages;
    stats_.bytes -= cost(node.message);
  }
  return Node(&node);
}

void MailboxState::admit(Wakes& wakes) {
  while (MailNode* const first = waiting_.front()) {
    if (!has_room(*first)) return;
    keep(unlink(*first, false, wakes));
  }
}

template <class Test>
MailboxState::Node MailboxState::take_first(const Test& test, Wakes& wakes) {
  for (Nodes* const list : {&queue_, &waiting_}) {
    for (MailNode* node = list->front(); node != nullptr; node = list->next(*node)) {
      if (!test(*node)) continue;
      Node taken = unlink(*node, list == &queue_, wakes);
      admit(wakes);
      if (taken->notice()) --stats_.reserved;
      ++stats_.received;
      return taken;
    }
  }
  return nullptr;
}

bool MailboxState::publish() {
  const bool something = !queue_.empty() || !waiting_.empty();
  return !ready_.exchange(something, std::memory_order_seq_cst) && something;
}

// ---- sending ----

std::optional<MailError> MailboxState::try_send(Message& message) {
  auto node = std::make_unique<MailNode>();
  bool tell = false;
  Wakes wakes;
  {
    base::Lock lock(mutex_);
    if (auto why = refused(message)) return why;
    node->message = std::move(message);
    if (!offer(node, wakes)) {
      message = std::move(node->message);
      return MailError{MailFailure::kWouldWait, 0};
    }
    tell = publish();
  }
  wakes.wake_all();
  if (tell) notify();
  return std::nullopt;
}

std::optional<MailError> MailboxState::send(Message& message, MailSender& sender) {
  auto node = std::make_unique<MailNode>();
  std::optional<MailError> error;
  bool tell = false;
  Wakes wakes;
  {
    base::Lock lock(mutex_);
    if (auto why = refused(message)) return why;
    node->message = std::move(message);
    if (!offer(node, wakes)) {
      node->sender = &sender;
      sender.node = node.get();
      waiting_.push_back(*node.release());
      ++stats_.senders_waiting;
      error = MailError{MailFailure::kWouldWait, 0};
    }
    tell = publish();
  }
  wakes.wake_all();
  if (tell) notify();
  return error;
}

bool MailboxState::sent(MailSender& sender, Message& message) {
  base::Lock lock(mutex_);
  if (sender.closed) {
    const Node node(std::exchange(sender.node, nullptr));
    if (node) message = std::move(node->message);
    return true;
  }
  return sender.node == nullptr;
}

bool MailboxState::withdraw(MailSender& sender, Message& message) {
  Wakes wakes;
  Node node;
  base::Lock lock(mutex_);
  if (sender.node == nullptr) return false;
  node.reset(std::exchange(sender.node, nullptr));
  message = std::move(node->message);
  if (sender.closed) return true;
  node->sender = nullptr;
  Nodes::remove(*node);
  --stats_.senders_waiting;
  admit(wakes);  // a smaller one may fit
  (void)publish();
  return true;
}

// ---- receiving ----

MailboxState::Node MailboxState::receive(const MessageFilter& filter, MailReceiver* receiver) {
  Wakes wakes;
  base::Lock lock(mutex_);
  Node node = take_first([&filter](const MailNode& one) { return passes(filter, one.message); }, wakes);
  if (node) {
    (void)publish();
  } else if (receiver != nullptr) {
    receiver->closed = stats_.closed;
    if (!stats_.closed) receivers_.push_back(*receiver);
  }
  return node;
}

std::vector<MailboxState::Copy> MailboxState::copies(const MessageFilter& filter, Seen& seen) {
  std::vector<Copy> copies;
  base::Lock lock(mutex_);
  if (seen.put_backs != put_backs_) seen = {0, put_backs_};
  for (Nodes* const list : {&queue_, &waiting_}) {
    for (MailNode* node = list->front(); node != nullptr; node = list->next(*node)) {
      if (node->sequence < seen.from || !passes(filter, node->message)) continue;
      if (copies.size() == kBatch) {
        seen.from = node->sequence;
        return copies;
      }
      copies.push_back({node->sequence, node->message});
    }
  }
  seen.from = next_sequence_;
  return copies;
}

MailboxState::Node MailboxState::take(std::uint64_t sequence) {
  Wakes wakes;
  base::Lock lock(mutex_);
  Node node = take_first([sequence](const MailNode& one) { return one.sequence == sequence; }, wakes);
  if (node) (void)publish();
  return node;
}

bool MailboxState::wait(MailReceiver& receiver, Seen& seen) {
  base::Lock lock(mutex_);
  receiver.closed = stats_.closed;
  if (receiver.closed) return true;
  if (seen.put_backs != put_backs_ || seen.from != next_sequence_) return false;
  receivers_.push_back(receiver);
  return true;
}

bool MailboxState::received(MailReceiver& receiver) const {
  base::Lock lock(mutex_);
  return !receiver.linked();
}

void MailboxState::withdraw(MailReceiver& receiver) {
  base::Lock lock(mutex_);
  if (receiver.linked()) receivers_.remove(receiver);
}

void MailboxState::put_back(Node node) {
  bool tell = false;
  Wakes wakes;
  {
    base::Lock lock(mutex_);
    if (stats_.closed) return;
    --stats_.received;
    ++put_backs_;
    if (node->notice()) ++stats_.reserved;
    if (!hand_over(node, wakes)) {
      // Behind what waits with a smaller number it waits, too; else it is kept, over the limits if need be.
      const bool waits = !waiting_.empty() && waiting_.front()->sequence < node->sequence;
      if (node->notice()) {
        ++stats_.notices;
      } else if (!waits) {
        ++stats_.messages;
        stats_.bytes += cost(node->message);
      }
      Nodes& list = waits ? waiting_ : queue_;
      MailNode* behind = list.front();
      while (behind != nullptr && behind->sequence < node->sequence) behind = list.next(*behind);
      if (behind == nullptr) {
        list.push_back(*node.release());
      } else {
        list.insert_before(*behind, *node.release());
      }
      if (waits) admit(wakes);
      tell = publish();
    }
  }
  wakes.wake_all();
  if (tell) notify();
}

// ---- notices ----

bool MailboxState::reserve_notice() {
  base::Lock lock(mutex_);
  if (stats_.closed || stats_.reserved >= limits_.notices) return false;
  ++stats_.reserved;
  return true;
}

void MailboxState::release_notice() {
  base::Lock lock(mutex_);
  if (!stats_.closed) --stats_.reserved;
}

bool MailboxState::post_notice(Message message, Wakes& wakes) {
  auto node = std::make_unique<MailNode>();
  node->message = std::move(message);
  base::Lock lock(mutex_);
  if (stats_.closed) return false;
  node->sequence = next_sequence_++;
  if (hand_over(node, wakes)) return false;
  if (waiting_.empty()) {
    keep(std::move(node));
  } else {
    ++stats_.notices;
    waiting_.push_back(*node.release());
  }
  return publish();
}

bool MailboxState::flush(MonitorId monitor) {
  Wakes wakes;
  base::Lock lock(mutex_);
  const Node node = take_first(
      [monitor](const MailNode& one) { return one.message.kind == MessageKind::kDown && one.message.monitor == monitor; }, wakes);
  if (!node) return false;
  --stats_.received;
  (void)publish();
  return true;
}

// ---- the end ----

void MailboxState::count_dropped() {
  base::Lock lock(mutex_);
  ++stats_.dropped;
}

void MailboxState::close() {
  Wakes wakes;
  Nodes gone;
  {
    base::Lock lock(mutex_);
    if (std::exchange(stats_.closed, true)) return;
    gone.splice_back(queue_);
    while (MailNode* const node = waiting_.pop_front()) {
      if (node->sender == nullptr) {
        gone.push_back(*node);
        continue;
      }
      node->sender->closed = true;  // the node is its, from now on
      wakes.add(node->sender->sleeper);
    }
    while (MailReceiver* const receiver = receivers_.pop_front()) {
      receiver->closed = true;
      wakes.add(receiver->sleeper);
    }
    stats_ = {.received = stats_.received, .dropped = stats_.dropped, .closed = true};
    ready_.store(false, std::memory_order_seq_cst);
    closed_word_.store(true, std::memory_order_seq_cst);
  }
  while (MailNode* const node = gone.pop_front()) delete node;
  wakes.wake_all();
  notify();
}

bool MailboxState::closed() const { return closed_word_.load(std::memory_order_seq_cst); }

MailboxStats MailboxState::stats() const {
  base::Lock lock(mutex_);
  MailboxStats stats = stats_;
  for (MailReceiver* one = receivers_.front(); one != nullptr; one = receivers_.next(*one)) ++stats.receivers_waiting;
  return stats;
}

}  // namespace weft::detail
