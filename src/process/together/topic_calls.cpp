// Import module weft_topic. sdk/include/weft/topic.h says what each function does.
#include "process/together/guest_calls.hpp"
#include "process/together/topic.hpp"

namespace weft::process {
namespace {

constexpr std::uint32_t kEventBytesMax = 1U << 20;
constexpr std::uint32_t kQueueMax = 1024;

// struct weft_event
struct Header {
  std::int64_t publisher = 0;
  std::uint64_t lost = 0;
  std::uint32_t size = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Header) == 24);

std::shared_ptr<detail::SubscriptionState> subscription(Process::State& self, std::int32_t handle) {
  return std::dynamic_pointer_cast<detail::SubscriptionState>(Society::find_handle(self, handle));
}

Task<Result<std::int32_t>> publish(Caller& caller, std::uint32_t name_at, std::uint32_t name_size, std::uint32_t at,
                                   std::uint32_t size) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kEvent);
    if (refused != 0) co_return -refused;
  }
  const Result<std::string> name = guest_text(caller, name_at, name_size, Society::kNameBytesMax, "publish");
  if (!name) co_return std::unexpected(name.error());
  const Result<std::span<std::byte>> bytes = guest_bytes(caller, at, size, "publish");
  if (!bytes) co_return std::unexpected(bytes.error());
  if (size > kEventBytesMax) co_return -wasi::kMessageSize;
  co_return static_cast<std::int32_t>(self.environment.society.publish(*name, self.id, Bytes::copy_of(*bytes)));
}

Result<std::int32_t> subscribe(Caller& caller, std::uint32_t name_at, std::uint32_t name_size, std::uint32_t events) {
  Process::State& self = caller_of(caller);
  const Result<std::string> name = guest_text(caller, name_at, name_size, Society::kNameBytesMax, "subscribe");
  if (!name) return std::unexpected(name.error());
  if (events > kQueueMax) return -wasi::kInvalid;
  const auto made = self.environment.society.subscribe(*name, {.events = events, .bytes = kEventBytesMax});
  if (!made) return made.error().kind == ErrorKind::kExhausted ? -wasi::kNoSpace : -wasi::kInvalid;
  return Society::add_handle(self, *made);
}

Task<Result<std::int32_t>> next(Caller& caller, std::int32_t handle, std::uint32_t at, std::uint32_t size, std::uint32_t header_at,
                                std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kEvent);
    if (refused != 0) co_return refused;
  }
  const std::shared_ptr<detail::SubscriptionState> from = subscription(self, handle);
  if (const auto to = guest_bytes(caller, at, size, "next: the buffer"); !to) co_return std::unexpected(to.error());
  if (const auto to = guest_bytes(caller, header_at, sizeof(Header), "next: the event"); !to) co_return std::unexpected(to.error());
  if (!from) co_return wasi::kBadHandle;
  MessageFilter filter;
  filter.bytes_max = size;
  const Mailbox mailbox = from->mailbox();
  Mailbox::Receive operation = mailbox.receive(std::move(filter), guest_bound(timeout_ns));
  MailResult<Message> message = co_await operation;
  Header header;
  std::int32_t result = 0;
  if (message) {
    const TopicEvent event = from->event_of(std::move(*message));
    header = {static_cast<std::int64_t>(event.publisher), event.lost, static_cast<std::uint32_t>(event.bytes.size()), 0};
    const auto to = guest_bytes(caller, at, header.size, "next: the buffer");
    if (!to) co_return std::unexpected(to.error());
    if (header.size != 0) std::memcpy(to->data(), event.bytes.view().data(), header.size);
  } else {
    result = to_errno(message.error());
    if (result != wasi::kMessageSize) co_return result;
    header.size = static_cast<std::uint32_t>(message.error().bytes);
  }
  if (const auto stored = guest_store(caller, header_at, header, "next"); !stored) co_return std::unexpected(stored.error());
  co_return result;
}

std::int32_t unsubscribe(Caller& caller, std::int32_t handle) {
  Process::State& self = caller_of(caller);
  if (!subscription(self, handle)) return wasi::kBadHandle;
  return Society::drop_handle(self, handle);
}

}  // namespace

void define_topic_calls(HostFunctions& functions) {
  constexpr const char* kModule = "weft_topic";
  functions.define(kModule, "publish", publish);
  functions.define(kModule, "subscribe", subscribe);
  functions.define(kModule, "next", next);
  functions.define(kModule, "unsubscribe", unsubscribe);
}

}  // namespace weft::process
