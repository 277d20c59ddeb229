#include "cli/up/plan/channels.hpp"

#include <algorithm>
#include <utility>

#include "cli/up/plan/plan.hpp"

namespace weft::cli {
namespace {

// As they are checked, each makes a channel.
std::shared_ptr<const PlannedChannel> make(const ManifestChannel& channel) {
  Result<Channel> made = make_channel(options_of(channel));
  auto planned = std::make_shared<PlannedChannel>();
  planned->signature = channel.signature;
  if (!made) return planned;
  planned->channel = std::move(*made);
  if (channel.kind == ChannelKind::kBroadcast) planned->channel.receiver = {};
  return planned;
}

}  // namespace

ChannelOptions options_of(const ManifestChannel& channel) {
  ChannelOptions options;
  options.kind = channel.kind;
  options.slow_receiver = channel.slow_receiver;
  if (channel.capacity) options.capacity = *channel.capacity;
  if (channel.bytes_max) options.bytes_max = *channel.bytes_max;
  return options;
}

void connect_channels(const Manifest& manifest, const Plan* before, Plan& plan) {
  for (auto& [path, child] : plan.children) child.ends.clear();
  for (const ManifestChannel& channel : manifest.channels) {
    std::shared_ptr<const PlannedChannel> planned;
    if (before != nullptr) {
      const auto same = before->channels.find(channel.name);
      if (same != before->channels.end() && same->second->signature == channel.signature) planned = same->second;
    }
    if (!planned) planned = make(channel);
    plan.channels.emplace(channel.name, planned);
    for (const std::string& path : channel.from) plan.children.at(path).ends.push_back({channel.name, planned, true});
    for (const std::string& path : channel.to) plan.children.at(path).ends.push_back({channel.name, planned, false});
  }
  for (auto& [path, child] : plan.children) std::ranges::sort(child.ends, {}, &PlannedEnd::name);
}

std::vector<Grant> grants_of(const std::vector<PlannedEnd>& ends) {
  std::vector<Grant> grants;
  for (const PlannedEnd& end : ends) {
    const Channel& channel = end.of->channel;
    if (end.sends) {
      grants.push_back({.name = end.name, .what = channel.sender});
    } else {
      grants.push_back({.name = end.name, .what = channel.receiver ? channel.receiver : channel.sender.subscribe()});
    }
  }
  return grants;
}

std::string signature_of(const std::vector<PlannedEnd>& ends) {
  std::string text;
  for (const PlannedEnd& end : ends) text += (end.sends ? "\nsends to " : "\nreceives from ") + end.name + "\n" + end.of->signature;
  return text;
}

}  // namespace weft::cli
