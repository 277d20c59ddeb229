// Shows that a reload takes away and adds what has changed, in an order that fits, and nothing else.
#include "cli/up/plan/reload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Manifest manifest_of(const std::string& text) {
  std::expected<Manifest, Mistakes> manifest = parse_manifest(text, "m.toml");
  EXPECT_TRUE(manifest) << manifest.error().error().message << manifest.error().error().detail;
  return *manifest;
}

// As if every module had been compiled; `version` is that of all of them.
void plan(const ManifestGroup& group, const std::string& above, std::int64_t version, Plan& out) {
  for (const ManifestMember& member : group.members) {
    if (const ManifestChild* child = member.child()) {
      out.children.emplace(above + child->id, PlannedChild{{}, {version, 1}, child->signature, nullptr});
    } else {
      plan(*member.group(), above + member.id() + "/", version, out);
    }
  }
}

struct Told {
  std::vector<std::string> steps;
  std::string summary;
  std::vector<std::string> kept_channels = {};
  std::vector<std::string> kept_regions = {};
  std::vector<std::string> regions = {};
};

Told reload(const std::string& before, const std::string& after, std::int64_t version = 1) {
  const Manifest was = manifest_of(before);
  const Manifest is = manifest_of(after);
  Plan plan_was;
  Plan plan_is;
  Told told;
  plan(was.root, "", 1, plan_was);
  plan(is.root, "", version, plan_is);
  connect_channels(was, nullptr, plan_was);
  connect_channels(is, &plan_was, plan_is);
  EXPECT_THAT(make_regions(was, nullptr, plan_was), IsEmpty());
  EXPECT_THAT(make_regions(is, &plan_was, plan_is), IsEmpty());
  for (const auto& [name, region] : plan_is.regions) {
    const auto old = plan_was.regions.find(name);
    if (old != plan_was.regions.end() && old->second.state() == region.state()) told.kept_regions.push_back(name);
  }
  for (const auto& [name, channel] : plan_is.channels) {
    const auto old = plan_was.channels.find(name);
    if (old != plan_was.channels.end() && old->second == channel) told.kept_channels.push_back(name);
  }
  const Reload found = plan_reload(was, plan_was, is, plan_is);
  told.summary = found.refused.empty() ? summary_of(found) : found.refused;
  told.regions = found.regions;
  for (const ReloadStep& step : found.steps) {
    told.steps.push_back((step.add ? "+" : "-") + step.group + step.id);
    EXPECT_EQ(step.add, step.child != nullptr || step.members != nullptr);
  }
  return told;
}

std::string child(const std::string& id, const std::string& more = "", const std::string& table = "child") {
  return "[[" + table + "]]\nid = '" + id + "'\nmodule = '" + id + ".wasm'\n" + more;
}

const std::string kTop = "name = 's'\n";

TEST(Reload, OfTheSameChangesNothing) {
  const Told told = reload(kTop + child("a") + child("b"), kTop + "# new\nlog-lines = 3\n" + child("b") + child("a"));
  EXPECT_THAT(told.steps, IsEmpty());
  EXPECT_EQ(told.summary, "nothing has changed");
}

TEST(Reload, AddsTakesAwayAndChanges) {
  const Told told =
      reload(kTop + child("a") + child("b") + child("c"), kTop + child("a") + child("c", "max-memory = '1MiB'\n") + child("d"));
  EXPECT_THAT(told.steps, ElementsAre("-c", "-b", "+c", "+d"));
  EXPECT_EQ(told.summary, "1 added, 1 removed, 1 changed");
}

TEST(Reload, ANewModuleInTheSamePlaceIsAChange) {
  EXPECT_THAT(reload(kTop + child("a"), kTop + child("a"), 2).steps, ElementsAre("-a", "+a"));
}

TEST(Reload, MoreOrFewerCopiesLeaveTheOthers) {
  EXPECT_THAT(reload(kTop + child("a", "copies = 2\n"), kTop + child("a", "copies = 4\n")).steps, ElementsAre("+a#3", "+a#4"));
  EXPECT_THAT(reload(kTop + child("a", "copies = 4\n"), kTop + child("a", "copies = 2\n")).steps, ElementsAre("-a#4", "-a#3"));
}

TEST(Reload, GoesIntoGroups) {
  const std::string group = "[[group]]\nid = 'g'\n";
  const Told told = reload(kTop + group + child("x", "", "group.child") + child("y", "", "group.child"),
                           kTop + group + child("x", "fuel = 1\n", "group.child") + child("y", "", "group.child"));
  EXPECT_THAT(told.steps, ElementsAre("-g/x", "+g/x"));
  // Other rules: the group as a whole.
  const Told rules =
      reload(kTop + group + child("x", "", "group.child"), kTop + group + "period = '3s'\n" + child("x", "", "group.child"));
  EXPECT_THAT(rules.steps, ElementsAre("-g", "+g"));
}

TEST(Reload, WhereTheOrderCountsAllThatFollowsIsStartedAnew) {
  const std::string top = kTop + "strategy = 'rest_for_one'\n";
  const Told told = reload(top + child("a") + child("b") + child("c"), top + child("a") + child("b", "fuel = 1\n") + child("c"));
  EXPECT_THAT(told.steps, ElementsAre("-c", "-b", "+b", "+c"));
}

