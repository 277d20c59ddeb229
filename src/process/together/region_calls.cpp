// Import module weft_region. sdk/include/weft/region.h says what each function does.
#include <tuple>
#include <utility>

#include "process/together/guest_calls.hpp"
#include "process/together/region.hpp"

namespace weft::process {
namespace {

SharedRegion region_of(Process::State& self, std::int32_t handle) {
  return SharedRegion(std::dynamic_pointer_cast<detail::RegionState>(Society::find_handle(self, handle)));
}

std::int32_t handle_of(Process::State& self, Society::RegionResult made) {
  if (made) return Society::add_handle(self, std::move(*made));
  return made.error().kind == ErrorKind::kExhausted ? -wasi::kNoSpace : -wasi::kInvalid;
}

std::int32_t make(Caller& caller, std::uint64_t bytes) {
  Process::State& self = caller_of(caller);
  return handle_of(self, self.environment.society.make_region(bytes, &self));
}

Result<std::int32_t> open(Caller& caller, std::uint32_t at, std::uint32_t size, std::uint64_t bytes) {
  Process::State& self = caller_of(caller);
  const Result<std::string> name = guest_text(caller, at, size, Society::kNameBytesMax, "weft_region.open");
  if (!name) return std::unexpected(name.error());
  return handle_of(self, self.environment.society.open_region(*name, bytes, &self));
}

std::int32_t close(Caller& caller, std::int32_t handle) {
  Process::State& self = caller_of(caller);
  if (!region_of(self, handle)) return wasi::kBadHandle;
  return Society::drop_handle(self, handle);
}

std::int64_t size(Caller& caller, std::int32_t handle) {
  const SharedRegion region = region_of(caller_of(caller), handle);
  return region ? static_cast<std::int64_t>(region.size()) : -std::int64_t{wasi::kBadHandle};
}

Result<std::int32_t> read(Caller& caller, std::int32_t handle, std::uint64_t offset, std::uint32_t at, std::uint32_t size) {
  const Result<std::span<std::byte>> to = guest_bytes(caller, at, size, "weft_region.read");
  if (!to) return std::unexpected(to.error());
  const SharedRegion region = region_of(caller_of(caller), handle);
  if (!region) return wasi::kBadHandle;
  return region.read(offset, *to) ? 0 : wasi::kInvalid;
}

Result<std::int32_t> write(Caller& caller, std::int32_t handle, std::uint64_t offset, std::uint32_t at, std::uint32_t size) {
  const Result<std::span<std::byte>> from = guest_bytes(caller, at, size, "weft_region.write");
  if (!from) return std::unexpected(from.error());
  const SharedRegion region = region_of(caller_of(caller), handle);
  if (!region) return wasi::kBadHandle;
  return region.write(offset, *from) ? 0 : wasi::kInvalid;
}

// What was there goes to `at`; 0: the guest does not want to know. It is looked at first: a call that traps has done nothing.
template <RegionWord Word, class Do>
Result<std::int32_t> on_word(Caller& caller, std::int32_t handle, std::uint32_t at, const Do& action) {
  if (at != 0) {
    if (const auto to = guest_bytes(caller, at, sizeof(Word), "weft_region"); !to) return std::unexpected(to.error());
  }
  const SharedRegion region = region_of(caller_of(caller), handle);
  if (!region) return wasi::kBadHandle;
  const Result<Word> before = action(region);
  if (!before) return wasi::kInvalid;
  if (at != 0) {
    if (const auto stored = guest_store(caller, at, *before, "weft_region"); !stored) return std::unexpected(stored.error());
  }
  return 0;
}

template <RegionWord Word>
Task<Result<std::int32_t>> wait(Caller& caller, std::int32_t handle, std::uint64_t offset, Word expected, std::int64_t timeout_ns) {
  Process::State& self = caller_of(caller);
  if (self.fuel) {
    const std::int32_t refused = co_await pay(self, SyncOperation::kWait);
    if (refused != 0) co_return refused;
  }
  const SharedRegion region = region_of(self, handle);
  if (!region) co_return wasi::kBadHandle;
  SharedRegion::Wait operation = region.wait<Word>(offset, expected, guest_bound(timeout_ns));
  const Result<RegionWake> why = co_await operation;
  if (!why) co_return wasi::kInvalid;
  switch (*why) {
    case RegionWake::kWoken:
      break;
    case RegionWake::kNotEqual:
      co_return wasi::kAgain;
    case RegionWake::kTimedOut:
      co_return wasi::kTimedOut;
  }
  co_return 0;
}

std::int32_t notify(Caller& caller, std::int32_t handle, std::uint64_t offset, std::uint32_t count) {
  const SharedRegion region = region_of(caller_of(caller), handle);
  if (!region) return -wasi::kBadHandle;
  const Result<std::uint32_t> woken = region.notify(offset, count);
  return woken ? static_cast<std::int32_t>(*woken) : -wasi::kInvalid;
}

// Defines functions that never wait: as they are, or so that each call is paid for first.
class Definer {
 public:
  Definer(HostFunctions& functions, Payment payment) : functions_(functions), payment_(payment) {}

