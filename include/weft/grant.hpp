// Grants: what the host gives a process when it spawns it, each under a name by which the guest asks for it (import module weft_process, `granted`).
//
//   weft::Channel jobs = *weft::make_channel();
//   runtime.spawn(*program, {.grants = {{"jobs", jobs.receiver}}});        // weft_granted("jobs", 4) in the guest
//
// A grant is the process's from its spawn to its end, or until the guest drops it: its sender counts as a sender, its receiver as a receiver, whether the guest has
// asked for it or not. So with the process they go, and a channel whose last sender was killed is closed. A Grant that the host keeps (in a SpawnOptions, say)
// is an end of its own, as any copy is. A plain value.
#pragma once

#include <string>
#include <variant>

#include "weft/channel.hpp"
#include "weft/shared_region.hpp"

namespace weft {

struct Grant {
  std::string name{};  // 1 to 255 bytes; no two grants of a process have the same
  std::variant<Sender, Receiver, SharedRegion> what{};
};

}  // namespace weft
