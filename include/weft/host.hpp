// Functions of the host that guests may import.
//
//   weft::HostFunctions host;
//   host.define("env", "add", [](weft::Caller&, std::int32_t a, std::int32_t b) { return a + b; });
//   host.define("env", "wait", [](weft::Caller&, std::int64_t ms) -> weft::Task<std::int32_t> {
//     co_await weft::sleep_for(std::chrono::milliseconds(ms));     // parks the guest, not the worker
//     co_return 0;
//   });
//
// A function is called on a worker, in the middle of the guest: it must be quick or return a Task, and it is called by many
// processes at once, so what it captures must be safe for that. Parameters: int32_t, uint32_t, int64_t, uint64_t, float, double.
// Result: one of these, void, weft::Result<one of these>, or a Task of any of these. A failed Result, or an exception that escapes,
// ends the calling process with a trap that carries the message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/error.hpp"
#include "weft/task.hpp"
#include "weft/value.hpp"

namespace weft {

class Process;

// The guest that calls. Valid during the call; in a Task, valid between its start and its end, on whichever worker runs it. But what
// memory() returned is stale after every co_await: the guest's memory may have moved or grown, so ask again.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual std::uint64_t process_id() const noexcept = 0;
  // The exported memory named "memory"; empty when there is none.
  virtual std::span<std::byte> memory() = 0;
  // `size` bytes at `address` of it; nothing when they are not all inside.
  std::optional<std::span<std::byte>> bytes(std::uint32_t address, std::uint32_t size) {
    std::span<std::byte> all = memory();
    if (address > all.size() || size > all.size() - address) return std::nullopt;
    return all.subspan(address, size);
  }
};

namespace detail {

template <class T>
struct ValueOf;  // no definition: not a type that crosses the boundary
template <>
struct ValueOf<std::int32_t> {
  static constexpr ValueType kType = ValueType::kI32;
  static std::int32_t from(const Value& v) { return std::get<std::int32_t>(v); }
  static Value to(std::int32_t v) { return v; }
};
template <>
struct ValueOf<std::uint32_t> {
  static constexpr ValueType kType = ValueType::kI32;
  static std::uint32_t from(const Value& v) { return static_cast<std::uint32_t>(std::get<std::int32_t>(v)); }
  static Value to(std::uint32_t v) { return static_cast<std::int32_t>(v); }
};
template <>
struct ValueOf<std::int64_t> {
  static constexpr ValueType kType = ValueType::kI64;
  static std::int64_t from(const Value& v) { return std::get<std::int64_t>(v); }
  static Value to(std::int64_t v) { return v; }
};
template <>
struct ValueOf<std::uint64_t> {
  static constexpr ValueType kType = ValueType::kI64;
  static std::uint64_t from(const Value& v) { return static_cast<std::uint64_t>(std::get<std::int64_t>(v)); }
  static Value to(std::uint64_t v) { return static_cast<std::int64_t>(v); }
};
template <>
struct ValueOf<float> {
  static constexpr ValueType kType = ValueType::kF32;
  static float from(const Value& v) { return std::get<float>(v); }
  static Value to(float v) { return v; }
};
template <>
struct ValueOf<double> {
  static constexpr ValueType kType = ValueType::kF64;
  static double from(const Value& v) { return std::get<double>(v); }
  static Value to(double v) { return v; }
};

template <class T>
struct Unwrap {  // Result<T> -> T
  using Type = T;
  static constexpr bool kFallible = false;
};
template <class T>
struct Unwrap<std::expected<T, Error>> {
  using Type = T;
  static constexpr bool kFallible = true;
};
template <class T>
struct IsTask : std::false_type {
  using Value = T;
};
template <class T>
struct IsTask<Task<T>> : std::true_type {
  using Value = T;
};

// What a call came to: the result (none for void), or why it trapped.
using HostResult = Result<std::optional<Value>>;

template <class R>
HostResult host_result(R&& value) {
  using U = Unwrap<std::decay_t<R>>;
  if constexpr (U::kFallible) {
    if (!value) return std::unexpected<Error>(std::move(value.error()));
    if constexpr (std::is_void_v<typename U::Type>) {
      return std::optional<Value>();
    } else {
      return std::optional<Value>(ValueOf<typename U::Type>::to(*value));
    }
  } else {
    return std::optional<Value>(ValueOf<std::decay_t<R>>::to(value));
  }
}

// A call that waits, and the coroutine that it is.
class HostCall {
 public:
  virtual ~HostCall() = default;
  virtual bool poll(TaskContext& context) = 0;  // true when it is over
  virtual HostResult take() = 0;                // then, once; throws what escaped
};

template <class T>
class HostTask final : public HostCall {
 public:
  explicit HostTask(Task<T> task) : task_(std::move(task)) {
    chain_.top = task_.handle();
    task_.handle().promise().chain = &chain_;
  }
  bool poll(TaskContext& context) override { return chain_.poll(context, task_.handle()); }
  HostResult take() override {
    if constexpr (std::is_void_v<T>) {
      task_.handle().promise().take();
      return std::optional<Value>();
    } else {
      return host_result(task_.handle().promise().take());
    }
  }

