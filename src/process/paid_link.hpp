// Linking for processes that draw from a pool of fuel (SpawnOptions::fuel).
//
// Functions of weft_region that never wait are immediate host functions, which cost a fraction of those that may wait. But who pays for a call may have to wait for
// fuel. So such a process is linked with another set of them, in which each may: what nobody pays for stays cheap. Both things here are made when they are first wanted.
//
//   Result<const wasm::Linker*> linker = environment.paid_linker.get();
//   Result<std::shared_ptr<const wasm::Program>> linked = program.paid->get(**linker);
//
// Any thread.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/mutex.hpp"
#include "wasm/program.hpp"
#include "weft/error.hpp"

namespace weft::process {

class LinkerOnDemand {
 public:
  using Make = std::function<Result<std::unique_ptr<wasm::Linker>>()>;
  explicit LinkerOnDemand(Make make) : make_(std::move(make)) {}

  Result<const wasm::Linker*> get() {
    base::Lock lock(mutex_);
    if (!linker_) {
      auto made = make_();
      if (!made) return std::unexpected(std::move(made.error()));
      linker_ = std::move(*made);
    }
    return linker_.get();
  }

 private:
  const Make make_;
  base::Mutex mutex_;
  std::unique_ptr<const wasm::Linker> linker_ WEFT_GUARDED_BY(mutex_);
};

// A program's second way of being linked.
class PaidLink {
 public:
  explicit PaidLink(std::shared_ptr<const wasm::CompiledModule> module) : module_(std::move(module)) {}

  Result<std::shared_ptr<const wasm::Program>> get(const wasm::Linker& linker) {
    base::Lock lock(mutex_);
    if (!linked_) {
      auto made = wasm::Program::link(linker, module_);
      if (!made) return std::unexpected(std::move(made.error()));
      linked_ = std::move(*made);
    }
    return linked_;
  }

 private:
  const std::shared_ptr<const wasm::CompiledModule> module_;
  base::Mutex mutex_;
  std::shared_ptr<const wasm::Program> linked_ WEFT_GUARDED_BY(mutex_);
};

}  // namespace weft::process
