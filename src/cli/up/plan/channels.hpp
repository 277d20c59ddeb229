// The channels of a system: made by weft up, kept open while it runs, and given to the children that they name.
//
//   connect_channels(manifest, &before, plan);          // the same channels go on, with what is in them
//   options.grants = grants_of(plan.children.at(path).ends);   // at each start of a child
//
// A channel is the same as long as what stands in the manifest is. Ends are copies, so the restart of a child closes nothing. Of a broadcast each start is a new
// receiver, and weft up has none itself: it would hold back the senders. Any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/up/manifest/manifest.hpp"
#include "weft/channel.hpp"
#include "weft/grant.hpp"

namespace weft::cli {

struct Plan;

struct PlannedChannel {
  std::string signature;
  Channel channel;  // of a broadcast without its receiver
};

// What a child has of a channel.
struct PlannedEnd {
  std::string name;
  std::shared_ptr<const PlannedChannel> of;
  bool sends = false;
};

// Of a channel that was checked.
ChannelOptions options_of(const ManifestChannel& channel);

// Puts the channels into the plan, and their ends to its children, which are there already. Those that are the same in `before`, if given, are taken from there.
void connect_channels(const Manifest& manifest, const Plan* before, Plan& plan);

std::vector<Grant> grants_of(const std::vector<PlannedEnd>& ends);

// Equal: the child has the same ends.
std::string signature_of(const std::vector<PlannedEnd>& ends);

}  // namespace weft::cli
