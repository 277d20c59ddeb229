// A guest that does one WASI preview 1 call with arguments from outside, for tests that play a hostile guest: each function of preview 1 is exported under its own
// name, and returns what the call returned.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::testing {

struct WasiCall {
  std::string_view name;
  std::string_view parameters;  // 'i': i32, 'l': i64
};

// All of wasi_snapshot_preview1 except proc_exit, which does not return.
inline const std::vector<WasiCall>& wasi_calls() {
  static const std::vector<WasiCall> kAll{
      {"args_get", "ii"},
      {"args_sizes_get", "ii"},
      {"environ_get", "ii"},
      {"environ_sizes_get", "ii"},
      {"clock_res_get", "ii"},
      {"clock_time_get", "ili"},
      {"fd_advise", "illi"},
      {"fd_allocate", "ill"},
      {"fd_close", "i"},
      {"fd_datasync", "i"},
      {"fd_fdstat_get", "ii"},
      {"fd_fdstat_set_flags", "ii"},
      {"fd_fdstat_set_rights", "ill"},
      {"fd_filestat_get", "ii"},
      {"fd_filestat_set_size", "il"},
      {"fd_filestat_set_times", "illi"},
      {"fd_pread", "iiili"},
      {"fd_prestat_get", "ii"},
      {"fd_prestat_dir_name", "iii"},
      {"fd_pwrite", "iiili"},
      {"fd_read", "iiii"},
      {"fd_readdir", "iiili"},
      {"fd_renumber", "ii"},
      {"fd_seek", "ilii"},
      {"fd_sync", "i"},
      {"fd_tell", "ii"},
      {"fd_write", "iiii"},
      {"path_create_directory", "iii"},
      {"path_filestat_get", "iiiii"},
      {"path_filestat_set_times", "iiiilli"},
      {"path_link", "iiiiiii"},
      {"path_open", "iiiiillii"},
      {"path_readlink", "iiiiii"},
      {"path_remove_directory", "iii"},
      {"path_rename", "iiiiii"},
      {"path_symlink", "iiiii"},
      {"path_unlink_file", "iii"},
      {"poll_oneoff", "iiii"},
      {"proc_raise", "i"},
      {"random_get", "ii"},
      {"sched_yield", ""},
      {"sock_accept", "iii"},
      {"sock_recv", "iiiiii"},
      {"sock_send", "iiiii"},
      {"sock_shutdown", "ii"},
  };
  return kAll;
}

// The imports and exports of all calls, and proc_exit as $exit, to be put into a module that defines its memory and more.
inline std::string wasi_wrappers() {
  std::string text = "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))\n";
  const auto list = [](const WasiCall& call, std::string_view what) {
    std::string words;
    for (const char type : call.parameters) words += std::string(" ") + (type == 'i' ? "i32" : "i64");
    return words.empty() ? words : "(" + std::string(what) + words + ")";
  };
  for (const WasiCall& call : wasi_calls()) {
    text += "(import \"wasi_snapshot_preview1\" \"" + std::string(call.name) + "\" (func $" + std::string(call.name) + " " +
            list(call, "param") + " (result i32)))\n";
  }
  for (const WasiCall& call : wasi_calls()) {
    text += "(func (export \"" + std::string(call.name) + "\") " + list(call, "param") + " (result i32) (call $" +
            std::string(call.name);
    for (std::size_t index = 0; index < call.parameters.size(); ++index) text += " (local.get " + std::to_string(index) + ")";
    text += "))\n";
  }
  return text;
}

// Of wasi_snapshot_preview1's errno.
inline constexpr int kErrnoSuccess = 0;
inline constexpr int kErrnoBadDescriptor = 8;
inline constexpr int kErrnoLast = 76;

}  // namespace weft::testing