 private:
  Task<T> task_;
  Chain chain_;
};

template <class T>
struct Signature;
template <class R, class... A>
struct Signature<R (*)(Caller&, A...)> {
  using Result = R;
  using Arguments = std::tuple<std::decay_t<A>...>;
};
template <class C, class R, class... A>
struct Signature<R (C::*)(Caller&, A...) const> : Signature<R (*)(Caller&, A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(Caller&, A...)> : Signature<R (*)(Caller&, A...)> {};
template <class F>
  requires requires { &F::operator(); }
struct Signature<F> : Signature<decltype(&F::operator())> {};

}  // namespace detail

class HostFunctions {
 public:
  struct Function {
    std::string module{};
    std::string name{};
    std::vector<ValueType> parameters{};
    std::optional<ValueType> result{};
    // One that never waits. Then the others are not set.
    std::function<detail::HostResult(Caller&, std::span<const Value>)> immediate;
    // One that may wait begins.
    std::function<std::unique_ptr<detail::HostCall>(Caller&, std::span<const Value>)> waiting;
    // Asked before that, if it is set.
    std::function<std::optional<detail::HostResult>(Caller&, std::span<const Value>)> attempt;
  };

  // A later definition of the same name replaces the earlier one.
  template <class F>
  void define(std::string module, std::string name, F function) {
    using S = detail::Signature<std::decay_t<F>>;
    define_as<typename S::Result>(std::move(module), std::move(name), std::move(function),
                                  static_cast<typename S::Arguments*>(nullptr));
  }

  // One that may wait, and often need not: `attempt` takes the same, and answers std::optional of what the Task of `function` would, or, having done nothing, nothing:
  // then `function` is called. A call that is answered at once makes no coroutine, which is most of what a short one costs.
  template <class A, class F>
  void define(std::string module, std::string name, A attempt, F function) {
    define(std::move(module), std::move(name), std::move(function));
    add_attempt(std::move(attempt), static_cast<typename detail::Signature<std::decay_t<F>>::Arguments*>(nullptr),
                static_cast<typename detail::Signature<std::decay_t<F>>::Result*>(nullptr));
  }

  // The same as it is kept.
  void add(Function function);
  const std::vector<Function>& all() const noexcept { return functions_; }

 private:
  // To the one that was added last.
  template <class F, class... A, class T>
  void add_attempt(F attempt, std::tuple<A...>*, Task<T>*) {
    functions_.back().attempt = [attempt = std::move(attempt)](Caller& caller, std::span<const Value> values) mutable {
      return [&]<std::size_t... I>(std::index_sequence<I...>) -> std::optional<detail::HostResult> {
        std::optional<T> answer = attempt(caller, detail::ValueOf<A>::from(values[I])...);
        if (!answer) return std::nullopt;
        return detail::host_result(*std::move(answer));
      }(std::index_sequence_for<A...>());
    };
  }

  template <class R, class F, class... A>
  void define_as(std::string module, std::string name, F function, std::tuple<A...>*) {
    Function entry;
    entry.module = std::move(module);
    entry.name = std::move(name);
    entry.parameters = {detail::ValueOf<A>::kType...};
    using Inner = typename detail::IsTask<R>::Value;
    using Plain = typename detail::Unwrap<Inner>::Type;
    if constexpr (!std::is_void_v<Plain>) entry.result = detail::ValueOf<Plain>::kType;
    auto call = [function = std::move(function)](Caller& caller, std::span<const Value> values) mutable -> R {
      return [&]<std::size_t... I>(std::index_sequence<I...>) -> R {
        return function(caller, detail::ValueOf<A>::from(values[I])...);
      }(std::index_sequence_for<A...>());
    };
    if constexpr (detail::IsTask<R>::value) {
      entry.waiting = [call = std::move(call)](Caller& caller, std::span<const Value> values) mutable {
        return std::unique_ptr<detail::HostCall>(std::make_unique<detail::HostTask<Inner>>(call(caller, values)));
      };
    } else if constexpr (std::is_void_v<R>) {
      entry.immediate = [call = std::move(call)](Caller& caller, std::span<const Value> values) mutable {
        call(caller, values);
        return detail::HostResult(std::optional<Value>());
      };
    } else {
      entry.immediate = [call = std::move(call)](Caller& caller, std::span<const Value> values) mutable {
        return detail::host_result(call(caller, values));
      };
    }
    add(std::move(entry));
  }

  std::vector<Function> functions_{};
};

}  // namespace weft
