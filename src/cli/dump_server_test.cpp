// Shows that the dump server answers what it is asked, drops what it does not understand, replaces a dead socket but not a live one,
// and leaves nothing behind.
#include "cli/dump_server.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace weft::cli {
namespace {

class DumpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "weft-dump-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    ASSERT_EQ(::setenv("XDG_RUNTIME_DIR", name.c_str(), 1), 0);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // What a client gets for `request`; the server is driven by this thread.
  static std::string ask(DumpServer& server, std::string request) {
    Result<platform::LocalConnection> connection = platform::connect_local(server.path());
    if (!connection) return "(" + connection.error().message + ")";
    std::string answer;
    bool done = false;
    std::string_view unsent = request;
    while (!done) {
      if (!unsent.empty() && !connection->write_some(unsent)) break;
      std::vector<platform::Watch> watches;
      server.watch(watches);
      watches.push_back({.fd = connection->fd()});
      platform::wait_ready(watches, std::nullopt);
      server.serve(watches);
      if (watches.back().readable) done = !connection->read_some(answer);
    }
    return answer;
  }

  std::filesystem::path directory_;
};

TEST_F(DumpServerTest, AnswersTextAndJsonWithAndWithoutStacks) {
  DumpServer server([](Format format, bool stacks) {
    return std::string(format == Format::kJson ? "J" : "T") + (stacks ? "s" : "-") + std::string(1'000'000, 'x');
  });
  ASSERT_TRUE(server.open());
  for (const auto& [format, stacks, expected] : {std::tuple{Format::kText, false, "T-"},
                                                 {Format::kText, true, "Ts"},
                                                 {Format::kJson, false, "J-"},
                                                 {Format::kJson, true, "Js"}}) {
    const std::string answer = ask(server, dump_request(format, stacks));
    EXPECT_EQ(answer.size(), 1'000'002U);  // more than a socket buffers at once
    EXPECT_EQ(answer.substr(0, 2), expected);
  }
}

TEST_F(DumpServerTest, DropsWhatItDoesNotUnderstand) {
  DumpServer server([](Format, bool) { return std::string("never"); });
  ASSERT_TRUE(server.open());
  EXPECT_EQ(ask(server, "please\n"), "");
  EXPECT_EQ(ask(server, std::string(100'000, 'a')), "");
  EXPECT_EQ(ask(server, dump_request(Format::kText, false)), "never");
}

TEST_F(DumpServerTest, TheSocketIsThisUsersAloneAndGoesAway) {
  std::filesystem::path path;
  {
    DumpServer server([](Format, bool) { return std::string(); });
    ASSERT_TRUE(server.open());
    path = server.path();
    using std::filesystem::perms;
    EXPECT_EQ(std::filesystem::status(path).permissions(), perms::owner_read | perms::owner_write);
    EXPECT_EQ(std::filesystem::status(path.parent_path()).permissions(), perms::owner_all);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(DumpServerTest, AStaleSocketIsReplacedALiveOneIsNot) {
  const Result<std::filesystem::path> path = dump_socket_of(platform::process_id());
  ASSERT_TRUE(path);
  std::ofstream(*path) << "left behind";
  DumpServer first([](Format, bool) { return std::string("1"); });
  ASSERT_TRUE(first.open());
  DumpServer second([](Format, bool) { return std::string("2"); });
  EXPECT_FALSE(second.open());
  EXPECT_EQ(ask(first, dump_request(Format::kText, false)), "1");
}

TEST_F(DumpServerTest, ADirectoryThatOthersMayWriteToIsRefused) {
  std::filesystem::create_directory(directory_ / "weft");
  std::filesystem::permissions(directory_ / "weft", std::filesystem::perms::all);
  DumpServer server([](Format, bool) { return std::string(); });
  const Result<void> opened = server.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kPermission);
}

}  // namespace
}  // namespace weft::cli
