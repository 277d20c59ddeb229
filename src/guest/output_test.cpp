// The way out of what guests write: order, whole lines, back-pressure, limits, and the end that is reported when all is out.
#include "guest/output.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace weft::guest {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// Waits for close() to report.
class End {
 public:
  std::function<void()> report() {
    return [this] {
      std::lock_guard lock(mutex_);
      over_ = true;
      changed_.notify_all();
    };
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return over_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
};

struct Received {
  std::vector<std::string> pieces;
  Output::Receiver receiver() {
    return [this](ProcessId, Stream stream, std::string_view text) {
      pieces.push_back((stream == Stream::kOut ? "out:" : "err:") + std::string(text));
    };
  }
};

void write_all(OutputPort& port, Stream stream, std::string_view text) {
  while (!text.empty()) {
    const OutputPort::Written written = port.write(stream, bytes(text));
    if (written) text.remove_prefix(*written);
  }
}

TEST(OutputPort, KeepsTheOrderOfBothStreams) {
  Received received;
  {
    OutputPump pump;
    const auto port = pump.open(1, Output::to(received.receiver()), 1 << 20);
    for (const char* text : {"a", "b"}) {
      write_all(*port, Stream::kOut, text);
      write_all(*port, Stream::kErr, text);
    }
    End end;
    port->close(end.report());
    end.wait();
  }
  std::string all;
  for (const std::string& piece : received.pieces) all += piece;
  EXPECT_EQ(all, "out:aerr:aout:berr:b");
}

TEST(OutputPort, WholeLinesArriveWhole) {
  Received received;
  OutputPump pump;
  const auto port = pump.open(1, Output::to(received.receiver(), true), 1 << 20);
  write_all(*port, Stream::kOut, "one\ntwo");
  write_all(*port, Stream::kErr, "warn");
  ASSERT_TRUE(pump.flush(std::chrono::hours(1)));
  write_all(*port, Stream::kOut, " and a half\nthree");
  End end;
  port->close(end.report());
  end.wait();
  std::string out;
  for (const std::string& piece : received.pieces) {
    EXPECT_EQ(piece.back(), '\n') << piece;
    if (piece.starts_with("out:")) out += piece.substr(4);
  }
  EXPECT_EQ(out, "one\ntwo and a half\nthree\n");
  EXPECT_NE(std::ranges::find(received.pieces, "err:warn\n"), received.pieces.end());
}

TEST(OutputPort, ALineWithoutEndIsCutSoThatMemoryIsBounded) {
  Received received;
  OutputPump pump;
  const auto port = pump.open(1, Output::to(received.receiver(), true), 1 << 20);
  write_all(*port, Stream::kOut, std::string(300'000, 'x'));
  End end;
  port->close(end.report());
  end.wait();
  std::size_t count = 0;
  for (const std::string& piece : received.pieces) {
    EXPECT_LE(piece.size(), (1U << 20) + 8U);
    count += static_cast<std::size_t>(std::ranges::count(piece, 'x'));
  }
  EXPECT_EQ(count, 300'000U);
}

TEST(OutputPort, TakesNoMoreThanItsLimitUntilTheReceiverTookSome) {
  std::mutex mutex;
  std::condition_variable opened;
  bool open = false;
  OutputPump pump;
  const auto port = pump.open(1, Output::to([&](ProcessId, Stream, std::string_view) {
                                std::unique_lock lock(mutex);
                                opened.wait(lock, [&] { return open; });
                              }),
                              10);
  EXPECT_EQ(port->write(Stream::kOut, bytes("0123456789abc")).value(), 10U);
  const OutputPort::Written refused = port->write(Stream::kOut, bytes("d"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), OutputPort::Refusal::kFull);
  EXPECT_EQ(port->wait_for_room(Stream::kOut, nullptr), 0U);
  {
    std::lock_guard lock(mutex);
    open = true;
  }
  opened.notify_all();
  ASSERT_TRUE(pump.flush(std::chrono::hours(1)));
  EXPECT_EQ(port->wait_for_room(Stream::kOut, nullptr), 10U);
  port->close([] {});
}

TEST(OutputPort, CapturedOutputEndsAtItsLimit) {
  OutputPump pump;
  const auto port = pump.open(1, Output::capture(), 4);
  EXPECT_EQ(port->write(Stream::kOut, bytes("abc")).value(), 3U);
  EXPECT_EQ(port->write(Stream::kErr, bytes("de")).error(), OutputPort::Refusal::kLimit);
  EXPECT_EQ(port->captured(Stream::kOut), "abc");
  EXPECT_EQ(port->captured(Stream::kErr), "d");
  port->close([] {});
  EXPECT_EQ(port->write(Stream::kOut, bytes("x")).error(), OutputPort::Refusal::kClosed);
}

TEST(OutputPort, AReceiverThatThrowsDoesNotEndThePump) {
  OutputPump pump;
  Received received;
  const auto bad = pump.open(1, Output::to([](ProcessId, Stream, std::string_view) { throw std::runtime_error("no"); }), 100);
  const auto good = pump.open(2, Output::to(received.receiver()), 100);
  write_all(*bad, Stream::kOut, "x");
  write_all(*good, Stream::kOut, "y");
  End end;
  good->close(end.report());
  end.wait();
  EXPECT_EQ(received.pieces, std::vector<std::string>{"out:y"});
  bad->close([] {});
}

TEST(OutputPort, ManyWritersAtOnceLoseNothing) {
  std::vector<std::size_t> counts(8, 0);  // each written by the pump only, read after the end
  OutputPump pump;
  std::vector<std::shared_ptr<OutputPort>> ports;
  std::vector<std::unique_ptr<End>> ends;
  std::vector<std::thread> writers;
  for (std::size_t index = 0; index < counts.size(); ++index) {
    ports.push_back(
        pump.open(index, Output::to([&counts](ProcessId id, Stream, std::string_view text) { counts[id] += text.size(); }), 4096));
    ends.push_back(std::make_unique<End>());
    writers.emplace_back([port = ports.back(), end = ends.back().get()] {
      for (int round = 0; round < 2000; ++round) write_all(*port, Stream::kOut, "0123456789");
      port->close(end->report());
    });
  }
  for (std::thread& writer : writers) writer.join();
  for (const auto& end : ends) end->wait();
  for (const std::size_t count : counts) EXPECT_EQ(count, 20'000U);
}

}  // namespace
}  // namespace weft::guest
