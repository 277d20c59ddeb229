// Intrusive lists: the links live in the elements, so that linking allocates nothing and an element can be taken out in O(1).
//
//   struct Waiter : base::ListHook<struct WaiterLink> { … };
//   base::List<Waiter, WaiterLink> waiters;
//   waiters.push_back(waiter);
//
// The tag names the link: an element derives from one hook for each list that it can be in. Lists never own. Not thread-safe:
// whoever owns the list guards it. An element must be out of the list when it dies (asserted).
#pragma once

#include "base/assert.hpp"

namespace weft::base {

template <class Tag>
class ListHook {
 public:
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { WEFT_ASSERT(next_ == nullptr, "an element died while it was in a list"); }
  bool linked() const { return next_ != nullptr; }

 private:
  template <class, class>
  friend class List;
  ListHook* next_ = nullptr;
  ListHook* previous_ = nullptr;
};

// A doubly linked ring around a sentinel: push, pop and unlink have no special cases.
template <class T, class Tag>
class List {
 public:
  List() { head_.next_ = head_.previous_ = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    WEFT_ASSERT(empty(), "a list died with elements in it");
    head_.next_ = head_.previous_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }
  void push_back(T& element) { link(&head_, element); }
  void push_front(T& element) { link(head_.next_, element); }
  T* front() { return owner(head_.next_); }
  // `element` comes right before `next`, which is in this list.
  void insert_before(T& next, T& element) { link(&static_cast<Hook&>(next), element); }
  // The one behind `element`, null at the end.
  T* next(T& element) { return owner(static_cast<Hook&>(element).next_); }
  T* pop_front() {
    T* const first = front();
    if (first != nullptr) remove(*first);
    return first;
  }
  // Takes `element` out of whichever list of this type holds it.
  static void remove(T& element) {
    Hook& hook = element;
    WEFT_DEBUG_ASSERT(hook.linked(), "removing an element that is in no list");
    hook.previous_->next_ = hook.next_;
    hook.next_->previous_ = hook.previous_;
    hook.next_ = hook.previous_ = nullptr;
  }
  // Moves all of `other` to the back of this one.
  void splice_back(List& other) {
    if (other.empty()) return;
    Hook* const first = other.head_.next_;
    Hook* const last = other.head_.previous_;
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
    other.head_.next_ = other.head_.previous_ = &other.head_;
  }

 private:
  using Hook = ListHook<Tag>;

  static void link(Hook* before, Hook& hook) {
    WEFT_DEBUG_ASSERT(!hook.linked(), "an element cannot be in a list twice");
    hook.next_ = before;
    hook.previous_ = before->previous_;
    before->previous_->next_ = &hook;
    before->previous_ = &hook;
  }
  T* owner(Hook* hook) { return hook == &head_ ? nullptr : static_cast<T*>(hook); }

  Hook head_;
};

}  // namespace weft::base
