// Links and monitors: how processes, and the host, hear of the ends of others. As in Erlang.
//
//   (void)weft::link(reader, writer);                   // if one fails, so does the other
//   weft::Result<weft::MonitorId> id = weft::monitor(manager, worker);     // its end becomes a message in the manager's mailbox
//   weft::monitor(worker, [](const weft::Process& who, const weft::ExitReason& why) { … });    // the host is told
//
// A link has two ends that are alike. When one process ends abnormally (ExitReason::normal() is false) the other is killed, "by linked process 12
// (worker) trapped: …"; what is linked to that one hears the same words. A process that traps exits is not killed: it gets a message instead
// (MessageKind::kExit), of normal ends as well. A circle of links ends each of its processes once.
//
// A monitor has a watcher and a target. When the target ends, in whichever way, the watcher gets one message (MessageKind::kDown).
//
// A process has ended once its status is published (joins return, its output is out). By then its names are free and its mailbox is closed; links and monitors
// hear of it right after. All functions may be called from any thread, and never wait.
#pragma once

#include <functional>

#include "weft/error.hpp"
#include "weft/mailbox.hpp"
#include "weft/message.hpp"
#include "weft/process.hpp"

namespace weft {

// Nothing more happens if they are linked already, or are the same one. kNotFound: one of them has ended (the other is left alone).
// kExhausted: MailboxLimits::notices of one of them. kBadArgument: of two runtimes, or empty.
Result<void> link(const Process& one, const Process& other);
// After it neither hears of the other's end by the link; a message that has come stays. False: they were not linked.
bool unlink(const Process& one, const Process& other);
// From now on `process` gets messages instead of being killed, or not any more.
void trap_exits(const Process& process, bool traps);

// Each call makes another one. If the target has ended the message comes at once, with ExitReason::no_process. kNotFound: the watcher has ended.
// kExhausted: MailboxLimits::notices of the watcher. kBadArgument: of two runtimes, or empty.
Result<MonitorId> monitor(const Process& watcher, const Process& target);
// After it nothing more comes of the monitor; with `flush`, a message that has come is taken out. False: there was no such monitor (any more).
bool demonitor(const Process& watcher, MonitorId id, bool flush = true);

// Calls `told` once, on the thread that publishes the end, outside of all locks; here and now if it has ended. It may not park.
MonitorId monitor(const Process& target, std::function<void(const Process&, const ExitReason&)> told);
// False: it was told, or is being told right now.
bool demonitor_host(const Process& target, MonitorId id);

}  // namespace weft
