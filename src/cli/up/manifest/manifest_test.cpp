// Shows that a manifest sets what it says, that every kind of mistake is found with its place and with what would be right, and all of them at once.
#include "cli/up/manifest/manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "cli/up/manifest/manifest_keys.hpp"

namespace weft::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The mistakes as "line:column: message", one a line.
std::string mistakes_of(std::string_view text) {
  const std::expected<Manifest, Mistakes> manifest = parse_manifest(text, "m.toml");
  if (manifest) return "(accepted)";
  std::string all;
  for (const Mistake& mistake : manifest.error().list) {
    all += std::to_string(mistake.place.line) + ":" + std::to_string(mistake.place.column) + ": " + mistake.message + "\n";
  }
  return all;
}

constexpr std::string_view kWhole = R"(
name = "shop"
strategy = "rest_for_one"
max-restarts = -1
period = "5s"
backoff = { first = "10ms", factor = 3, max = "1s", jitter = 0.5, stable = "20s" }
stop-order = "together"
auto-shutdown = "any-significant"
log-lines = 7
workers = 2
quantum = "2ms"
max-stack = "1MiB"
no-preemption = true
fibers = "async"
preempt-strands = true
cache-dir = "cache"
no-cache = true
allow-precompiled = true

[[child]]
id = "cart"
module = "bin/cart.wasm"
args = ["-x", "two words"]
copies = 3
restart = "transient"
significant = true
grace = "forever"
stdin = "inherit"
output = "plain"
output-file = "logs/cart.txt"
env = { MODE = "fast", N = 7 }
inherit-env = true
dir = ["data::/data", "tmp"]
dir-ro = "/etc::/config"
network = true
argv0 = "me"
invoke = "main"
priority = "low"
on-deadlock = "kill"
max-memory = "64MiB"
max-threads = 4
max-table-elements = 5
max-instances = 6
max-output = "2MiB"
max-channel-bytes = "3MiB"
max-region-bytes = 0
timeout = "1h"
cpu-time = "1m"
fuel = 1000
health = { interval = "1s", start = "3s" }

[[group]]
id = "payment"
restart = "temporary"
grace = "9s"
significant = true
strategy = "one_for_all"
[[group.child]]
id = "ledger"
module = "/abs/ledger.wasm"
stdin-text = "hello"
[[group.group]]
id = "inner"
[[group.group.child]]
id = "x"
module = "x.wat"
stdin-file = "x.txt"
env = ["A=b", "HOME"]

[[child]]
id = "last"
module = "last.wasm"

[[channel]]
name = "orders"
kind = "bounded"
capacity = 10
bytes-max = "1MiB"
from = "cart"
to = ["payment/ledger", "payment/inner/x"]
[[channel]]
name = "news"
kind = "broadcast"
slow-receiver = "loses"
from = ["payment/ledger"]
to = "cart"

[[region]]
name = "stock"
size = "1.5KiB"
children = ["cart", "payment/inner/x"]
[[region]]
name = "orders"
size = 1
children = "last"
)";

