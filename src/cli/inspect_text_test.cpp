// Shows that `weft inspect` aligns its columns, groups imports by module, and says why something cannot run.
#include "cli/inspect_text.hpp"

#include <gtest/gtest.h>

namespace weft::cli {
namespace {

TEST(InspectText, ShowsEverythingInItsPlace) {
  ModuleInfo info;
  info.kind = "module";
  info.entry_point = "_start";
  info.functions = 12;
  info.code_bytes = 2048;
  info.data_bytes = 100;
  info.memories.push_back(
      {.minimum_bytes = 65536, .maximum_bytes = 1U << 20, .shared = false, .is_64_bit = false, .imported = false});
  info.features = {"bulk-memory", "simd"};
  info.imports = {{"wasi_snapshot_preview1", "fd_write", "func (i32) -> i32", "wasi preview 1"},
                  {"env", "magic", "func ()", ""},
                  {"wasi_snapshot_preview1", "proc_exit", "func (i32)", "wasi preview 1"}};
  info.exports = {{"memory", "memory"}, {"_start", "func ()"}};
  info.runnable = false;
  info.obstacles = {"nobody provides env.magic"};
  EXPECT_EQ(inspect_text("app.wasm", info),
            R"(app.wasm

kind         module
entry point  _start
code         12 functions, 2 KiB
data         100 B
memory       64 KiB at the start, at most 1 MiB
features     bulk-memory, simd

imports
  wasi_snapshot_preview1, provided by wasi preview 1
    fd_write   func (i32) -> i32
    proc_exit  func (i32)
  env, provided by nobody
    magic  func ()   <- nobody provides this

exports
    memory  memory
    _start  func ()

Weft can run it: no
  nobody provides env.magic
)");
}

TEST(InspectText, AnEmptyModuleIsShownAsOne) {
  ModuleInfo info;
  info.kind = "module";
  EXPECT_EQ(inspect_text("e.wasm", info),
            "e.wasm\n\nkind         module\nentry point  none\ncode         0 functions, 0 B\ndata         0 B\n"
            "features     WebAssembly 1.0 is enough\n\nWeft can run it: no\n");
}

// The line about strands in what is shown of a module for which the engine says this.
std::string strands_of(const char* strands) {
  ModuleInfo info;
  info.kind = "module";
  info.json = std::string(R"({"strands": )") + strands + "}";
  const std::string text = inspect_text("s.wasm", info);
  const std::size_t begin = text.find("strands ");
  return begin == std::string::npos ? "" : text.substr(begin, text.find("\n\n", begin) - begin);
}

TEST(InspectText, SaysWhetherStrandsArePossible) {
  EXPECT_EQ(strands_of(R"({"used": true, "possible": true, "preemptible": true, "continuations": true})"), "strands      used");
  EXPECT_EQ(strands_of(R"({"used": false, "possible": true, "preemptible": true, "continuations": true})"),
            "strands      not used, but possible");
  EXPECT_EQ(
      strands_of(
          R"({"used": true, "possible": true, "preemptible": false, "preemption_obstacle": "no names", "continuations": true})"),
      "strands      used; no names");
  EXPECT_EQ(strands_of(R"({"used": false, "possible": false, "obstacle": "no malloc", "continuations": true})"),
            "strands      not possible: no malloc");
  EXPECT_EQ(
      strands_of(
          R"({"used": true, "possible": false, "obstacle": "too odd", "continuations": false, "continuations_obstacle": "odd"})"),
      "strands      used, but not possible: too odd\n             cannot run on continuations: odd");
  EXPECT_EQ(strands_of("null"), "");
  EXPECT_EQ(strands_of(R"({})"),
            "strands      not possible: for reasons unknown\n             cannot run on continuations: for reasons unknown");
}

}  // namespace
}  // namespace weft::cli
