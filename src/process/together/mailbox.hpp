// MailboxState: the mailbox behind weft::Mailbox. What it promises is said there; how it does it, in mailbox_queue.hpp.
#pragma once

#include "process/together/mailbox_queue.hpp"
#include "sync/sleeper.hpp"
#include "sync/waitable.hpp"
#include "weft/mailbox.hpp"

namespace weft {

// Found from within the mailbox, by their types.
bool passes(const MessageFilter& filter, const Message& message);

namespace detail {

struct MailSender final : BasicMailSender<sync::Sleeper, Message> {
  using BasicMailSender::BasicMailSender;
};
struct MailReceiver final : BasicMailReceiver<sync::Sleeper, Message, MessageFilter> {
  using BasicMailReceiver::BasicMailReceiver;
};

extern template class BasicMailbox<sync::Sleeper, Message, MessageFilter, sync::CountedSource>;

class MailboxState final : public BasicMailbox<sync::Sleeper, Message, MessageFilter, sync::CountedSource> {
 public:
  using BasicMailbox::BasicMailbox;

 private:
  ~MailboxState() override = default;
};

}  // namespace detail
}  // namespace weft
