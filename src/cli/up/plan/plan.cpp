#include "cli/up/plan/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <mutex>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/process_spec.hpp"
#include "cli/program_file.hpp"
#include "cli/toml.hpp"

namespace weft::cli {

// Lines appended to a file, by any number of children.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path) : stream_(path, std::ios::binary | std::ios::app) {}
  bool good() const { return stream_.good(); }
  void write(std::string_view text) {
    const std::lock_guard lock(mutex_);
    stream_.write(text.data(), static_cast<std::streamsize>(text.size())).flush();
    // A disk that was full may have room again.
    stream_.clear();
  }

 private:
  std::mutex mutex_;
  std::ofstream stream_;
};

namespace {

FileStamp stamp_of(const std::string& path) {
  std::error_code ignored;
  FileStamp stamp;
  stamp.written = std::filesystem::last_write_time(path, ignored).time_since_epoch().count();
  stamp.bytes = std::filesystem::file_size(path, ignored);
  return stamp;
}

template <class Use>
void for_each_child(const ManifestGroup& group, const Use& use) {
  for (const ManifestMember& member : group.members) {
    if (const ManifestChild* child = member.child()) {
      use(*child);
    } else {
      for_each_child(*member.group(), use);
    }
  }
}

}  // namespace

struct Planner::Making {
  const Manifest& manifest;
  const Plan* before;
  Plan plan;
  std::vector<Mistake> mistakes;
  // Those that could not be loaded: said of each child, found out once.
  std::unordered_map<std::string, Error> refused;
  std::map<std::filesystem::path, std::shared_ptr<OutputFile>> files;
};

std::expected<Plan, Mistakes> Planner::make(const Manifest& manifest, const Plan* before) {
  Making making{manifest, before, {}, {}, {}, {}};
  make(manifest.root, "", making);
  if (making.mistakes.empty()) {
    connect_channels(manifest, before, making.plan);
    making.mistakes = make_regions(manifest, before, making.plan);
  }
  if (making.mistakes.empty()) return std::move(making.plan);
  return std::unexpected(Mistakes{.file = manifest.path.string(), .list = std::move(making.mistakes)});
}

void Planner::make(const ManifestGroup& group, const std::string& above, Making& making) {
  for (const ManifestMember& member : group.members) {
    if (const ManifestChild* child = member.child()) {
      make(*child, above + child->id, making);
    } else {
      make(*member.group(), above + member.id() + "/", making);
    }
  }
}

Result<Module> Planner::load(const std::string& file, const FileStamp& stamp, Making& making) {
  if (const auto known = making.refused.find(file); known != making.refused.end()) return std::unexpected(known->second);
  const auto same = [&](const Plan& plan) -> const LoadedModule* {
    const auto known = plan.modules.find(file);
    return known != plan.modules.end() && known->second.stamp == stamp ? &known->second : nullptr;
  };
  if (const LoadedModule* known = same(making.plan)) return known->module;
  if (const LoadedModule* known = making.before != nullptr ? same(*making.before) : nullptr) {
    making.plan.modules.insert_or_assign(file, *known);
    return known->module;
  }
  Result<Module> module = load_program(runtime_, file, making.manifest.run.allow_precompiled);
  if (module) {
    making.plan.modules.insert_or_assign(file, LoadedModule{*module, stamp});
  } else {
    making.refused.emplace(file, module.error());
  }
  return module;
}

void Planner::make(const ManifestChild& child, const std::string& path, Making& making) {
  PlannedChild planned{.program = {}, .module = stamp_of(child.run.program), .signature = child.signature, .file = nullptr};
  if (making.before != nullptr) {
    const auto same = making.before->children.find(path);
    if (same != making.before->children.end() && same->second.signature == planned.signature &&
        same->second.module == planned.module) {
      making.plan.children.emplace(path, same->second);
      const auto module = making.before->modules.find(child.run.program);
      if (module != making.before->modules.end()) making.plan.modules.emplace(*module);
      return;
    }
  }
  const auto refuse = [&](const Error& error) {
    making.mistakes.push_back({child.module_place, fmt::format("{}: {}", path, error.message)});
  };
  const Result<Module> module = load(child.run.program, planned.module, making);
  if (!module) return refuse(module.error());
  ProcessSpec spec = process_spec_of(child.run, *module, path);
  if (child.run.limits.fuel && !runtime_.options().fuel) {
    return refuse({ErrorKind::kBadArgument, "fuel is counted only when a child has it as weft up starts; start it again", {}});
  }
  if (child.stdin_text) spec.input = Input::of(*child.stdin_text);
  if (!child.stdin_file.empty()) {
    Result<std::string> text = read_text_file(child.stdin_file.string(), child.stdin_file.string());
    if (!text) return refuse(text.error());
    spec.input = Input::of(std::move(*text));
  }
  if (child.run.stdin_mode == StdinMode::kInherit) spec.input = Input::inherit();
  if (!child.output_file.empty()) {
    std::shared_ptr<OutputFile>& file = making.files[child.output_file];
    if (file == nullptr) file = std::make_shared<OutputFile>(child.output_file);
    if (!file->good()) {
      return refuse({ErrorKind::kPermission, fmt::format("output-file {} cannot be written", child.output_file.string()), {}});
    }
    planned.file = file;
  }
  Result<Program> program = runtime_.prepare(std::move(spec));
  if (!program) return refuse(program.error());
  planned.program = std::move(*program);
  making.plan.children.emplace(path, std::move(planned));
}