TEST(Manifest, EveryKeyFindsItsPlace) {
  const std::expected<Manifest, Mistakes> parsed = parse_manifest(kWhole, "some/where/weft.toml");
  ASSERT_TRUE(parsed) << parsed.error().error().message << parsed.error().error().detail;
  const Manifest& m = *parsed;
  EXPECT_EQ(m.root.id, "shop");
  EXPECT_EQ(m.root.strategy, Strategy::kRestForOne);
  EXPECT_EQ(m.root.max_restarts, -1);
  EXPECT_EQ(m.root.period, std::chrono::seconds(5));
  EXPECT_EQ(m.root.backoff.first, std::chrono::milliseconds(10));
  EXPECT_EQ(m.root.backoff.factor, 3);
  EXPECT_EQ(m.root.backoff.max, std::chrono::seconds(1));
  EXPECT_EQ(m.root.backoff.jitter, 0.5);
  EXPECT_EQ(m.root.backoff.stable, std::chrono::seconds(20));
  EXPECT_EQ(m.root.stop_order, StopOrder::kTogether);
  EXPECT_EQ(m.root.auto_shutdown, AutoShutdown::kAnySignificant);
  EXPECT_EQ(m.log_lines, 7U);
  EXPECT_EQ(m.run.workers, 2U);
  EXPECT_EQ(m.run.quantum, std::chrono::milliseconds(2));
  EXPECT_EQ(m.run.stack_bytes, 1U << 20);
  EXPECT_FALSE(m.run.preemption);
  EXPECT_TRUE(m.run.strands_preemptive);
  EXPECT_EQ(m.run.cache_directory, "some/where/cache");
  EXPECT_FALSE(m.run.cache);
  EXPECT_TRUE(m.run.allow_precompiled);
  EXPECT_EQ(m.children(), 6U);

  ASSERT_EQ(m.root.members.size(), 3U);
  const ManifestChild& cart = *m.root.members[0].child();
  EXPECT_EQ(cart.run.program, "some/where/bin/cart.wasm");
  EXPECT_THAT(cart.run.arguments, ElementsAre("-x", "two words"));
  EXPECT_THAT(cart.ids(), ElementsAre("cart#1", "cart#2", "cart#3"));
  EXPECT_EQ(cart.restart, Restart::kTransient);
  EXPECT_TRUE(cart.significant);
  EXPECT_EQ(cart.grace, kForever);
  EXPECT_EQ(cart.run.stdin_mode, StdinMode::kInherit);
  EXPECT_EQ(cart.output, GuestOutput::kPlain);
  EXPECT_EQ(cart.output_file, "some/where/logs/cart.txt");
  ASSERT_EQ(cart.run.environment.size(), 2U);
  EXPECT_EQ(cart.run.environment[1].name + "=" + *cart.run.environment[1].value, "N=7");
  EXPECT_TRUE(cart.run.inherit_environment);
  ASSERT_EQ(cart.run.directories.size(), 3U);
  EXPECT_EQ(cart.run.directories[0].host, "some/where/data");
  EXPECT_EQ(cart.run.directories[0].guest, "/data");
  EXPECT_EQ(cart.run.directories[1].guest, "tmp");
  EXPECT_EQ(cart.run.directories[2].host, "/etc");
  EXPECT_TRUE(cart.run.directories[2].read_only);
  EXPECT_TRUE(cart.run.network);
  EXPECT_EQ(cart.run.argv0, "me");
  EXPECT_EQ(cart.run.invoke, "main");
  EXPECT_EQ(cart.run.priority, 6);
  EXPECT_EQ(cart.run.on_deadlock, OnDeadlock::kKill);
  EXPECT_EQ(cart.run.limits.memory_bytes, 64U << 20);
  EXPECT_EQ(cart.run.limits.threads, 4U);
  EXPECT_EQ(cart.run.limits.table_elements, 5U);
  EXPECT_EQ(cart.run.limits.instances, 6U);
  EXPECT_EQ(cart.run.limits.output_bytes, 2U << 20);
  EXPECT_EQ(cart.run.limits.channel_bytes, 3U << 20);
  EXPECT_EQ(cart.run.limits.region_bytes, 0U);
  EXPECT_EQ(cart.run.limits.wall_time, std::chrono::hours(1));
  EXPECT_EQ(cart.run.limits.cpu_time, std::chrono::minutes(1));
  EXPECT_EQ(cart.run.limits.fuel, 1000U);
  ASSERT_TRUE(cart.health);
  EXPECT_EQ(cart.health->interval, std::chrono::seconds(1));
  EXPECT_EQ(cart.health->start, std::chrono::seconds(3));

  // In the order of the file, although TOML keeps children and groups apart.
  const ManifestGroup& payment = *m.root.members[1].group();
  EXPECT_EQ(m.root.members[2].id(), "last");
  EXPECT_EQ(payment.restart, Restart::kTemporary);
  EXPECT_EQ(payment.grace, std::chrono::seconds(9));
  EXPECT_TRUE(payment.significant);
  EXPECT_EQ(payment.strategy, Strategy::kOneForAll);
  EXPECT_EQ(payment.max_restarts, 10);
  const ManifestChild& ledger = *payment.members[0].child();
  EXPECT_EQ(ledger.run.program, "/abs/ledger.wasm");
  EXPECT_EQ(ledger.run.argv0, "/abs/ledger.wasm");
  EXPECT_EQ(ledger.stdin_text, "hello");
  const ManifestChild& x = *payment.members[1].group()->members[0].child();
  EXPECT_EQ(x.stdin_file, "some/where/x.txt");
  EXPECT_EQ(x.run.environment.size(), 2U);

  ASSERT_EQ(m.channels.size(), 2U);
  EXPECT_EQ(m.channels[1].slow_receiver, SlowReceiver::kLoses);
  EXPECT_EQ(m.channels[0].capacity, 10U);
  EXPECT_EQ(m.channels[0].bytes_max, 1U << 20);
  EXPECT_THAT(m.channels[0].from, ElementsAre("cart"));
  EXPECT_THAT(m.channels[0].to, ElementsAre("payment/ledger", "payment/inner/x"));

  ASSERT_EQ(m.regions.size(), 2U);
  EXPECT_EQ(m.regions[0].name, "stock");
  EXPECT_EQ(m.regions[0].bytes, 1536U);
  ASSERT_EQ(m.regions[0].children.size(), 2U);
  EXPECT_EQ(m.regions[0].children[1].path, "payment/inner/x");
  EXPECT_EQ(m.regions[1].bytes, 1U);
}

