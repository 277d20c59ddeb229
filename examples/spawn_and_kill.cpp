// A guest that never ends, ended: by hand, and by its own limit. Neither needs the guest's help.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <span>
#include <string_view>
#include <weft/weft.hpp>

namespace {

constexpr std::string_view kLoop = R"((module (func (export "_start") (loop $again (br $again)))))";

int fail(const weft::Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

}  // namespace

int main() {
  using namespace std::chrono_literals;
  auto runtime = weft::Runtime::create();
  if (!runtime) return fail(runtime.error());
  auto module = runtime->compile(std::span(reinterpret_cast<const std::uint8_t*>(kLoop.data()), kLoop.size()), "loop");
  if (!module) return fail(module.error());

  auto endless = runtime->spawn({.module = *module});
  if (!endless) return fail(endless.error());
  if (endless->join_for(50ms)) return 1;  // it cannot have ended by itself
  endless->kill("the operator");
  const weft::ExitStatus killed = endless->join();
  std::cout << killed.message << " after " << weft::format_duration(killed.usage.cpu_time) << " of CPU time\n";

  weft::ProcessSpec spec{.module = *module};
  spec.limits.cpu_time = 20ms;
  auto limited = runtime->spawn(std::move(spec));
  if (!limited) return fail(limited.error());
  const weft::ExitStatus stopped = limited->join();
  std::cout << stopped.message << '\n';

  return killed.kind == weft::ExitKind::kKilled && stopped.kind == weft::ExitKind::kLimitReached ? 0 : 1;
}