  // `refusal`: 1 or -1, as it answers with an errno or with -errno.
  template <class F>
  void define(std::string name, F function, SyncOperation operation = SyncOperation::kRegion, std::int32_t refusal = 1) {
    using Arguments = detail::Signature<F>::Arguments;
    if (payment_ == Payment::kNone) {
      functions_.define(kRegionModule, std::move(name), std::move(function));
    } else {
      define_paid(std::move(name), std::move(function), operation, refusal, static_cast<Arguments*>(nullptr));
    }
  }

 private:
  template <class F, class... A>
  void define_paid(std::string name, F function, SyncOperation operation, std::int32_t refusal, std::tuple<A...>*) {
    functions_.define(kRegionModule, std::move(name), [=](Caller& caller, A... arguments) {
      return paid<F, A...>(caller, operation, refusal, function, arguments...);
    });
  }
  template <class F, class... A>
  static Task<Result<std::int32_t>> paid(Caller& caller, SyncOperation operation, std::int32_t refusal, F function,
                                         A... arguments) {
    Process::State& self = caller_of(caller);
    if (self.fuel) {
      const std::int32_t refused = co_await pay(self, operation);
      if (refused != 0) co_return refusal* refused;
    }
    co_return function(caller, arguments...);
  }

  HostFunctions& functions_;
  const Payment payment_;
};

using Before = Result<std::int32_t>;

template <RegionWord Word>
void define_words(Definer& definer, const std::string& bits) {
  using Offset = std::uint64_t;
  definer.define("load" + bits, [](Caller& caller, std::int32_t handle, Offset offset, std::uint32_t at) -> Before {
    return on_word<Word>(caller, handle, at, [=](const SharedRegion& region) { return region.load<Word>(offset); });
  });
  definer.define("store" + bits, [](Caller& caller, std::int32_t handle, Offset offset, Word value) -> std::int32_t {
    const SharedRegion region = region_of(caller_of(caller), handle);
    if (!region) return wasi::kBadHandle;
    return region.store<Word>(offset, value) ? 0 : wasi::kInvalid;
  });
  const auto define = [&](const char* name, auto method) {
    definer.define(
        name + bits, [method](Caller& caller, std::int32_t handle, Offset offset, Word value, std::uint32_t at) -> Before {
          return on_word<Word>(caller, handle, at, [=](const SharedRegion& region) { return (region.*method)(offset, value); });
        });
  };
  define("add", &SharedRegion::add<Word>);
  define("and", &SharedRegion::and_with<Word>);
  define("or", &SharedRegion::or_with<Word>);
  define("xchg", &SharedRegion::exchange<Word>);
  definer.define("cmpxchg" + bits,
                 [](Caller& caller, std::int32_t handle, Offset offset, Word expected, Word desired, std::uint32_t at) -> Before {
                   return on_word<Word>(caller, handle, at, [=](const SharedRegion& region) {
                     return region.compare_exchange<Word>(offset, expected, desired);
                   });
                 });
}

}  // namespace

void define_region_calls(HostFunctions& functions, Payment payment) {
  functions.define(kRegionModule, "make", make);
  functions.define(kRegionModule, "open", open);
  functions.define(kRegionModule, "close", close);
  functions.define(kRegionModule, "size", size);
  functions.define(kRegionModule, "wait32", wait<std::uint32_t>);
  functions.define(kRegionModule, "wait64", wait<std::uint64_t>);
  Definer definer(functions, payment);
  definer.define("read", read);
  definer.define("write", write);
  definer.define("notify", notify, SyncOperation::kNotify, -1);
  define_words<std::uint32_t>(definer, "32");
  define_words<std::uint64_t>(definer, "64");
}

}  // namespace weft::process
