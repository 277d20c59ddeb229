// Shows that requests survive the way over the socket, that everything else is refused, and that errors come back as they were.
#include "cli/up/control/control_protocol.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/up/control/process_table.hpp"
#include "cli/up/session/log_book.hpp"
#include "cli/up/session/metrics.hpp"

namespace weft::cli {
namespace {

using What = ControlRequest::What;

TEST(ControlProtocol, RequestsComeBackAsTheyWere) {
  for (const ControlRequest& request : {ControlRequest{.what = What::kPs},
                                        {.what = What::kKill, .id = "payment/ledger#12"},
                                        {.what = What::kRestart, .id = "a"},
                                        {.what = What::kLogs, .id = {}, .lines = 5, .follow = true},
                                        {.what = What::kLogs, .id = "a.b", .lines = 0, .follow = false},
                                        {.what = What::kEvents, .id = {}, .lines = 1'000'000, .follow = false}}) {
    std::string line = to_line(request);
    ASSERT_TRUE(line.ends_with('\n'));
    line.pop_back();
    const std::optional<ControlRequest> back = parse_control_request(line);
    ASSERT_TRUE(back) << line;
    EXPECT_EQ(to_line(*back), to_line(request));
  }
}

TEST(ControlProtocol, WhatIsNoRequestIsRefused) {
  for (const std::string line : {"",
                                 " ",
                                 "ps ",
                                 "ps x",
                                 "PS",
                                 "kill",
                                 "kill ",
                                 "kill a b",
                                 "kill a\x01",
                                 "kill \"a\"",
                                 "logs",
                                 "logs 5",
                                 "logs x end",
                                 "logs -1 end",
                                 "logs 5 maybe",
                                 "logs 5 end a b",
                                 "logs 99999999999999999999 end",
                                 "events 5 end a",
                                 "events",
                                 "frobnicate a",
                                 "a b c d e f g h"}) {
    EXPECT_FALSE(parse_control_request(line)) << line;
  }
  EXPECT_FALSE(parse_control_request("kill " + std::string(100'000, 'a')));
  EXPECT_FALSE(parse_control_request(std::string("ps\0", 3)));
}

TEST(ControlProtocol, ErrorsComeBackAsTheyWere) {
  const Error error{ErrorKind::kNotFound, "no \"such\" child\nat all \xff", {}};
  const std::string line = error_line(error);
  EXPECT_EQ(std::ranges::count(line, '\n'), 1);
  const std::optional<Error> back = error_in(line);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->kind, ErrorKind::kNotFound);
  EXPECT_TRUE(back->message.starts_with("no \"such\" child\nat all "));
  EXPECT_FALSE(error_in(ok_line("a", "killed")));
  for (const char* garbage : {"", "{", "[]", "{\"error\":3}", "null"}) EXPECT_FALSE(error_in(garbage)) << garbage;
}

TEST(LogBook, KeepsTheLastLinesOfEachInTheirOrder) {
  LogBook book(2, [] {});
  book.add("a", Stream::kOut, "1\n2\n3\n");
  book.add("g/b#1", Stream::kErr, "4\n");
  book.add("a", Stream::kOut, "5");
  const auto texts = [&](std::string_view id, std::size_t count) {
    std::string all;
    for (const LogLine& line : book.last(id, count)) all += line.text;
    return all;
  };
  EXPECT_EQ(texts("", 10), "345");
  EXPECT_EQ(texts("", 2), "45");
  EXPECT_EQ(texts("a", 10), "35");
  EXPECT_EQ(texts("g", 10), "4");
  EXPECT_EQ(texts("g/b", 10), "4");
  EXPECT_EQ(texts("g/", 10), "");
  EXPECT_EQ(texts("", 0), "");
  book.forget("a");
  EXPECT_EQ(texts("", 10), "4");
  // A child that writes long lines does not have all memory for them.
  LogBook long_lines(1000, [] {});
  for (int i = 0; i < 100; ++i) long_lines.add("a", Stream::kOut, std::string(60'000, 'x') + "\n");
  EXPECT_LE(long_lines.last("a", 1000).size(), 5U);
  EXPECT_GE(long_lines.last("a", 1000).size(), 3U);
}

TEST(LogBook, FollowersAreToldOnceAndMissNothingButACount) {
  int told = 0;
  LogBook book(5, [&] { ++told; });
  book.add("a", Stream::kOut, "before\n");
  EXPECT_EQ(told, 0);
  book.set_followed(true);
  for (int i = 0; i < 10'003; ++i) book.add("a", Stream::kOut, "x\n");
  EXPECT_EQ(told, 1);
  const LogBook::Fresh fresh = book.take_fresh();
  EXPECT_EQ(fresh.lines.size(), 10'000U);
  EXPECT_EQ(fresh.dropped, 3U);
  book.add("a", Stream::kOut, "y\n");
  EXPECT_EQ(told, 2);
}

TEST(ProcessTable, LinesUpCutsAndShowsTroubleFirst) {
  std::vector<TableRow> rows;
  for (int i = 0; i < 20; ++i)
    rows.push_back({.path = "c" + std::to_string(i), .id = "c" + std::to_string(i), .state = i == 17 ? "waiting" : "running"});
  rows[17].last_end = "trapped\x1b[2J: über";
  const std::string all = process_table(rows, {});
  EXPECT_EQ(std::ranges::count(all, '\n'), 21);
  EXPECT_EQ(all.find('\x1b'), std::string::npos);
  const std::string some = process_table(rows, {.columns = 30, .rows_max = 5});
  EXPECT_EQ(std::ranges::count(some, '\n'), 6);
  EXPECT_EQ(some.find("c17"), some.find('\n') + 1) << some;
  EXPECT_TRUE(some.ends_with("… and 16 more\n")) << some;
}

TEST(Metrics, AnswerHttpAndNothingElse) {
  const auto answer = [](std::string_view head) { return http_reply(head, [] { return std::string("x 1\n"); }); };
  EXPECT_EQ(answer("GET /metrics HTTP/1.1\r\nHost: h"),
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: 4\r\nConnection: "
            "close\r\n\r\nx 1\n");
  EXPECT_TRUE(answer("HEAD /metrics HTTP/1.0").ends_with("\r\n\r\n"));
  EXPECT_TRUE(answer("GET /metrics?x=1 HTTP/1.0").starts_with("HTTP/1.0 200 "));
  EXPECT_TRUE(answer("GET / HTTP/1.0").starts_with("HTTP/1.0 404 "));
  EXPECT_TRUE(answer("POST /metrics HTTP/1.0").starts_with("HTTP/1.0 405 "));
  for (const char* garbage : {"", " ", "GET", "GET /metrics", "GET /metrics FTP/1.0", "\x16\x03\x01"})
    EXPECT_EQ(answer(garbage), "") << garbage;
}

}  // namespace
}  // namespace weft::cli
