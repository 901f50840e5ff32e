// Checkpoints as safetensors: weights and their momentum copies, the optimizer's moments, and named
// state, each under its own name.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/checkpoint/info.hpp"
#include "albef/checkpoint/safetensors.hpp"
#include "albef/checkpoint/state.hpp"
#include "albef/core/interpolate_pos_embed.hpp"
#include "albef/core/number.hpp"
#include "albef/core/param_store.hpp"

namespace albef {

/// Name of a parameter's momentum copy: its first component gets the suffix _m
/// (text_encoder.bert.x -> text_encoder_m.bert.x).
inline std::string momentum_name(std::string_view name) {
  const auto dot = std::min(name.find('.'), name.size());
  return concat(name.substr(0, dot), "_m", name.substr(dot));
}

/// What a load did. Ask for text() to tell a user.
struct LoadReport {
  int loaded = 0;
  std::vector<std::string> missing;     ///< parameters the file does not have: left as they were
  std::vector<std::string> unexpected;  ///< tensors of the file that the model does not have
  std::vector<std::string> unused;      ///< tensors that the rule of the load has no place for
  std::vector<std::string> reshaped;    ///< position embeddings resized to the model's grid
  CheckpointInfo info;

  std::string text() const {
    std::string out = concat("loaded ", loaded, " tensors");
    const auto list = [&](const char* what, const std::vector<std::string>& names) {
      if (names.empty()) return;
      out += concat("; ", names.size(), ' ', what, ": ");
      for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 5); ++i)
        out += (i ? ", " : "") + names[i];
      if (names.size() > 5) out += ", ...";
    };
    list("missing", missing);
    list("unexpected", unexpected);
    list("unused", unused);
    list("reshaped", reshaped);
    return out;
  }
};

/// The names under which a model takes a tensor of a file that it does not know by its own name;
/// a tensor may go to several places, or to none (it is then reported as unused).
using NameRule = std::function<std::vector<std::string>(const std::string&)>;

struct LoadOptions {
  bool allow_missing = false;  ///< else Error if a parameter of the model is not in the file...
  std::function<bool(std::string_view name)> dispensable = {};  ///< ...except these
  /// A file may lack whole modules (the first components of names), but no parts of one. Error if
  /// those it has are less than a tenth of the model's values: it is hardly what was meant.
  bool by_module = false;
  bool allow_unexpected = false;    ///< else Error if the file has tensors the model does not have
  bool resize_positions = false;    ///< else Error if position embeddings are of another grid
  bool complete_momentum = false;   ///< missing momentum weights become copies of the online ones
  bool momentum_as_online = false;  ///< the online weights become the file's momentum weights
  NameRule names = {};              ///< empty: only a model's own names
};

/// Writes and reads the state of a model; a path to one file.
template <class Device, class Precision>
class Checkpoint {
 public:
  using Store = ParamStore<Device, Precision>;
  using Real = typename Store::Real;

  explicit Checkpoint(Store& store) : store_(store), state_(store.device()) {}

  /// Adds Adam's moments, as optimizer.exp_avg.<name> and optimizer.exp_avg_sq.<name>, and what the
  /// optimizer lists in named(f, number of parameters).
  Checkpoint& with_optimizer(auto& optimizer) {
    moments_ = true;
    optimizer.named(state_, store_.params().size());
    return *this;
  }
  /// Adds what `holder` lists in holder.named(f); see StateList.
  Checkpoint& with(auto& holder) {
    holder.named(state_);
    return *this;
  }

  /// Writes the file atomically: an older file of that name is replaced as a whole or not at all.
  /// Error, and the older file stays, if a weight, a moment or a value of the state is not finite.
  void save(const std::string& path, const CheckpointInfo& info) const;

  /// Reads a file into the store, and into moments and named state where they were added. A tensor
  /// the model does not know by its own name is looked up by the rule of the options. Throws Error
  /// naming the file and the tensors that do not fit, unless the options allow it; shapes must
  /// agree, weights be finite, and all tensors be as they were written (see SafeTensors). Nothing
  /// is changed before everything is known to fit.
  LoadReport load(const std::string& path, const LoadOptions& options = {}) const;

 private:
  /// A tensor of the file and the parameter it goes to.
  struct Placement {
    const TensorEntry* entry;
    const ParamInfo* param;
    Plane plane;
    bool resized = false;
  };

