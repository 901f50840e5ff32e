// Checkpoints as safetensors with the official parameter names: weights, momentum weights,
// optimizer state, queues and the position of the run.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/interpolate_pos_embed.hpp"
#include "albef/core/param_store.hpp"
#include "albef/loss/queue.hpp"
#include "albef/models/config.hpp"
#include "albef/optim/adamw.hpp"

namespace albef {

/// Name of a parameter's momentum copy: its first component gets the suffix _m
/// (text_encoder.bert.x -> text_encoder_m.bert.x).
inline std::string momentum_name(std::string_view name) {
  const auto dot = std::min(name.find('.'), name.size());
  return concat(name.substr(0, dot), "_m", name.substr(dot));
}

/// The pre-training name of a parameter that a fine-tuned official checkpoint calls
/// text_encoder.encoder... (there is no .bert. level in it); other names are returned unchanged.
inline std::string pretrain_name(const std::string& name) {
  for (const std::string_view prefix : {"text_encoder.", "text_encoder_m."})
    for (const std::string_view part : {"embeddings.", "encoder."})
      if (name.starts_with(concat(prefix, part)))
        return concat(prefix, "bert.", std::string_view(name).substr(prefix.size()));
  return name;
}

/// The transpose of a matrix (rows, cols). (Official queues are (width, size), ours (size, width).)
template <class Real>
std::vector<Real> transposed(const std::vector<Real>& values, int rows, int cols) {
  std::vector<Real> out;
  out.reserve(values.size());
  for (int j = 0; j < cols; ++j)
    for (int i = 0; i < rows; ++i)
      out.push_back(values[static_cast<std::size_t>(i) * static_cast<std::size_t>(cols) +
                           static_cast<std::size_t>(j)]);
  return out;
}
/// The transpose of a matrix on a device, on the host, and the way back.
template <class Device, class Real>
std::vector<Real> read_transposed(Device& device, Mat<Real> m) {
  std::vector<Real> values(static_cast<std::size_t>(m.rows) * static_cast<std::size_t>(m.cols));
  copy_to_host(device, values.data(), static_cast<const Real*>(m.data),
               static_cast<std::int64_t>(values.size()));
  return transposed(values, m.rows, m.cols);
}
template <class Device, class Real>
void load_transposed(Device& device, const std::vector<Real>& values, Mat<Real> m) {
  const auto rows = transposed(values, m.cols, m.rows);
  copy_to_device(device, m.data, rows.data(), static_cast<std::int64_t>(rows.size()));
}

/// Where a run stands, and whatever else its program wants to keep: text by name, stored in the
/// file's metadata.
using CheckpointInfo = std::map<std::string, std::string>;

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
  bool allow_missing = false;      ///< else Error if a parameter of the model is not in the file
  bool allow_unexpected = false;   ///< else Error if the file has tensors the model does not have
  bool resize_positions = false;   ///< else Error if position embeddings are of another grid
  bool complete_momentum = false;  ///< missing momentum weights become copies of the online ones
  NameRule names = {};             ///< empty: pretrain_name()
};

/// Writes and reads the state of a model; a path to one file.
template <class Device, class Precision>
class Checkpoint {
 public:
  using Store = ParamStore<Device, Precision>;
  using Real = typename Store::Real;
  using Queue = FeatureQueue<Device, Real>;

  explicit Checkpoint(Store& store) : store_(store) {}

  /// Adds the queues, under their official names image_queue, text_queue, queue_ptr and, where
  /// identities are known, idx_queue.
  Checkpoint& with(Queue& queue) {
    queue_ = &queue;
    return *this;
  }
  /// Adds the optimizer's moments and step counts.
  Checkpoint& with(AdamW& optimizer) {
    optimizer_ = &optimizer;
    return *this;
  }

  /// Writes the file atomically: an older file of that name is replaced as a whole or not at all.
  void save(const std::string& path, const CheckpointInfo& info) const;

  /// Reads a file into the store (and queue and optimizer, where attached). A tensor the model does
  /// not know by its own name is looked up by the rule of the options; the default accepts official
  /// fine-tuning checkpoints for the pre-training model. Throws Error naming the file and the
  /// tensors that do not fit, unless the options allow it; shapes must agree and weights be finite.
  LoadReport load(const std::string& path, const LoadOptions& options = {}) const;

 private:
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

  void read_into(const SafeTensors& file, const TensorEntry& entry, const ParamInfo& p, Plane plane,
                 const LoadOptions& options, LoadReport& report) const;

  template <class Entries, class Take>
  void load_queue(const SafeTensors& file, const Entries& entries, Take& take,
                  LoadReport& report) const;

