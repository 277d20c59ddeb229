// Of import module weft_process: what a process was granted, grants, gives back. sdk/include/weft/process.h says what each function does.
#include "process/together/guest_calls.hpp"

namespace weft::process {
namespace {

Result<std::int32_t> granted(Caller& caller, std::uint32_t at, std::uint32_t size) {
  const Result<std::string> name = guest_text(caller, at, size, Society::kNameBytesMax, "granted");
  if (!name) return std::unexpected(name.error());
  return Society::granted(caller_of(caller), *name);
}

Result<std::int32_t> grant(Caller& caller, std::int64_t to, std::uint32_t at, std::uint32_t size, std::int32_t handle) {
  Process::State& self = caller_of(caller);
  const Result<std::string> name = guest_text(caller, at, size, Society::kNameBytesMax, "grant");
  if (!name) return std::unexpected(name.error());
  std::shared_ptr<Shareable> what = Society::find_handle(self, handle);
  if (!what) return wasi::kBadHandle;
  const StateRef target = reach(self, static_cast<ProcessId>(to));
  if (!target) return wasi::kNoProcess;
  return Society::grant(*target, *name, std::move(what));
}

std::int32_t drop(Caller& caller, std::int32_t handle) { return Society::drop_handle(caller_of(caller), handle); }

}  // namespace

void define_grant_calls(HostFunctions& functions) {
  constexpr const char* kModule = "weft_process";
  functions.define(kModule, "granted", granted);
  functions.define(kModule, "grant", grant);
  functions.define(kModule, "drop", drop);
}

}  // namespace weft::process
