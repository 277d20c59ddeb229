// Engine: compiler and runtime of guests, Wasmtime behind engine/'s C ABI. One a runtime; everything else in this room is made from it.
//
//   Result<std::unique_ptr<Engine>> engine = Engine::create({.cache_directory = "…"});
//   Engine::Entered entered = (*engine)->enter();   // once on each thread that polls or drops calls
//
// Any thread, unless said otherwise. It must outlive what was made from it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/error.hpp"
#include "weft/fibers.hpp"
#include "weft_engine.h"

namespace weft::wasm {

struct EngineConfig {
  std::string cache_directory;  // empty: no cache
  bool fuel = false;
  bool epochs = true;
  Fibers fibers = Fibers::kAsync;
  bool strands = false;
  bool strands_preemptive = false;
  std::uint32_t strands_max = 1'000'000;
  std::uint32_t strand_stack_bytes = 64U << 10;
  std::uint32_t slots_max = 1000;         // processes without threads alive at once
  std::uint32_t thread_slots_max = 1000;  // guest threads alive at once
  std::uint64_t memory_reservation_bytes = 4ULL << 30;
  std::uint64_t memory_bytes_max = 4ULL << 30;
  std::uint64_t stack_bytes = 512U << 10;
  std::uint32_t blocking_threads_max = 64;
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(const EngineConfig& config);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Makes every running guest ask CallHost::epoch() soon.
  void increment_epoch() noexcept { weft_engine_increment_epoch(raw_); }
  // Ends the threads that serve files and sockets, and lets go of the tasks that they may still hold. No guest runs after this. Not from a thread that has
  // entered the engine.
  void stop_io() noexcept { weft_engine_stop_io(raw_); }
  // What went wrong without being an error; empty if nothing.
  std::string warning() const;
  static std::string_view version() noexcept;

  // A thread's entry into what WASI needs around it. Destroyed on the same thread.
  class Entered {
   public:
    explicit Entered(const weft_engine* engine) : guard_(weft_engine_enter(engine)) {}
    ~Entered() { weft_enter_guard_free(guard_); }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    weft_enter_guard* guard_;
  };
  std::unique_ptr<Entered> enter() const { return std::make_unique<Entered>(raw_); }

  const weft_engine* raw() const noexcept { return raw_; }

 private:
  explicit Engine(weft_engine* raw) : raw_(raw) {}
  weft_engine* raw_;
};

// Text across the ABI, borrowed.
inline weft_str to_abi(std::string_view text) noexcept { return {text.data(), text.size()}; }
inline std::string_view from_abi(weft_str text) noexcept {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
// Takes the error over.
Error take_error(weft_error* error);

}  // namespace weft::wasm