// The test above would not notice a new key that nobody tries.
TEST(Manifest, TheTestAboveTriesEveryKey) {
  const auto tried = [](const auto& keys) {
    for (const auto& key : keys) {
      const std::string name(key.name);
      const bool there = kWhole.find(name + " =") != std::string_view::npos || kWhole.find(name + "]]") != std::string_view::npos;
      EXPECT_TRUE(there) << name;
    }
  };
  tried(keys_of_system());
  tried(keys_of_rules());
  tried(keys_of_group());
  tried(keys_of_child());
  tried(keys_of_health());
  tried(keys_of_backoff());
  tried(keys_of_channel());
  tried(keys_of_region());
}

TEST(Manifest, AllMistakesAreFoundAtOnceInTheOrderOfTheirPlaces) {
  EXPECT_EQ(mistakes_of(R"(nam = "x"
[[child]]
id = "a b"
module = "a.wasm"
tiemout = "3s"
[[child]]
module = 3
max-memory = "lots"
)"),
            "1:1: unknown key 'nam'; did you mean name?\n"
            "1:1: the system has no name; say name = \"…\"\n"
            "3:6: id = a b: must be letters, digits, '-', '_' and '.', at most 64, beginning with a letter or digit\n"
            "5:1: unknown key 'tiemout' in a child; did you mean timeout?\n"
            "6:1: a child has no id; say id = \"…\"\n"
            "7:10: module must be a text in quotes\n"
            "8:14: max-memory = lots: 'lots' is not a size: write a number and a suffix, such as 512K, 64MiB or 2GB\n");
}

struct Wrong {
  const char* text;      // after name and a child "a" on lines 1 to 4
  const char* expected;  // a part of the only mistake
};

class WrongManifest : public testing::TestWithParam<Wrong> {};

TEST_P(WrongManifest, IsRefusedWithItsPlace) {
  const std::string text = std::string("name = \"s\"\n[[child]]\nid = \"a\"\nmodule = \"a.wasm\"\n") + GetParam().text;
  const std::string said = mistakes_of(text);
  EXPECT_THAT(said, testing::StartsWith(GetParam().expected)) << text;
  EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
}

