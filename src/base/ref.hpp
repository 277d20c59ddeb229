// Ref<T>: an owning pointer to an object that counts its own references through retain() and release().
//
//   base::Ref<Task> task = base::make_ref<Sleeper>(5);
//
// A Ref itself is used by one thread at a time; the counts are the object's affair (sched::Task's are atomic).
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace weft::base {

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): null is null
  // Takes another reference to an object that somebody keeps alive.
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) object_->retain();
  }
  // Takes over a reference that the caller already owns.
  static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U> other) : object_(other.leak()) {}  // NOLINT(google-explicit-constructor): a derived one is a base one
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->release();
  }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Gives the reference up without releasing it: the caller owns it now.
  [[nodiscard]] T* leak() { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

// A new object starts with one reference, which the result owns.
template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>::adopt(new T(std::forward<Args>(args)...));
}

}  // namespace weft::base
