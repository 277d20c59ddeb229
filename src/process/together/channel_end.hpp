// ChannelEnd: an end of a channel as a guest holds it, by a handle or a grant. It is a sender or a receiver as a handle of the host is: copies that other
// processes are granted are ends of their own.
#pragma once

#include <memory>
#include <utility>

#include "process/together/shareable.hpp"
#include "weft/channel.hpp"

namespace weft::process {

class ChannelEnd final : public Shareable {
 public:
  // `maker`: the guest has made the channel, and may have more receivers of it.
  explicit ChannelEnd(Sender of, bool maker = false) : sender(std::move(of)), subscribes(maker) {}
  explicit ChannelEnd(Receiver of) : receiver(std::move(of)) {}

  std::shared_ptr<Shareable> for_another() const override {
    if (sender) return std::make_shared<ChannelEnd>(sender);
    return std::make_shared<ChannelEnd>(receiver);
  }

  // One of the two is empty.
  const Sender sender;
  const Receiver receiver;
  const bool subscribes = false;
};

}  // namespace weft::process