INSTANTIATE_TEST_SUITE_P(
    Each, WrongManifest,
    testing::Values(
        Wrong{"restart = \"allways\"\n", "5:11: restart = allways: must be permanent, transient or temporary"},
        Wrong{"copies = 0\n", "5:10: copies = 0: must be at least 1"},
        Wrong{"copies = [1]\n", "5:10: copies must be a whole number"},
        Wrong{"network = \"yes\"\n", "5:11: network must be true or false"},
        Wrong{"grace = 5\n", "5:9: grace must be a duration such as \"250ms\" or \"2m30s\""},
        Wrong{"grace = \"5\"\n", "5:9: grace = 5: "}, Wrong{"priority = 9\n", "5:12: priority = 9: must be 0"},
        Wrong{"args = [1]\n", "5:9: args must be a text in quotes, or a list of such"},
        Wrong{"args = [\"\\u0000\"]\n", "5:9: args must not hold a zero byte"},
        Wrong{"env = { A = [] }\n", "5:13: env.A must be a text or a number"},
        Wrong{"env = [\"=x\"]\n", "5:8: env = =x: the name is missing"},
        Wrong{"dir = \"::x\"\n", "5:7: dir = ::x: the directory on this machine is missing"},
        Wrong{"fuel = 1979-05-27\n", "5:8: fuel must be a whole number"},
        Wrong{"significant = true\n", "5:15: significant is for children that may end"},
        Wrong{"stdin = \"empty\"\nstdin-text = \"x\"\n", "6:14: only one of stdin, stdin-text and stdin-file"},
        Wrong{"health = true\n", "5:10: health must be a table"},
        Wrong{"health = {}\n", "5:10: health has no interval; say interval = \"5s\""},
        Wrong{"[child.health]\ninterval = \"0s\"\n", "6:12: interval = 0s: a limit of zero"},
        Wrong{"[child.health]\ninterval = \"1s\"\nstrat = \"1s\"\n", "7:1: unknown key 'strat' in health; did you mean start?"},
        Wrong{"[[child]]\nid = \"a\"\nmodule = \"b.wasm\"\n", "5:1: id 'a' is taken: line 2 has it"},
        Wrong{"[[group]]\nid = \"a\"\n[[group.child]]\nid = \"x\"\nmodule = \"x\"\n", "5:1: id 'a' is taken: line 2 has it"},
        Wrong{"[[group]]\nid = \"g\"\n", "5:1: group 'g' has nothing in it"},
        Wrong{"[[group]]\nid = \"g\"\nstrategy = \"one_for_al\"\n[[group.child]]\nid = \"x\"\nmodule = \"x\"\n",
              "7:12: strategy = one_for_al: must be one_for_one, one_for_all or rest_for_one; did you mean one_for_all?"},
        Wrong{"[[group]]\nid = \"g\"\nperiod = \"0s\"\n[[group.child]]\nid = \"x\"\nmodule = \"x\"\n",
              "7:10: period = 0s: must be more than 0"},
        Wrong{"[[group]]\nid = \"g\"\nsignificant = true\n[[group.child]]\nid = \"x\"\nmodule = \"x\"\n",
              "5:1: significant is for groups"},
        Wrong{"[[group]]\nid = \"g\"\nbackoff = { first = \"2s\", max = \"1s\" }\n[[group.child]]\nid = \"x\"\nmodule = \"x\"\n",
              "7:11: backoff: max (1s) is less than first (2s)"},
        Wrong{"[[group]]\nid = \"g\"\nbackoff = { jitter = 2 }\n[[group.child]]\nid = \"x\"\nmodule = \"x\"\n",
              "7:22: jitter = 2: must be a number from 0 to 1"},
        Wrong{"[group]\nid = \"g\"\n", "5:1: group must be tables; begin each with [[group]] instead of [group]"},
        Wrong{"[[channel]]\nname = \"c\"\nfrom = \"a\"\nto = \"b\"\n", "5:1: channel 'c': there is no child 'b'"},
        Wrong{"[[channel]]\nname = \"c\"\nfrom = \"a\"\nto = \"a\"\n", "5:1: channel 'c': 'a' is there twice"},
        Wrong{"[[channel]]\nname = \"c\"\nbytes-max = 5\nfrom = \"a\"\nto = []\n", "5:1: a channel with room for 5 bytes"},
        Wrong{"[[channel]]\nname = \"c\"\nslow-receiver = \"loses\"\nfrom = \"a\"\nto = []\n", "5:1: slow-receiver is for"},
        Wrong{"[[channel]]\nname = \"c\"\nfrom = \"a\"\n", "5:1: a channel has no to; say to = [\"…\"]"},
        Wrong{"[[channel]]\nname = \"c\"\nkind = \"oneshot\"\ncapacity = 2\nfrom = \"a\"\nto = []\n",
              "5:1: capacity is for bounded"},
        Wrong{"[[channel]]\nname = \"c\"\nkind = \"rendezvous\"\nbytes-max = 2\nfrom = \"a\"\nto = []\n", "5:1: bytes-max is for"},
        Wrong{"[[region]]\nname = \"r\"\nsize = 0\nchildren = \"a\"\n", "7:8: size = 0: must be from 1 byte to 1 GiB"},
        Wrong{"[[region]]\nname = \"r\"\nsize = \"1025MiB\"\nchildren = \"a\"\n",
              "7:8: size = 1025MiB: must be from 1 byte to 1 GiB"},
        Wrong{"[[region]]\nname = \"r\"\nsize = -1\nchildren = \"a\"\n", "7:8: size = -1: "},
        Wrong{"[[region]]\nname = \"r\"\nsize = \"lots\"\nchildren = \"a\"\n", "7:8: size = lots: 'lots' is not a size"},
        Wrong{"[[region]]\nname = \"r\"\nchildren = \"a\"\n", "5:1: a region has no size; say size = \"64KiB\""},
        Wrong{"[[region]]\nname = \"r\"\nsize = 1\n", "5:1: a region has no children; say children = [\"…\"]"},
        Wrong{"[[region]]\nsize = 1\nchildren = []\n", "5:1: a region has no name"},
        Wrong{"[[region]]\nname = \"r\"\nsize = 1\nto = \"a\"\nchildren = []\n", "8:1: unknown key 'to' in a region"},
        Wrong{"[[region]]\nname = \"r\"\nsize = 1\nchildren = [\"a\",\n\"nobody\"]\n",
              "9:1: region 'r': there is no child 'nobody'"},
        Wrong{"[[region]]\nname = \"r\"\nsize = 1\nchildren = [3, \"a\"]\n", "8:13: children must be a text in quotes"},
        Wrong{"[[region]]\nname = \"r\"\nsize = 1\nchildren = [\"a\", \"a\"]\n", "8:18: region 'r': 'a' is there twice"},
        Wrong{"[[region]]\nname = \"r\"\nsize = 1\nchildren = []\n[[region]]\nname = \"r\"\nsize = 1\nchildren = \"a\"\n",
              "9:1: the region 'r' is there twice: line 5 has it"},
        Wrong{"[[region]]\nname = \"r\"\nsize = 1\nchildren = \"a\"\n[[channel]]\nname = \"r\"\nfrom = \"a\"\nto = []\n",
              "8:12: region 'r': 'a' has a channel 'r', and asks for both by their names"},
        Wrong{"[region]\nname = \"r\"\n", "5:1: region must be tables; begin each with [[region]] instead of [region]"},
        Wrong{"[[child]]\nid = \"b\"\nmodule = \"b\"\ncopies = 100000\n",
              "1:1: 100001 children with all copies; 100000 is the most"},
        Wrong{"id = \"twice\"\n", "5:"}, Wrong{"[%x]\ny = 1\n", "5:1: not TOML"}, Wrong{"x = \n", "5:"}));

