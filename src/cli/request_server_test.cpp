// Shows that the request server drops garbage, half lines, too much and slow clients, serves others meanwhile, and keeps an answer open as long as it is asked to.
#include "cli/request_server.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace weft::cli {
namespace {

class RequestServerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "weft-requests-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    Result<platform::LocalListener> listener = platform::LocalListener::open(directory_ / "s.sock");
    ASSERT_TRUE(listener);
    listener_.emplace(std::move(*listener));
  }
  void TearDown() override {
    listener_.reset();
    std::filesystem::remove_all(directory_);
  }

  RequestServer& make(RequestServer::Options options) {
    options.answer = [this](RequestServer::ClientId client, std::string_view request) -> std::optional<RequestServer::Reply> {
      last_client_ = client;
      if (request == "open") return RequestServer::Reply{.text = "first\n", .more = true};
      if (request == "silent") return RequestServer::Reply{.text = {}, .more = true};
      if (request == "much") return RequestServer::Reply{std::string(3'000'000, 'x')};
      if (request.starts_with("say ")) return RequestServer::Reply{std::string(request.substr(4)) + "\n"};
      return std::nullopt;
    };
    server_.emplace(std::move(options));
    server_->listen(*listener_);
    return *server_;
  }

  platform::LocalConnection connect(std::string_view text) {
    Result<platform::LocalConnection> connection = platform::connect_local(listener_->path());
    EXPECT_TRUE(connection);
    EXPECT_TRUE(connection->write_some(text));
    return std::move(*connection);
  }

  void step() {
    std::vector<platform::Watch> watches;
    server_->watch(watches);
    platform::wait_ready(watches, server_->until_next_event());
    server_->serve(watches);
  }

  // What a client is told until it is hung up on, or until it has `enough`.
  std::string read(platform::LocalConnection& connection, std::size_t enough = SIZE_MAX) {
    std::string answer;
    while (answer.size() < enough) {
      std::vector<platform::Watch> watches;
      server_->watch(watches);
      watches.push_back({.fd = connection.fd()});
      platform::wait_ready(watches, server_->until_next_event());
      server_->serve(watches);
      if (watches.back().readable && !connection.read_some(answer)) break;
    }
    return answer;
  }

  std::filesystem::path directory_;
  std::optional<platform::LocalListener> listener_;
  std::optional<RequestServer> server_;
  RequestServer::ClientId last_client_ = 0;
};

TEST_F(RequestServerTest, AnswersAndHangsUp) {
  make({});
  platform::LocalConnection one = connect("say hello\n");
  EXPECT_EQ(read(one), "hello\n");
  platform::LocalConnection much = connect("much\n");
  EXPECT_EQ(read(much).size(), 3'000'000U);
}

TEST_F(RequestServerTest, GarbageAndTooMuchAreHungUpOn) {
  make({.request_bytes_max = 10});
  for (const std::string& text : {std::string("frobnicate\n"), std::string("\n"), std::string(1000, 'x'),
                                  "say " + std::string(100, 'x') + "\n", std::string("\0\xff\x01\n", 4)}) {
    platform::LocalConnection client = connect(text);
    EXPECT_EQ(read(client), "") << text;
  }
  platform::LocalConnection good = connect("say ok\n");
  EXPECT_EQ(read(good), "ok\n");
}

TEST_F(RequestServerTest, HalfARequestKeepsNobodyFromAskingAndIsNotKeptForEver) {
  make({.clients_max = 2, .patience = std::chrono::milliseconds(50)});
  platform::LocalConnection half = connect("sa");
  platform::LocalConnection nothing = connect("");
  platform::LocalConnection third = connect("say third\n");
  // Both places are taken until patience is over.
  EXPECT_EQ(read(third), "third\n");
  EXPECT_EQ(read(half), "");
  EXPECT_EQ(read(nothing), "");
}

TEST_F(RequestServerTest, AReaderThatTakesNothingIsGivenUp) {
  make({.slow_reader = std::chrono::milliseconds(50)});
  platform::LocalConnection slow = connect("much\n");
  while (last_client_ == 0) step();
  while (server_->connected(last_client_)) step();
  EXPECT_EQ(server_->push(last_client_, "x"), RequestServer::Pushed::kGone);
}

TEST_F(RequestServerTest, AnOpenAnswerGoesOnUntilItIsFinished) {
  make({.pushed_bytes_max = 10});
  platform::LocalConnection client = connect("open\n");
  EXPECT_EQ(read(client, 6), "first\n");
  EXPECT_EQ(server_->push(last_client_, "second\n"), RequestServer::Pushed::kTaken);
  EXPECT_EQ(server_->push(last_client_, "third\n"), RequestServer::Pushed::kFull);
  EXPECT_EQ(read(client, 7), "second\n");
  server_->finish(last_client_);
  EXPECT_EQ(read(client), "");
  EXPECT_EQ(server_->push(last_client_, "x"), RequestServer::Pushed::kGone);
}

TEST_F(RequestServerTest, AClientThatGoesIsForgotten) {
  make({});
  {
    platform::LocalConnection client = connect("silent\n");
    while (last_client_ == 0) step();
    EXPECT_TRUE(server_->connected(last_client_));
  }
  while (server_->connected(last_client_)) step();
  EXPECT_EQ(server_->push(last_client_, "x"), RequestServer::Pushed::kGone);
}

TEST_F(RequestServerTest, OneThatBabblesWhileItWaitsIsHungUpOn) {
  make({});
  platform::LocalConnection client = connect("silent\n");
  while (last_client_ == 0) step();
  std::string_view more = "more\n";
  EXPECT_TRUE(client.write_some(more));
  EXPECT_EQ(read(client), "");
}

}  // namespace
}  // namespace weft::cli