  static std::string first(const std::vector<std::string>& names) {
    return names.empty() ? "" : names.front();
  }
  const ParamInfo& param(int index) const {
    return store_.params()[static_cast<std::size_t>(index)];
  }

  /// The tensors of a file under the names of the model.
  std::map<std::string, const TensorEntry*> entries_by_name(const SafeTensors& file,
                                                            const NameRule& rule,
                                                            LoadReport& report) const;

  TensorSource plane_source(const std::string& name, const ParamInfo& p, Plane plane) const;
  static TensorSource range_source(const std::string& name, int n);

  void check_modules(const std::string& path, const std::vector<Placement>& placements,
                     const LoadReport& report) const;
  void check(const SafeTensors& file, Placement& placement, const LoadOptions& options,
             LoadReport& report) const;
  void read(const SafeTensors& file, const Placement& placement) const;

  /// Tensors a load may leave unused: second names, range buffers, the state of a training run.
  bool expendable(const std::string& name, const std::set<std::string>& state) const;
  /// The named state a file says it has.
  static std::set<std::string> state_names(const SafeTensors& file);

  Store& store_;
  StateList<Device> state_;
  bool moments_ = false;
};

template <class Device, class Precision>
void Checkpoint<Device, Precision>::save(const std::string& path,
                                         const CheckpointInfo& info) const {
  std::vector<TensorSource> tensors;
  const auto add_planes = [&](const std::string& name, const ParamInfo& p) {
    tensors.push_back(plane_source(name, p, Plane::online));
    if (p.twin && store_.has(Plane::ema))
      tensors.push_back(plane_source(momentum_name(name), p, Plane::ema));
  };
  for (const auto& p : store_.params()) add_planes(p.name, p);
  for (const auto& t : store_.tied()) add_planes(t.name, param(t.index));
  for (const auto& r : store_.ranges()) {
    tensors.push_back(range_source(r.name, r.n));
    if (store_.has(Plane::ema)) tensors.push_back(range_source(momentum_name(r.name), r.n));
  }
  if (moments_)
    for (const auto& p : store_.params()) {
      if (p.frozen) continue;
      tensors.push_back(plane_source("optimizer.exp_avg." + p.name, p, Plane::exp_avg));
      tensors.push_back(plane_source("optimizer.exp_avg_sq." + p.name, p, Plane::exp_avg_sq));
    }
  std::string names;
  for (const StateTensor& t : state_.tensors()) {
    if (!t.saved) continue;
    tensors.push_back({t.name, t.dtype, t.shape, nullptr, t.produce, true});
    names += (names.empty() ? "" : " ") + t.name;
  }
  CheckpointInfo all = info;
  if (!names.empty()) all["state"] = names;
  write_safetensors(path, tensors, all);
}