TEST(Manifest, WhatIsNoTextDoesNotShiftThePlacesOfOthers) {
  EXPECT_THAT(
      mistakes_of("name = 's'\n[[child]]\nid = 'a'\nmodule = 'a'\n"
                  "[[region]]\nname = 'r'\nsize = 1\nchildren = [3, 'x', [], \"\\u0000\", 'y']\n"),
      testing::AllOf(HasSubstr("8:16: region 'r': there is no child 'x'"), HasSubstr("8:35: region 'r': there is no child 'y'")));
}

TEST(Manifest, AChildHasChannelsAndRegionsUpToABound) {
  std::string text = "name = 's'\n[[child]]\nid = 'a'\nmodule = 'a'\n[[channel]]\nname = 'c'\nfrom = 'a'\nto = []\n";
  for (int i = 0; i < 255; ++i) text += "[[region]]\nname = 'r" + std::to_string(i) + "'\nsize = 1\nchildren = 'a'\n";
  EXPECT_TRUE(parse_manifest(text, "m.toml"));
  EXPECT_EQ(mistakes_of(text + "[[region]]\nname = 'last'\nsize = 1\nchildren = 'a'\n"),
            "1032:12: 'a' has more than 256 channels and regions\n");
}

TEST(Manifest, WithoutChildrenThereIsNothingToRun) {
  EXPECT_EQ(mistakes_of("name = 'x'\n"), "1:1: nothing to run; give it a [[child]] with id and module\n");
}

