// The smallest embedding: a guest in text form, run once, its output caught.
#include <cstdint>
#include <iostream>
#include <span>
#include <string_view>
#include <weft/weft.hpp>

namespace {

constexpr std::string_view kGuest = R"(
  (module
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "hello from a guest\n")
    (func (export "_start")
      (i32.store (i32.const 0) (i32.const 16))  ;; one piece of output: where it is,
      (i32.store (i32.const 4) (i32.const 19))  ;; and how many bytes
      (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
)";

int fail(const weft::Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

}  // namespace

int main() {
  auto runtime = weft::Runtime::create();
  if (!runtime) return fail(runtime.error());

  const std::span bytes(reinterpret_cast<const std::uint8_t*>(kGuest.data()), kGuest.size());
  auto module = runtime->compile(bytes, "hello");
  if (!module) return fail(module.error());

  auto process = runtime->spawn({.module = *module, .output = weft::Output::capture()});
  if (!process) return fail(process.error());

  const weft::ExitStatus status = process->join();
  std::cout << process->captured(weft::Stream::kOut);
  std::cout << "it " << weft::name_of(status.kind) << '\n';
  return status.success() && process->captured(weft::Stream::kOut) == "hello from a guest\n" ? 0 : 1;
}