template <class Device, class Precision>
LoadReport Checkpoint<Device, Precision>::load(const std::string& path,
                                               const LoadOptions& options) const {
  const auto file = SafeTensors::open(path);
  LoadReport report;
  const auto entries = entries_by_name(file, options.names, report);
  report.info = file.metadata();
  std::set<std::string> used;
  const auto take = [&](const std::string& name) -> const TensorEntry* {
    const auto it = entries.find(name);
    if (it == entries.end()) return nullptr;
    used.insert(name);
    return it->second;
  };

  // What goes where.
  std::vector<Placement> placements;
  std::vector<const ParamInfo*> completed;
  const auto place = [&](const std::string& name, const ParamInfo& p, Plane plane) {
    if (const auto* entry = take(name))
      placements.push_back({entry, &p, plane});
    else if (plane == Plane::ema && options.complete_momentum)
      completed.push_back(&p);
    else
      report.missing.push_back(name);
  };
  for (const auto& p : store_.params()) {
    const bool twin = options.momentum_as_online && p.twin;
    if (twin) {
      used.insert(p.name);
      require(entries.contains(momentum_name(p.name)), path, ": has no momentum weights ('",
              momentum_name(p.name), "')");
    }
    place(twin ? momentum_name(p.name) : p.name, p, Plane::online);
    if (p.twin && store_.has(Plane::ema)) place(momentum_name(p.name), p, Plane::ema);
    if (moments_ && p.frozen) {
      require(!entries.contains("optimizer.exp_avg." + p.name), path, ": '", p.name,
              "' was trained there and is frozen here: resume with the same frozen parameters");
    } else if (moments_) {
      place("optimizer.exp_avg." + p.name, p, Plane::exp_avg);
      place("optimizer.exp_avg_sq." + p.name, p, Plane::exp_avg_sq);
    }
  }
  std::vector<std::pair<const StateTensor*, const TensorEntry*>> states;
  for (const StateTensor& t : state_.tensors())
    if (const auto* entry = take(t.name))
      states.emplace_back(&t, entry);
    else if (t.required)
      report.missing.push_back(t.name);
  const auto known_state = state_names(file);
  for (const auto& [name, entry] : entries)
    if (!used.contains(name) && !expendable(name, known_state)) report.unexpected.push_back(name);
  if (options.by_module) {
    check_modules(path, placements, report);
  } else if (!options.allow_missing) {
    std::vector<std::string> missing = report.missing;
    if (options.dispensable) std::erase_if(missing, options.dispensable);
    require(missing.empty(), path, ": ", missing.size(),
            " tensors of the model are not in the file, the first is '", first(missing), "'");
  }

  // Whether it fits.
  std::set<const TensorEntry*> checked;
  for (Placement& p : placements) {
    check(file, p, options, report);
    checked.insert(p.entry);
  }
  for (const auto& [tensor, entry] : states) tensor->check(file, *entry);
  for (const TensorEntry& entry : file.entries())
    if (!checked.contains(&entry)) file.verify(entry);
  require(options.allow_unexpected || report.unexpected.empty(), path, ": ",
          report.unexpected.size(), " tensors do not belong to the model, the first is '",
          first(report.unexpected), "'");

  for (const Placement& p : placements) read(file, p);
  for (const auto& [tensor, entry] : states) tensor->load(file, *entry);
  report.loaded = static_cast<int>(placements.size() + states.size());
  for (const ParamInfo* p : completed)
    copy_on_device(store_.device(), store_.data(Plane::ema) + p->offset,
                   static_cast<const Real*>(store_.data(Plane::online) + p->offset), p->size);
  store_.refresh();
  return report;
}

template <class Device, class Precision>
std::map<std::string, const TensorEntry*> Checkpoint<Device, Precision>::entries_by_name(
    const SafeTensors& file, const NameRule& rule, LoadReport& report) const {
  std::set<std::string> own;
  const auto know = [&](const std::string& name) { own.insert({name, momentum_name(name)}); };
  for (const auto& p : store_.params()) know(p.name);
  for (const auto& t : store_.tied()) know(t.name);
  for (const auto& r : store_.ranges()) know(r.name);
  for (const auto& t : state_.tensors()) own.insert(t.name);
  own.merge(state_names(file));
  std::map<std::string, const TensorEntry*> entries;
  for (const auto& e : file.entries()) {
    if (!rule || own.contains(e.name)) {
      entries[e.name] = &e;
      continue;
    }
    const auto names = rule(e.name);
    for (const auto& name : names) entries.try_emplace(name, &e);
    if (names.empty()) report.unused.push_back(e.name);
  }
  return entries;
}

template <class Device, class Precision>
TensorSource Checkpoint<Device, Precision>::plane_source(const std::string& name,
                                                         const ParamInfo& p, Plane plane) const {
  TensorSource source{name, dtype_of<Real>(), {p.shape.begin(), p.shape.end()}};
  source.finite = true;
  source.produce = [this, &p, plane](const TensorSource::Put& put) {
    constexpr std::int64_t chunk = 1 << 18;
    std::vector<Real> host(static_cast<std::size_t>(std::min(chunk, p.size)));
    for (std::int64_t at = 0; at < p.size; at += chunk) {
      const std::int64_t n = std::min(chunk, p.size - at);
      copy_to_host(store_.device(), host.data(),
                   static_cast<const Real*>(store_.data(plane, p) + at), n);
      put(host.data(), static_cast<std::size_t>(n) * sizeof(Real));
    }
  };
  return source;
}

template <class Device, class Precision>
TensorSource Checkpoint<Device, Precision>::range_source(const std::string& name, int n) {
  TensorSource source{name, DType::I64, {1, n}};
  source.produce = [n](const TensorSource::Put& put) {
    for (std::int64_t i = 0; i < n; ++i) put(&i, sizeof i);
  };
  return source;
}

