// Bytes: what a message carries. Immutable; up to 64 bytes lie inside the object, more are shared by reference count.
//
//   weft::Bytes hello = weft::Bytes::copy_of("hello");
//   weft::Bytes frame = weft::Bytes::adopt(std::move(vector));         // no copy: it keeps the vector's memory
//   weft::Bytes page = weft::Bytes::make(4096, [](std::span<std::byte> to) { … });
//
// A copy costs at most 72 bytes or one counter, whatever the size; a move never allocates. Different objects may be used by different
// threads, also when they share their bytes; one object by one thread at a time. What makes them throws std::bad_alloc, as containers do.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft {

class Bytes {
 public:
  // The most that is kept inside the object.
  static constexpr std::size_t kInlineMax = 64;

  Bytes() noexcept = default;
  Bytes(Bytes&& other) noexcept : size_(std::exchange(other.size_, 0)) { std::memcpy(storage_, other.storage_, kInlineMax); }
  Bytes(const Bytes& other) noexcept : size_(other.size_) {
    std::memcpy(storage_, other.storage_, kInlineMax);
    if (size_ > kInlineMax) retain();
  }
  Bytes& operator=(Bytes&& other) noexcept {
    if (this != &other) {
      if (size_ > kInlineMax) release();
      size_ = std::exchange(other.size_, 0);
      std::memcpy(storage_, other.storage_, kInlineMax);
    }
    return *this;
  }
  Bytes& operator=(const Bytes& other) noexcept {
    if (this != &other) *this = Bytes(other);
    return *this;
  }
  ~Bytes() {
    if (size_ > kInlineMax) release();
  }

  static Bytes copy_of(std::span<const std::byte> bytes);
  static Bytes copy_of(std::string_view text) { return copy_of(std::as_bytes(std::span(text.data(), text.size()))); }
  // Keep the memory they are given, if they are large.
  static Bytes adopt(std::vector<std::byte> bytes);
  static Bytes adopt(std::string text);
  // `size` bytes, which `fill` writes in place before anybody else sees them. They hold nothing of use before; it must write all.
  template <class Fill>
  static Bytes make(std::size_t size, Fill&& fill) {
    Bytes made;
    std::byte* const at = made.room(size);
    std::forward<Fill>(fill)(std::span<std::byte>(at, size));
    return made;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  // Valid until this object is changed, moved from or destroyed.
  std::span<const std::byte> view() const noexcept { return {size_ > kInlineMax ? large().data : storage_, size_}; }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(view().data()), size_}; }

  // The same bytes, not only equal ones: for those who want to know whether a copy was made. False for small ones.
  bool shares_with(const Bytes& other) const noexcept {
    return size_ > kInlineMax && other.size_ > kInlineMax && large().block == other.large().block;
  }
  friend bool operator==(const Bytes& one, const Bytes& other) noexcept { return one.text() == other.text(); }

 private:
  struct Block;
  struct Large {
    Block* block = nullptr;  // counted
    const std::byte* data = nullptr;
  };
  Large large() const noexcept {
    Large large;
    std::memcpy(&large, storage_, sizeof large);
    return large;
  }
  void set_large(Block* block, const std::byte* data, std::size_t size) noexcept {
    const Large large{block, data};
    std::memcpy(storage_, &large, sizeof large);
    size_ = size;
  }
  // Of an empty one.
  std::byte* room(std::size_t size) {
    if (size > kInlineMax) return large_room(size);
    size_ = size;
    return storage_;
  }
  std::byte* large_room(std::size_t size);
  void retain() const noexcept;
  void release() const noexcept;
  template <class Container>
  static Bytes keep(Container container);

  std::size_t size_ = 0;  // above kInlineMax: storage_ holds a Large
  alignas(std::max_align_t) std::byte storage_[kInlineMax];
};

}  // namespace weft
