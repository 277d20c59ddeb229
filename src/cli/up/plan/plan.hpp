// From a manifest to what the supervisor takes: modules compiled, programs linked, files opened. What can fail, fails here, before anything starts or changes.
//
//   Planner planner(runtime, guests);
//   std::expected<Plan, Mistakes> plan = planner.make(manifest, nullptr);      // blocks while it compiles: on a thread of its own
//   SupervisorSpec spec = planner.spec_of(manifest.root, "", *plan);
//
// make() on one thread at a time; the rest on any.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cli/up/manifest/manifest.hpp"
#include "cli/up/plan/channels.hpp"
#include "cli/up/plan/regions.hpp"
#include "weft/runtime.hpp"
#include "weft/supervisor.hpp"

namespace weft::cli {

// A file as it was when it was read: another one, or the same written anew, differs.
struct FileStamp {
  std::int64_t written = 0;
  std::uint64_t bytes = 0;
  bool operator==(const FileStamp&) const = default;
};

class OutputFile;

struct PlannedChild {
  Program program;
  FileStamp module;
  std::string signature;
  std::shared_ptr<OutputFile> file;   // null: none
  std::vector<PlannedEnd> ends = {};  // of channels, by name
  PlannedRegions regions = {};
};

struct LoadedModule {
  Module module;
  FileStamp stamp;
};

struct Plan {
  std::map<std::string, PlannedChild> children;      // by path, without the numbers of copies
  std::map<std::string, LoadedModule> modules = {};  // by file: each is compiled once, however many children run it
  std::map<std::string, std::shared_ptr<const PlannedChannel>> channels = {};
  PlannedRegions regions = {};
};

// Where the guests' output goes. Called on the runtime's output thread; one or more whole lines.
using GuestWriter = std::function<void(const std::string& path, GuestOutput how, Stream stream, std::string_view text)>;

// What holds now, for groups that are started again: they have the children of today, and not those of their first start. Any thread.
class CurrentSystem {
 public:
  struct System {
    ManifestGroup root;
    Plan plan;
  };
  void set(std::shared_ptr<const System> system) {
    const std::lock_guard lock(mutex_);
    system_ = std::move(system);
  }
  std::shared_ptr<const System> get() const {
    const std::lock_guard lock(mutex_);
    return system_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const System> system_;
};

class Planner {
 public:
  Planner(Runtime runtime, GuestWriter writer)
      : runtime_(std::move(runtime)), writer_(std::make_shared<GuestWriter>(std::move(writer))) {}

  // From now on this is the system. Before any of it is started.
  void hold(const Manifest& manifest, const Plan& plan) const {
    current_->set(std::make_shared<const CurrentSystem::System>(manifest.root, plan));
  }

  // What is the same in `before` is taken from there.
  std::expected<Plan, Mistakes> make(const Manifest& manifest, const Plan* before);

  SupervisorSpec spec_of(const ManifestGroup& group, const std::string& above, const Plan& plan) const;
  // One of the copies of a child.
  ChildSpec spec_of(const ManifestChild& child, const std::string& above, const std::string& id, const Plan& plan) const;
  // Of what is held.
  ChildSpec group_spec_of(const ManifestGroup& group, const std::string& above) const;

 private:
  struct Making;
  void make(const ManifestGroup& group, const std::string& above, Making& making);
  void make(const ManifestChild& child, const std::string& path, Making& making);
  Result<Module> load(const std::string& file, const FileStamp& stamp, Making& making);

  Runtime runtime_;
  std::shared_ptr<const GuestWriter> writer_;
  std::shared_ptr<CurrentSystem> current_ = std::make_shared<CurrentSystem>();
};

// What the runtime has to be able to, for these children.
RuntimeOptions runtime_options_of(const Manifest& manifest);

}  // namespace weft::cli