  /// Tensors a load may leave unused: second names, range buffers, the state of a training run.
  bool expendable(const std::string& name) const;

  Store& store_;
  Queue* queue_ = nullptr;
  AdamW* optimizer_ = nullptr;
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
  std::vector<Real> image_queue, text_queue;
  std::vector<std::int64_t> identities;
  const std::int64_t pointer = queue_ ? queue_->pointer() : 0;
  if (queue_) {
    image_queue = read_transposed(store_.device(), queue_->image());
    text_queue = read_transposed(store_.device(), queue_->text());
    const std::vector<std::int64_t> shape{queue_->width(), queue_->size()};
    tensors.push_back({"image_queue", dtype_of<Real>(), shape, image_queue.data()});
    tensors.push_back({"text_queue", dtype_of<Real>(), shape, text_queue.data()});
    tensors.push_back({"queue_ptr", DType::I64, {1}, &pointer});
    identities.resize(static_cast<std::size_t>(queue_->size()));
    copy_to_host(store_.device(), identities.data(),
                 static_cast<const std::int64_t*>(queue_->identities()), queue_->size());
    const auto known = [](std::int64_t i) { return i != Queue::no_identity; };
    if (std::any_of(identities.begin(), identities.end(), known))
      tensors.push_back({"idx_queue", DType::I64, {1, queue_->size()}, identities.data()});
  }
  if (optimizer_) {
    for (const auto& p : store_.params()) {
      tensors.push_back(plane_source("optimizer.exp_avg." + p.name, p, Plane::exp_avg));
      tensors.push_back(plane_source("optimizer.exp_avg_sq." + p.name, p, Plane::exp_avg_sq));
    }
    tensors.push_back({"optimizer.steps",
                       DType::I64,
                       {static_cast<std::int64_t>(optimizer_->steps().size())},
                       optimizer_->steps().data()});
  }
  write_safetensors(path, tensors, info);
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
    if (it == entries.end()) {
      report.missing.push_back(name);
      return nullptr;
    }
    used.insert(name);
    return it->second;
  };
  const auto load_plane = [&](const std::string& name, const ParamInfo& p, Plane plane) {
    if (const auto* entry = take(name)) {
      read_into(file, *entry, p, plane, options, report);
      ++report.loaded;
    } else if (plane == Plane::ema && options.complete_momentum) {
      report.missing.pop_back();
      copy_on_device(store_.device(), store_.data(Plane::ema) + p.offset,
                     static_cast<const Real*>(store_.data(Plane::online) + p.offset), p.size);
    }
  };
  for (const auto& p : store_.params()) {
    load_plane(p.name, p, Plane::online);
    if (p.twin && store_.has(Plane::ema)) load_plane(momentum_name(p.name), p, Plane::ema);
    if (optimizer_) {
      load_plane("optimizer.exp_avg." + p.name, p, Plane::exp_avg);
      load_plane("optimizer.exp_avg_sq." + p.name, p, Plane::exp_avg_sq);
    }
  }
  if (optimizer_)
    if (const auto* entry = take("optimizer.steps"))
      optimizer_->set_steps(file.template read<std::int64_t>(*entry));
  store_.refresh();
  if (queue_) load_queue(file, entries, take, report);
  for (const auto& [name, entry] : entries)
    if (!used.contains(name) && !expendable(name)) report.unexpected.push_back(name);

  require(options.allow_missing || report.missing.empty(), path, ": ", report.missing.size(),
          " tensors of the model are not in the file, the first is '", first(report.missing), "'");
  require(options.allow_unexpected || report.unexpected.empty(), path, ": ",
          report.unexpected.size(), " tensors do not belong to the model, the first is '",
          first(report.unexpected), "'");
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
  std::map<std::string, const TensorEntry*> entries;
  for (const auto& e : file.entries()) {
    if (own.contains(e.name)) {
      entries[e.name] = &e;
      continue;
    }
    const auto names = rule ? rule(e.name) : std::vector<std::string>{pretrain_name(e.name)};
    for (const auto& name : names) entries.try_emplace(name, &e);
    if (names.empty()) report.unused.push_back(e.name);
  }
  return entries;
}

