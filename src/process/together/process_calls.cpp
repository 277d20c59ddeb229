// Import module weft_process: messages, links, monitors and names. sdk/include/weft/process.h says what each function does.
#include <vector>

#include "process/together/guest_calls.hpp"

namespace weft::process {
namespace {

constexpr std::uint32_t kTagsMax = 64;
constexpr std::int32_t kNoSuchProcess = -1;  // weft_message.exit_kind

// struct weft_message
struct Header {
  std::int64_t sender = 0;
  std::uint64_t tag = 0;
  std::int64_t monitor = 0;
  std::uint32_t size = 0;
  std::int32_t kind = 0;
  std::int32_t exit_kind = 0;
  std::int32_t exit_code = 0;
};
static_assert(sizeof(Header) == 40);

std::int32_t to_errno(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kNotFound:
    case ErrorKind::kCancelled:
      return wasi::kNoProcess;
    case ErrorKind::kExhausted:
      return wasi::kNoSpace;
    default:
      return wasi::kInvalid;
  }
}

std::int64_t self(Caller& caller) { return static_cast<std::int64_t>(caller.process_id()); }
std::int32_t thread_self(Caller& caller) { return static_cast<std::int32_t>(thread_of(caller)); }

Task<Result<std::int32_t>> send_to(Caller& caller, StateRef target, std::int64_t tag, std::uint32_t at, std::uint32_t size,
                                   std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kMailbox);
    if (refused != 0) co_return refused;
  }
  const Result<std::span<std::byte>> bytes = guest_bytes(caller, at, size, "send");
  if (!bytes) co_return std::unexpected(bytes.error());
  Peer* const peer = target ? target->peer() : nullptr;
  if (peer == nullptr) co_return wasi::kNoProcess;
  // Before it is copied: a guest may have gigabytes.
  if (size > target->limits().mailbox.bytes) co_return wasi::kMessageSize;
  Message message{.sender = caller.process_id(), .tag = static_cast<std::uint64_t>(tag), .bytes = Bytes::copy_of(*bytes)};
  peer->mailbox->retain();
  const Mailbox mailbox(peer->mailbox.get());
  target = nullptr;
  Mailbox::Send operation = mailbox.send(std::move(message), guest_bound(timeout_ns));
  const MailResult<void> sent = co_await operation;
  co_return sent ? 0 : process::to_errno(sent.error());
}

Task<Result<std::int32_t>> send(Caller& caller, std::int64_t to, std::int64_t tag, std::uint32_t at, std::uint32_t size,
                                std::int64_t timeout_ns) {
  return send_to(caller, reach(caller_of(caller), static_cast<ProcessId>(to)), tag, at, size, timeout_ns);
}

Task<Result<std::int32_t>> send_named(Caller& caller, std::uint32_t name_at, std::uint32_t name_size, std::int64_t tag,
                                      std::uint32_t at, std::uint32_t size, std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  const Result<std::string> name = guest_text(caller, name_at, name_size, Society::kNameBytesMax, "send_named");
  if (!name) co_return std::unexpected(name.error());
  const ProcessId id = self.environment.society.whereis(*name);
  Task<Result<std::int32_t>> sent = send_to(caller, id == 0 ? nullptr : reach(self, id), tag, at, size, timeout_ns);
  co_return co_await std::move(sent);
}

Task<Result<std::int32_t>> receive(Caller& caller, std::uint32_t tags_at, std::uint32_t tags_count, std::int64_t sender,
                                   std::uint32_t at, std::uint32_t size, std::uint32_t header_at, std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kMailbox);
    if (refused != 0) co_return refused;
  }
  MessageFilter filter;
  filter.bytes_max = size;
  if (sender >= 0) filter.sender = static_cast<ProcessId>(sender);
  if (tags_count > kTagsMax) co_return wasi::kInvalid;
  const auto tags = guest_bytes(caller, tags_at, tags_count * static_cast<std::uint32_t>(sizeof(std::uint64_t)), "receive: tags");
  if (!tags) co_return std::unexpected(tags.error());
  filter.tags.resize(tags_count);
  if (tags_count != 0) std::memcpy(filter.tags.data(), tags->data(), tags->size());
  // Said now, not when there is a message.
  if (const auto to = guest_bytes(caller, at, size, "receive: the buffer"); !to) co_return std::unexpected(to.error());
  if (const auto to = guest_bytes(caller, header_at, sizeof(Header), "receive: the message"); !to)
    co_return std::unexpected(to.error());
  Peer* const peer = self.peer();
  if (peer == nullptr) co_return wasi::kNoProcess;
  peer->mailbox->retain();
  const Mailbox mailbox(peer->mailbox.get());
  Mailbox::Receive operation = mailbox.receive(std::move(filter), guest_bound(timeout_ns));
  const MailResult<Message> message = co_await operation;
  Header header;
  if (!message) {
    if (message.error().failure == MailFailure::kTooLarge) {
      header.size = static_cast<std::uint32_t>(message.error().bytes);
      if (const auto stored = guest_store(caller, header_at, header, "receive"); !stored) co_return std::unexpected(stored.error());
    }
    co_return process::to_errno(message.error());
  }
  header.sender = static_cast<std::int64_t>(message->sender);
  header.tag = message->tag;
  header.monitor = static_cast<std::int64_t>(message->monitor);
  header.size = static_cast<std::uint32_t>(message->bytes.size());
  header.kind = static_cast<std::int32_t>(message->kind);
  if (message->reason) {
    header.exit_kind = message->reason->no_process ? kNoSuchProcess : static_cast<std::int32_t>(message->reason->kind);
    header.exit_code = message->reason->code;
  }
  const auto to = guest_bytes(caller, at, header.size, "receive: the buffer");
  if (!to) co_return std::unexpected(to.error());
  if (header.size != 0) std::memcpy(to->data(), message->bytes.view().data(), header.size);
  if (const auto stored = guest_store(caller, header_at, header, "receive"); !stored) co_return std::unexpected(stored.error());
  co_return 0;
}