template <class Device, class Precision>
void Checkpoint<Device, Precision>::check_modules(const std::string& path,
                                                  const std::vector<Placement>& placements,
                                                  const LoadReport& report) const {
  const auto module = [](const std::string& name) { return name.substr(0, name.find('.')); };
  const auto list = [](const std::set<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "'" : ", '") + name + '\'';
    return out.empty() ? "none" : out;
  };
  std::set<std::string> wanted, there;
  for (const auto& p : store_.params()) wanted.insert(module(p.name));
  std::int64_t given = 0;
  for (const Placement& p : placements)
    if (p.plane == Plane::online) {
      there.insert(module(p.param->name));
      given += p.param->size;
    }
  constexpr double least = 0.1;
  const double share = static_cast<double>(given) / static_cast<double>(store_.size());
  require(share >= least, path, ": gives ", significant(100 * share, 2),
          " % of the model's values, expected at least ", 100 * least,
          " %: of the model's modules (", list(wanted), ") it has ", list(there));
  for (const auto& name : report.missing)
    require(!there.contains(module(name)), path, ": tensor '", name,
            "' of the model is not in the file, which has others of '", module(name), "'");
}

template <class Device, class Precision>
void Checkpoint<Device, Precision>::check(const SafeTensors& file, Placement& placement,
                                          const LoadOptions& options, LoadReport& report) const {
  const TensorEntry& entry = *placement.entry;
  check_values<Real>(file, entry);
  const std::vector<std::int64_t> shape(placement.param->shape.begin(),
                                        placement.param->shape.end());
  if (entry.shape == shape) return;
  const bool positions = placement.param->name.ends_with("pos_embed") && entry.shape.size() == 3 &&
                         shape.size() == 3 && entry.shape[2] == shape[2];
  require(positions && options.resize_positions, file.path(), ": tensor '", entry.name,
          "' has shape ", shape_text(entry.shape), ", the model expects ", shape_text(shape),
          positions ? " (another image size; resizing was not asked for)" : "");
  const auto patches = entry.shape[1] - 1;
  const auto side =
      std::llround(std::sqrt(static_cast<double>(std::max<std::int64_t>(patches, 0))));
  require(side > 0 && side * side == patches, file.path(), ": tensor '", entry.name, "' has ",
          entry.shape[1], " rows, expected a square number of patches plus one");
  placement.resized = true;
  report.reshaped.push_back(
      concat(entry.name, ' ', shape_text(entry.shape), " -> ", shape_text(shape)));
}

template <class Device, class Precision>
void Checkpoint<Device, Precision>::read(const SafeTensors& file,
                                         const Placement& placement) const {
  const ParamInfo& p = *placement.param;
  const auto put = [&](const Real* values, std::size_t count, std::size_t first = 0) {
    copy_to_device(store_.device(), store_.data(placement.plane, p) + first, values,
                   static_cast<std::int64_t>(count));
  };
  if (!placement.resized) return file.template values<Real>(*placement.entry, put, true);
  const int grid = static_cast<int>(std::lround(std::sqrt(static_cast<double>(p.shape[1] - 1))));
  const auto values =
      interpolate_pos_embed<Real>(file.template read<Real>(*placement.entry), p.shape[2], grid);
  put(values.data(), values.size());
}

template <class Device, class Precision>
bool Checkpoint<Device, Precision>::expendable(const std::string& name,
                                               const std::set<std::string>& state) const {
  const auto either = [&](const std::string& known) {
    return name == known || name == momentum_name(known);
  };
  for (const auto& t : store_.tied())
    if (either(t.name)) return true;
  for (const auto& r : store_.ranges())
    if (either(r.name)) return true;
  for (const auto& p : store_.params())
    if (name == momentum_name(p.name)) return true;
  return name.starts_with("optimizer.") || state.contains(name);
}

template <class Device, class Precision>
std::set<std::string> Checkpoint<Device, Precision>::state_names(const SafeTensors& file) {
  std::set<std::string> names;
  const auto found = file.metadata().find("state");
  if (found == file.metadata().end()) return names;
  std::string name;
  for (const char c : found->second + ' ')
    if (c != ' ')
      name += c;
    else if (!name.empty())
      names.insert(std::exchange(name, {}));
  return names;
}

}  // namespace albef