template <class Device, class Precision>
TensorSource Checkpoint<Device, Precision>::plane_source(const std::string& name,
                                                         const ParamInfo& p, Plane plane) const {
  TensorSource source{name, dtype_of<Real>(), {p.shape.begin(), p.shape.end()}};
  source.produce = [this, &p, plane](const TensorSource::Put& put) {
    constexpr std::int64_t chunk = 1 << 18;
    std::vector<Real> host(static_cast<std::size_t>(std::min(chunk, p.size)));
    for (std::int64_t at = 0; at < p.size; at += chunk) {
      const std::int64_t n = std::min(chunk, p.size - at);
      copy_to_host(store_.device(), host.data(),
                   static_cast<const Real*>(store_.data(plane) + p.offset + at), n);
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
void Checkpoint<Device, Precision>::read_into(const SafeTensors& file, const TensorEntry& entry,
                                              const ParamInfo& p, Plane plane,
                                              const LoadOptions& options,
                                              LoadReport& report) const {
  auto values = file.template read<Real>(entry);
  if (plane == Plane::online || plane == Plane::ema)
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        fail(file.path(), ": tensor '", entry.name, "' has the value ", values[i], " at ", i,
             ", expected finite weights");
  const std::vector<std::int64_t> shape(p.shape.begin(), p.shape.end());
  if (entry.shape != shape) {
    const bool positions = p.name.ends_with("pos_embed") && entry.shape.size() == 3 &&
                           shape.size() == 3 && entry.shape[2] == shape[2];
    require(positions && options.resize_positions, file.path(), ": tensor '", entry.name,
            "' has shape ", shape_text(entry.shape), ", the model expects ", shape_text(shape),
            positions ? " (another image size; resizing was not asked for)" : "");
    const int grid = static_cast<int>(std::lround(std::sqrt(static_cast<double>(shape[1] - 1))));
    values = interpolate_pos_embed<Real>(values, static_cast<int>(shape[2]), grid);
    report.reshaped.push_back(
        concat(entry.name, ' ', shape_text(entry.shape), " -> ", shape_text(shape)));
  }
  copy_to_device(store_.device(), store_.data(plane) + p.offset, values.data(), p.size);
}

template <class Device, class Precision>
template <class Entries, class Take>
void Checkpoint<Device, Precision>::load_queue(const SafeTensors& file, const Entries& entries,
                                               Take& take, LoadReport& report) const {
  const std::vector<std::int64_t> shape{queue_->width(), queue_->size()};
  for (const auto& [name, m] :
       {std::pair{"image_queue", queue_->image()}, std::pair{"text_queue", queue_->text()}}) {
    const auto* entry = take(name);
    if (!entry) continue;
    require(entry->shape == shape, file.path(), ": tensor '", name, "' has shape ",
            shape_text(entry->shape), ", expected ", shape_text(shape));
    load_transposed(store_.device(), file.template read<Real>(*entry), m);
    ++report.loaded;
  }
  if (const auto* entry = take("queue_ptr")) {
    const auto pointer = file.template read<std::int64_t>(*entry);
    require(pointer.size() == 1 && pointer[0] >= 0 && pointer[0] < std::max(1, queue_->size()),
            file.path(), ": queue_ptr is not a position in a queue of ", queue_->size());
    queue_->set_pointer(static_cast<int>(pointer[0]));
  }
  if (entries.contains("idx_queue")) {
    const auto* entry = take("idx_queue");
    const auto identities = file.template read<std::int64_t>(*entry);
    require(static_cast<int>(identities.size()) == queue_->size(), file.path(), ": idx_queue has ",
            identities.size(), " entries, expected ", queue_->size());
    copy_to_device(store_.device(), queue_->identities(), identities.data(), queue_->size());
  }
}

template <class Device, class Precision>
bool Checkpoint<Device, Precision>::expendable(const std::string& name) const {
  const auto either = [&](const std::string& known) {
    return name == known || name == momentum_name(known);
  };
  for (const auto& t : store_.tied())
    if (either(t.name)) return true;
  for (const auto& r : store_.ranges())
    if (either(r.name)) return true;
  for (const auto& p : store_.params())
    if (name == momentum_name(p.name)) return true;
  return name == "image_queue" || name == "text_queue" || name == "queue_ptr" ||
         name == "idx_queue" || name.starts_with("optimizer.");
}

/// The entries of CheckpointInfo that describe configuration C.
template <class C>
CheckpointInfo config_info() {
  CheckpointInfo info;
  for (const auto& [name, value] : config_fields<C>())
    info[concat("config.", name)] = concat(value);
  return info;
}

/// Error if a checkpoint's info states another configuration than C, naming the first field; info
/// without a configuration (an official checkpoint) passes. The image size may differ if asked for.
template <class C>
void check_config(const std::string& path, const CheckpointInfo& info,
                  bool any_image_size = false) {
  for (const auto& [name, value] : config_info<C>()) {
    if (any_image_size && name == "config.image_res") continue;
    const auto it = info.find(name);
    require(it == info.end() || it->second == value, path,
            ": checkpoint of another configuration: ", name, " is ",
            it == info.end() ? "" : it->second, ", the model has ", value);
  }
}

}  // namespace albef
