// The instructions of the threads proposal do what the specification's own tests say, and those of Wasmtime: what they answer, when they trap, and which modules are
// not valid. Modules are rewritten when they are loaded (engine/src/rewrite); this shows that nothing of it can be seen.
//
// Input: tests/conformance/wast writes it, from scripts that a crate carries; WEFT_WAST_DIRECTORY says where it is.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "support/outcomes.hpp"
#include "support/runtime_fixture.hpp"

namespace weft::testing {
namespace {

class WastTest : public RuntimeTest {};

TEST_F(WastTest, Threads) {
  const char* directory = std::getenv("WEFT_WAST_DIRECTORY");
  ASSERT_NE(directory, nullptr) << "set WEFT_WAST_DIRECTORY to what weft-wast wrote";
  if (std::filesystem::exists(std::filesystem::path(directory) / "why-not")) GTEST_SKIP() << "the scripts cannot be had";
  const std::vector<Expected> expected = read_expected(std::filesystem::path(directory) / "expected.txt");
  start();
  unsigned returned = 0;
  unsigned trapped = 0;
  unsigned invalid = 0;
  std::string file;
  Module module;
  for (const Expected& assertion : expected) {
    const std::string what = assertion.module + ", " + assertion.function;
    if (assertion.module != file) {
      file = assertion.module;
      const std::vector<std::uint8_t> bytes = read_bytes(std::filesystem::path(directory) / file);
      const Result<Module> compiled = runtime_->compile(bytes, file);
      if (assertion.outcome == "invalid") {
        ++invalid;
        ASSERT_FALSE(compiled.has_value()) << what;
        EXPECT_EQ(compiled.error().kind, ErrorKind::kInvalidModule) << what << ": " << compiled.error().message;
        continue;
      }
      ASSERT_TRUE(compiled.has_value()) << what << ": " << compiled.error().message << "\n" << compiled.error().detail;
      module = *compiled;
    }
    const ExitStatus status = spawn({.module = module, .entry = assertion.function}).join();
    EXPECT_EQ(show(status), assertion.outcome) << what;
    ++(status.kind == ExitKind::kReturned ? returned : trapped);
  }
  std::cout << "wast: " << returned << " returned, " << trapped << " trapped, " << invalid << " invalid modules" << std::endl;
  // Otherwise the test shows nothing.
  EXPECT_GE(returned, 150U);
  EXPECT_GE(trapped, 70U);
  EXPECT_GE(invalid, 40U);
}

}  // namespace
}  // namespace weft::testing