TEST(Reload, AChildMayBecomeAGroup) {
  const Told told = reload(kTop + child("a"), kTop + "[[group]]\nid = 'a'\n" + child("x", "", "group.child"));
  EXPECT_THAT(told.steps, ElementsAre("-a", "+a"));
}

std::string channel(const std::string& name, const std::string& from, const std::string& to, const std::string& more = "") {
  return "[[channel]]\nname = '" + name + "'\nfrom = '" + from + "'\nto = '" + to + "'\n" + more;
}

TEST(Reload, AChannelThatChangedStartsThoseItNamesAnew) {
  const std::string children = kTop + child("a") + child("b") + child("c") + child("d");
  const std::string kept = channel("kept", "a", "d");
  const Told more = reload(children + kept + channel("x", "a", "b"), children + channel("x", "a", "b", "capacity = 3\n") + kept);
  EXPECT_THAT(more.steps, ElementsAre("-b", "-a", "+a", "+b"));
  EXPECT_THAT(more.kept_channels, ElementsAre("kept"));
  EXPECT_THAT(reload(children + kept, children + kept + channel("x", "b", "c")).steps, ElementsAre("-c", "-b", "+b", "+c"));
  EXPECT_THAT(reload(children + channel("x", "b", "c"), children).steps, ElementsAre("-c", "-b", "+b", "+c"));
  EXPECT_THAT(reload(children + channel("x", "b", "c"), children + channel("x", "b", "d")).steps,
              ElementsAre("-d", "-c", "-b", "+b", "+c", "+d"));
  const Told same = reload(children + kept + channel("x", "b", "c"), children + channel("x", "b", "c") + kept);
  EXPECT_THAT(same.steps, IsEmpty());
  EXPECT_THAT(same.kept_channels, ElementsAre("kept", "x"));
}

std::string region(const std::string& name, const std::string& size, const std::string& children) {
  return "[[region]]\nname = '" + name + "'\nsize = '" + size + "'\nchildren = " + children + "\n";
}

TEST(Reload, ARegionThatChangedStartsThoseThatHaveItAnew) {
  const std::string children = kTop + child("a") + child("b") + child("c") + child("d");
  const std::string kept = region("kept", "1KiB", "['a', 'd']");
  const Told larger =
      reload(children + kept + region("x", "1KiB", "['a', 'b']"), children + kept + region("x", "2KiB", "['a', 'b']"));
  EXPECT_THAT(larger.steps, ElementsAre("-b", "-a", "+a", "+b"));
  EXPECT_THAT(larger.kept_regions, ElementsAre("kept"));
  EXPECT_THAT(larger.regions, ElementsAre("region x has 2 KiB instead of 1 KiB: it is made anew, and what was in it is gone"));
  const Told fresh = reload(children + kept, children + kept + region("x", "1KiB", "['b']"));
  EXPECT_THAT(fresh.steps, ElementsAre("-b", "+b"));
  EXPECT_THAT(fresh.regions, ElementsAre("region x of 1 KiB is new"));
  const Told gone = reload(children + region("x", "1KiB", "['b']") + kept, children + kept);
  EXPECT_THAT(gone.steps, ElementsAre("-b", "+b"));
  EXPECT_THAT(gone.regions, ElementsAre("region x is gone, and what was in it"));
  const Told renamed = reload(children + region("x", "1KiB", "['b']"), children + region("y", "1KiB", "['b']"));
  EXPECT_THAT(renamed.steps, ElementsAre("-b", "+b"));
  EXPECT_THAT(renamed.kept_regions, IsEmpty());
}

// What is in a region is worth more than the way it is written: others have it as before.
TEST(Reload, WhoHasARegionMayChangeWithoutTheRest) {
  const std::string children = kTop + child("a") + child("b") + child("c");
  const auto of = [&](const std::string& size, const std::string& who) { return children + region("x", size, who); };
  const Told more = reload(of("1KiB", "['a', 'b']"), of("1024", "['c', 'b', 'a']"));
  EXPECT_THAT(more.steps, ElementsAre("-c", "+c"));
  EXPECT_THAT(more.kept_regions, ElementsAre("x"));
  EXPECT_THAT(more.regions, IsEmpty());
  EXPECT_THAT(reload(of("1KiB", "['a', 'b']"), of("1KiB", "'b'")).steps, ElementsAre("-a", "+a"));
  EXPECT_THAT(reload(of("1KiB", "['a', 'b']"), of("1KiB", "[]")).kept_regions, ElementsAre("x"));
  EXPECT_EQ(reload(of("1KiB", "['a', 'b']"), of("1.0K", "['b', 'a']")).summary, "nothing has changed");
}

TEST(Reload, WhatStandsAtTheTopCannotChange) {
  EXPECT_THAT(reload(kTop + child("a"), "name = 't'\n" + child("a")).summary, testing::HasSubstr("name cannot change from s to t"));
  const Told told = reload(kTop + child("a"), kTop + "workers = 1\n" + child("b"));
  EXPECT_THAT(told.summary, testing::HasSubstr("start it again"));
  EXPECT_THAT(told.steps, IsEmpty());
}

}  // namespace
}  // namespace weft::cli
