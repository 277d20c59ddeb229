// What a task is to watchers, wait sets and channels, under the model checker: counted, parked and woken.
// Header for model tests only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <utility>

#include <gtest/gtest.h>

#include "base/model/model.hpp"

namespace weft::sync::testing {

using base::model::check;
using base::model::Outcome;
using base::model::Scenario;

inline Outcome explore(base::model::Options options, const std::function<void(Scenario&)>& scenario) {
  if (base::model::kUnderThreadSanitizer) options.runs_max = std::min<uint64_t>(options.runs_max, 2'000);
  return base::model::explore(options, scenario);
}

inline void expect_passed(const Outcome& outcome) {
  EXPECT_TRUE(outcome.passed) << outcome.failure;
  EXPECT_TRUE(outcome.exhaustive || base::model::kUnderThreadSanitizer);
  EXPECT_GT(outcome.runs, 100U);
}

// Its fields are no atomics: what they say is not a part of what is explored, except for the parker.
class Person {
 public:
  void retain() { check(references_++ > 0, "somebody who is gone was referred to"); }
  void release() { check(references_-- > 0, "a reference was let go twice"); }
  void wake() {
    check(references_ > 0, "somebody who is gone was woken");
    parker_.unpark();
  }
  void park() { parker_.park(); }
  bool gone() const { return references_ == 0; }

 private:
  int references_ = 1;
  base::model::Parker parker_;
};

class ModelSleeper {
 public:
  ModelSleeper() = default;
  explicit ModelSleeper(Person& person) : person_(&person) {}
  void retain() const { person_->retain(); }
  void release() const { person_->release(); }
  void wake() const { person_->wake(); }

 private:
  Person* person_ = nullptr;
};

// Memory for an object that lives for a while, filled with a pattern before and after: so a late touch shows.
template <class T>
class Room {
 public:
  Room() { fill(); }
  template <class... Args>
  T& make(Args&&... args) {
    return *(object_ = new (memory_) T(std::forward<Args>(args)...));
  }
  T& operator*() { return *object_; }
  T* operator->() { return object_; }
  void end() {
    object_->~T();
    object_ = nullptr;
    fill();
  }
  bool untouched() const {
    return std::all_of(std::begin(memory_), std::end(memory_), [](std::byte byte) { return byte == kPattern; });
  }

 private:
  static constexpr std::byte kPattern{0xA5};
  void fill() { std::fill(std::begin(memory_), std::end(memory_), kPattern); }
  alignas(T) std::byte memory_[sizeof(T)];
  T* object_ = nullptr;
};

// Lists with entries in them must not die (that is asserted), but a schedule that has failed leaves some. Then what it was about is
// abandoned, as its stacks are.
struct Abandonable {
  bool ended = false;  // at_end was reached, where all is checked
};
template <class World, class... Args>
std::shared_ptr<World> make_world(Args&&... args) {
  return std::shared_ptr<World>(new World(std::forward<Args>(args)...), [](World* world) {
    if (world->ended) delete world;
  });
}

}  // namespace weft::sync::testing