std::int32_t pending(Caller& caller) {
  Peer* const peer = caller_of(caller).peer();
  if (peer == nullptr) return 0;
  const MailboxStats stats = peer->mailbox->stats();
  return static_cast<std::int32_t>(stats.messages + stats.notices);
}

std::int32_t link(Caller& caller, std::int64_t other_id) {
  Process::State& self = caller_of(caller);
  const StateRef other = reach(self, static_cast<ProcessId>(other_id));
  if (!other) return wasi::kNoProcess;
  const Result<void> linked = self.environment.society.link(self, *other);
  return linked ? 0 : to_errno(linked.error());
}

std::int32_t unlink(Caller& caller, std::int64_t other_id) {
  Process::State& self = caller_of(caller);
  return self.environment.society.unlink(self, static_cast<ProcessId>(other_id)) ? 0 : wasi::kNotFound;
}

void trap_exits(Caller& caller, std::int32_t traps) {
  Process::State& self = caller_of(caller);
  self.environment.society.trap_exits(self, traps != 0);
}

std::int64_t monitor(Caller& caller, std::int64_t target) {
  Process::State& self = caller_of(caller);
  const StateRef other = reach(self, static_cast<ProcessId>(target));
  const Result<MonitorId> id = self.environment.society.monitor(self, other ? other->id : static_cast<ProcessId>(target));
  return id ? static_cast<std::int64_t>(*id) : -std::int64_t{to_errno(id.error())};
}

std::int32_t demonitor(Caller& caller, std::int64_t id, std::int32_t flush) {
  Process::State& self = caller_of(caller);
  return self.environment.society.demonitor(self, static_cast<MonitorId>(id), flush != 0) ? 0 : wasi::kNotFound;
}

Result<std::int32_t> register_name(Caller& caller, std::uint32_t at, std::uint32_t size) {
  Process::State& self = caller_of(caller);
  const Result<std::string> name = guest_text(caller, at, size, Society::kNameBytesMax, "register_name");
  if (!name) return std::unexpected(name.error());
  bool taken = false;
  const Result<void> registered = self.environment.society.register_name(*name, self, &taken);
  if (registered) return 0;
  return taken ? wasi::kExists : to_errno(registered.error());
}

Result<std::int32_t> unregister_name(Caller& caller, std::uint32_t at, std::uint32_t size) {
  Process::State& self = caller_of(caller);
  const Result<std::string> name = guest_text(caller, at, size, Society::kNameBytesMax, "unregister_name");
  if (!name) return std::unexpected(name.error());
  return self.environment.society.unregister_name(*name, self.id) ? 0 : wasi::kNotFound;
}

Result<std::int64_t> whereis(Caller& caller, std::uint32_t at, std::uint32_t size) {
  Process::State& self = caller_of(caller);
  const Result<std::string> name = guest_text(caller, at, size, Society::kNameBytesMax, "whereis");
  if (!name) return std::unexpected(name.error());
  const ProcessId id = self.environment.society.whereis(*name);
  return id == 0 ? -std::int64_t{wasi::kNoProcess} : static_cast<std::int64_t>(id);
}

}  // namespace

void define_process_calls(HostFunctions& functions) {
  constexpr const char* kModule = "weft_process";
  functions.define(kModule, "self", self);
  functions.define(kModule, "thread_self", thread_self);
  functions.define(kModule, "send", send);
  functions.define(kModule, "send_named", send_named);
  functions.define(kModule, "receive", receive);
  functions.define(kModule, "pending", pending);
  functions.define(kModule, "link", link);
  functions.define(kModule, "unlink", unlink);
  functions.define(kModule, "trap_exits", trap_exits);
  functions.define(kModule, "monitor", monitor);
  functions.define(kModule, "demonitor", demonitor);
  functions.define(kModule, "register_name", register_name);
  functions.define(kModule, "unregister_name", unregister_name);
  functions.define(kModule, "whereis", whereis);
}

}  // namespace weft::process
