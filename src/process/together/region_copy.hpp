// Copies between memory that others change meanwhile and memory that they do not. On the shared side every access is a relaxed atomic one: 8 bytes at a time where it is
// aligned, in blocks of a cache line, single bytes at the ends.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace weft::process {

inline constexpr std::size_t kCopyWord = sizeof(std::uint64_t);
inline constexpr std::size_t kCopyBlock = 8 * kCopyWord;

// Bytes up to the next word of the shared side.
inline std::size_t bytes_to_word(const std::byte* shared, std::size_t size) {
  return std::min(size, (kCopyWord - reinterpret_cast<std::uintptr_t>(shared) % kCopyWord) % kCopyWord);
}

template <class T>
T load_relaxed(const std::byte* at) {
  // An atomic_ref to const comes with C++26.
  return std::atomic_ref<T>(*reinterpret_cast<T*>(const_cast<std::byte*>(at))).load(std::memory_order_relaxed);
}
template <class T>
void store_relaxed(std::byte* at, T value) {
  std::atomic_ref<T>(*reinterpret_cast<T*>(at)).store(value, std::memory_order_relaxed);
}

// Written out, so that there is one branch a block.
template <class CopyWord>
void each_word_of_block(std::size_t at, const CopyWord& copy_word) {
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    (copy_word(at + kIndex * kCopyWord), ...);
  }(std::make_index_sequence<kCopyBlock / kCopyWord>());
}

// The shared side begins at a word after `head` bytes.
template <class CopyByte, class CopyWord>
void copy_shared(std::size_t size, std::size_t head, const CopyByte& copy_byte, const CopyWord& copy_word) {
  std::size_t at = 0;
  for (; at < head; ++at) copy_byte(at);
  for (; size - at >= kCopyBlock; at += kCopyBlock) each_word_of_block(at, copy_word);
  for (; size - at >= kCopyWord; at += kCopyWord) copy_word(at);
  for (; at < size; ++at) copy_byte(at);
}

inline void copy_from_shared(std::byte* to, const std::byte* shared, std::size_t size) {
  copy_shared(
      size, bytes_to_word(shared, size), [=](std::size_t at) { to[at] = load_relaxed<std::byte>(shared + at); },
      [=](std::size_t at) {
        const auto word = load_relaxed<std::uint64_t>(shared + at);
        std::memcpy(to + at, &word, kCopyWord);
      });
}

inline void copy_to_shared(std::byte* shared, const std::byte* from, std::size_t size) {
  copy_shared(
      size, bytes_to_word(shared, size), [=](std::size_t at) { store_relaxed(shared + at, from[at]); },
      [=](std::size_t at) {
        std::uint64_t word = 0;
        std::memcpy(&word, from + at, kCopyWord);
        store_relaxed(shared + at, word);
      });
}

}  // namespace weft::process