TEST(Manifest, OneMistakeIsOneLineSeveralAreCounted) {
  const auto one = parse_manifest("name = 'x'\n", "m.toml");
  ASSERT_FALSE(one);
  EXPECT_EQ(one.error().error().message, "m.toml:1:1: nothing to run; give it a [[child]] with id and module");
  EXPECT_EQ(one.error().error().detail, "");
  const auto two = parse_manifest("", "m.toml");
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().error().message, "m.toml: 2 mistakes");
  EXPECT_THAT(two.error().error().detail,
              testing::StartsWith("m.toml:1:1: the system has no name; say name = \"…\"\nm.toml:1:1: nothing"));
}

TEST(Manifest, FilesThatAreNotThereAreFoundWithTheRest) {
  std::string name = (std::filesystem::temp_directory_path() / "weft-manifest-XXXXXX").string();
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const std::filesystem::path directory = name;
  std::ofstream(directory / "m.toml")
      << "name = 's'\nworkrs = 1\n[[child]]\nid = 'a'\nmodule = 'gone.wasm'\ndir = 'm.toml'\n"
         "stdin-file = 'none.txt'\noutput-file = 'no/where.txt'\n[[child]]\nid = 'b'\nmodule = '.'\n";
  const std::expected<Manifest, Mistakes> manifest = read_manifest(directory / "m.toml");
  ASSERT_FALSE(manifest);
  std::vector<std::uint32_t> lines;
  for (const Mistake& mistake : manifest.error().list) lines.push_back(mistake.place.line);
  EXPECT_THAT(lines, ElementsAre(2, 5, 6, 7, 8, 11)) << manifest.error().error().detail;
  const std::expected<Manifest, Mistakes> missing = read_manifest(directory / "none.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(manifest_name(directory / "m.toml").value(), "s");
  EXPECT_FALSE(manifest_name(directory / "none.toml"));
  std::filesystem::remove_all(directory);
}

TEST(Manifest, CommentsSpacesAndCopiesDoNotChangeASignature) {
  const auto signature = [](std::string_view child) {
    return parse_manifest("name = 's'\n[[child]]\n" + std::string(child), "m.toml")->root.members[0].child()->signature;
  };
  const std::string base = signature("id = 'a'\nmodule = 'm'\nmax-memory = '1MiB'\n");
  EXPECT_EQ(signature("# why\nmodule   = 'm'\ncopies = 3\nid = \"a\"\nmax-memory = '1MiB'\n"), base);
  EXPECT_NE(signature("id = 'a'\nmodule = 'm'\nmax-memory = '2MiB'\n"), base);
  EXPECT_NE(signature("id = 'a'\nmodule = 'm'\n"), base);
}

}  // namespace
}  // namespace weft::cli