namespace {

using Writer = std::shared_ptr<const GuestWriter>;
using Current = std::shared_ptr<CurrentSystem>;

ChildSpec child_spec(const Writer& writer, const ManifestChild& child, const std::string& above, const std::string& id,
                     const Plan& plan) {
  const PlannedChild& planned = plan.children.at(above + child.id);
  const std::string path = above + id;
  SpawnOptions options;
  options.name = path;
  options.output = Output::to(
      [writer, path, how = child.output, file = planned.file](ProcessId, Stream stream, std::string_view text) {
        if (file != nullptr) file->write(text);
        (*writer)(path, how, stream, text);
      },
      true);
  ChildSpec spec = child_function(
      id,
      [program = planned.program, options, ends = planned.ends, regions = planned.regions](const Runtime& runtime) {
        SpawnOptions with_grants = options;
        with_grants.grants = grants_of(ends);
        append_grants_of(regions, with_grants.grants);
        return runtime.spawn(program, std::move(with_grants));
      },
      child.restart);
  spec.grace = child.grace;
  spec.significant = child.significant;
  return spec;
}

// The group of that path, with a '/' at its end; null: there is none any more.
const ManifestGroup* find_group(const ManifestGroup& root, std::string_view path) {
  const ManifestGroup* found = &root;
  while (!path.empty()) {
    const std::string_view id = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), id.size() + 1));
    const auto member =
        std::ranges::find_if(found->members, [id](const ManifestMember& one) { return one.group() != nullptr && one.id() == id; });
    if (member == found->members.end()) return nullptr;
    found = member->group();
  }
  return found;
}

ChildSpec group_child_spec(const Writer& writer, const Current& current, const ManifestGroup& group, const std::string& above);

SupervisorSpec group_spec(const Writer& writer, const Current& current, const ManifestGroup& group, const std::string& above,
                          const Plan& plan) {
  SupervisorSpec spec;
  spec.name = group.id;
  spec.strategy = group.strategy;
  spec.max_restarts = group.max_restarts;
  spec.period = group.period;
  spec.backoff = group.backoff;
  spec.stop_order = group.stop_order;
  spec.auto_shutdown = group.auto_shutdown;
  for (const ManifestMember& member : group.members) {
    if (const ManifestChild* child = member.child()) {
      for (const std::string& id : child->ids()) spec.children.push_back(child_spec(writer, *child, above, id, plan));
    } else {
      spec.children.push_back(group_child_spec(writer, current, *member.group(), above));
    }
  }
  return spec;
}

ChildSpec group_child_spec(const Writer& writer, const Current& current, const ManifestGroup& group, const std::string& above) {
  const auto now = [writer, current, path = above + group.id + "/"]() -> Result<SupervisorSpec> {
    const std::shared_ptr<const CurrentSystem::System> system = current->get();
    const ManifestGroup* const found = find_group(system->root, path);
    if (found == nullptr) return fail(ErrorKind::kNotFound, "the manifest has no such group any more");
    return group_spec(writer, current, *found, path, system->plan);
  };
  ChildSpec spec = child_supervisor_function(group.id, now, group.restart);
  spec.grace = group.grace;
  spec.significant = group.significant;
  return spec;
}

}  // namespace

ChildSpec Planner::spec_of(const ManifestChild& child, const std::string& above, const std::string& id, const Plan& plan) const {
  return child_spec(writer_, child, above, id, plan);
}

SupervisorSpec Planner::spec_of(const ManifestGroup& group, const std::string& above, const Plan& plan) const {
  return group_spec(writer_, current_, group, above, plan);
}

ChildSpec Planner::group_spec_of(const ManifestGroup& group, const std::string& above) const {
  return group_child_spec(writer_, current_, group, above);
}

RuntimeOptions runtime_options_of(const Manifest& manifest) {
  RuntimeOptions options;
  const Settings& run = manifest.run;
  options.workers = run.workers;
  options.quantum = run.quantum;
  if (run.stack_bytes) options.stack_bytes = *run.stack_bytes;
  options.preemption = run.preemption;
  options.fibers = run.fibers;
  options.strands_preemptive = run.strands_preemptive;
  options.cache = run.cache;
  options.cache_directory = run.cache_directory;
  // Room for what a reload adds, and for processes that are being replaced.
  options.processes_max = static_cast<unsigned>(std::max<std::uint64_t>(options.processes_max, 2 * manifest.children()));
  std::uint64_t threads = 0;
  for_each_child(manifest.root, [&](const ManifestChild& child) {
    options.fuel = options.fuel || child.run.limits.fuel.has_value();
    threads += child.copies * std::min<std::uint64_t>(child.run.limits.threads.value_or(0), 1'000'000);
  });
  options.threads_max = static_cast<unsigned>(std::clamp<std::uint64_t>(threads, options.threads_max, 1'000'000));
  return options;
}

}  // namespace weft::cli
