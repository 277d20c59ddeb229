#include "process/together/mailbox.hpp"

#include <algorithm>

namespace weft {

bool passes(const MessageFilter& filter, const Message& message) {
  if (filter.kind && *filter.kind != message.kind) return false;
  if (filter.sender && *filter.sender != message.sender) return false;
  if (filter.monitor && *filter.monitor != message.monitor) return false;
  if (filter.tags.empty()) return true;
  return message.kind == MessageKind::kUser && std::ranges::find(filter.tags, message.tag) != filter.tags.end();
}

template class detail::BasicMailbox<sync::Sleeper, Message, MessageFilter, sync::CountedSource>;

}  // namespace weft
