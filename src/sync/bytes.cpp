#include "weft/bytes.hpp"

#include <memory>
#include <new>

#include "base/atomic.hpp"

namespace weft {

// What several Bytes share. The bytes lie behind it, or in a container that a derived one owns.
struct Bytes::Block {
  explicit Block(void (*how)(Block*)) : destroy(how) {}
  // Writers: whoever retains and releases. acq_rel in release: the last one sees what the others read and wrote.
  base::atomic<std::size_t> references{1};
  void (*const destroy)(Block*);
};

void Bytes::retain() const noexcept { large().block->references.fetch_add(1, std::memory_order_relaxed); }

void Bytes::release() const noexcept {
  Block* const block = large().block;
  if (block->references.fetch_sub(1, std::memory_order_acq_rel) == 1) block->destroy(block);
}

std::byte* Bytes::large_room(std::size_t size) {
  if (size > SIZE_MAX - sizeof(Block)) throw std::bad_alloc();
  void* const memory = ::operator new(sizeof(Block) + size);
  auto* const block = new (memory) Block([](Block* dead) {
    dead->~Block();
    ::operator delete(dead);
  });
  auto* const data = static_cast<std::byte*>(memory) + sizeof(Block);
  set_large(block, data, size);
  return data;
}

Bytes Bytes::copy_of(std::span<const std::byte> bytes) {
  return make(bytes.size(), [&](std::span<std::byte> to) {
    if (!bytes.empty()) std::memcpy(to.data(), bytes.data(), bytes.size());
  });
}

template <class Container>
Bytes Bytes::keep(Container container) {
  if (container.size() <= kInlineMax) return copy_of(std::as_bytes(std::span(container.data(), container.size())));
  struct Keeping final : Block {
    explicit Keeping(Container&& given) : Block([](Block* dead) { delete static_cast<Keeping*>(dead); }), kept(std::move(given)) {}
    Container kept;
  };
  auto owner = std::make_unique<Keeping>(std::move(container));
  const std::span<const std::byte> bytes = std::as_bytes(std::span(owner->kept.data(), owner->kept.size()));
  Bytes made;
  made.set_large(owner.release(), bytes.data(), bytes.size());
  return made;
}

Bytes Bytes::adopt(std::vector<std::byte> bytes) { return keep(std::move(bytes)); }
Bytes Bytes::adopt(std::string text) { return keep(std::move(text)); }

}  // namespace weft
