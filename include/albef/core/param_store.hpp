// The values of a model's parameters: one flat buffer per plane, and a table of names and shapes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/memory.hpp"
#include "albef/core/param.hpp"
#include "albef/core/precision.hpp"
#include "albef/core/rng.hpp"

namespace albef {

/// The flat buffers of a store: `online` weights, their gradient, Adam's moments, and the
/// exponential moving average that serves as the momentum model.
enum class Plane { online, grad, exp_avg, exp_avg_sq, ema };
inline constexpr int plane_count = 5;

/// Which planes a store holds.
enum class Storage {
  inference,  ///< online only
  training,   ///< online, grad, exp_avg, exp_avg_sq
  momentum    ///< all five
};

/// Whether a plane belongs to training: it holds nothing of frozen parameters.
constexpr bool is_state(Plane plane) {
  return plane == Plane::grad || plane == Plane::exp_avg || plane == Plane::exp_avg_sq;
}

/// What a store is made with.
struct StoreOptions {
  Storage storage = Storage::training;
  std::uint64_t seed = 42;  ///< of the first values
  /// Whether the parameter of this name is frozen (null: none is). A frozen parameter keeps its
  /// value, and its moving average too; it takes no gradient, and the planes of gradient and
  /// moments have no room for it. Gradients flow through its layer to what lies before.
  std::function<bool(std::string_view name)> frozen = {};
};

/// A stretch of the planes without frozen parameters. What lies at element i of the weights and
/// their average lies at element i - shift of gradient and moments.
struct TrainableRange {
  std::int64_t offset = 0, size = 0;  ///< of the weights, gaps between parameters included
  std::int64_t shift = 0;             ///< a multiple of 64
};

/// optim_factory.py: no weight decay iff the tensor is one-dimensional or a bias.
inline bool decays(std::string_view name, std::size_t rank) {
  return !(rank == 1 || name.ends_with(".bias"));
}

/// Whether the parameter called `name` has a momentum twin: models say so with
/// `static constexpr bool has_twin(std::string_view name)`; without it every parameter has one.
template <class M>
bool has_twin(std::string_view name) {
  if constexpr (requires { M::has_twin(name); })
    return M::has_twin(name);
  else
    return true;
}

/// Whether weight decay spares the parameter called `name` beside those decays() spares: models say
/// so with `static constexpr bool never_decays(std::string_view name)`.
template <class M>
bool never_decays(std::string_view name) {
  if constexpr (requires { M::never_decays(name); })
    return M::never_decays(name);
  else
    return false;
}

/// Values of all parameters of a model on a device. Where the precision computes in another type
/// than it keeps parameters in, the online and ema planes have a copy in that type: the optimizer
/// writes it; whoever changes these planes otherwise calls refresh().
template <class DeviceT, class Precision = Fp32>
class ParamStore {
 public:
  using Device = DeviceT;
  using Real = typename Precision::Master;
  using Compute = typename Precision::Compute;

  /// Lays out storage for `description` (see laid_out) and initialises it from the seed. The
  /// momentum plane starts as a copy of the online weights. Error if the description is not laid
  /// out, or two of its parameters have the same name.
  template <class M>
  ParamStore(Device& device, const M& description, const StoreOptions& options) : device_(device) {
    adopt(names_of(description), has_twin<M>, never_decays<M>);
    model_ = &model_layout<M>;
    allocate(options);
  }
  template <class M>
  ParamStore(Device& device, const M& description, Storage storage, std::uint64_t seed = 42)
      : ParamStore(device, description, StoreOptions{.storage = storage, .seed = seed}) {}
  /// A store of parameters known at run time only: name, shape and init of each, and whether it is
  /// frozen.
  ParamStore(Device& device, std::vector<ParamInfo> params, const StoreOptions& options)
      : device_(device), params_(std::move(params)) {
    for (auto& p : params_) {
      p.size = 1;
      for (const int n : p.shape) p.size *= n;
      p.offset = aligned_offset(size_, p.size);
      size_ = p.offset + p.size;
    }
    allocate(options);
  }
  ParamStore(Device& device, std::vector<ParamInfo> params, Storage storage,
             std::uint64_t seed = 42)
      : ParamStore(device, std::move(params), StoreOptions{.storage = storage, .seed = seed}) {}

  Device& device() const { return device_; }
  /// Values of the online and ema planes, with the gaps between parameters (zeros).
  std::int64_t size() const { return size_; }
  /// Values of a plane: those of gradient and moments are smaller where parameters are frozen.
  std::int64_t size(Plane plane) const { return is_state(plane) ? state_size_ : size_; }
  /// Bytes the planes and the copies kernels read take on the device.
  std::size_t bytes() const {
    std::size_t total = 0;
    for (const auto& plane : planes_) total += plane.bytes();
    if constexpr (has_compute_copy<Precision>)
      for (const auto& copy : copies_) total += copy.bytes();
    return total;
  }
  const std::vector<ParamInfo>& params() const { return params_; }
  const std::vector<TiedName>& tied() const { return tied_; }
  const std::vector<RangeBuffer>& ranges() const { return ranges_; }

  bool has(Plane plane) const { return static_cast<bool>(planes_[static_cast<int>(plane)]); }
  Real* data(Plane plane) const { return planes_[static_cast<int>(plane)].data(); }
  /// Where a parameter lies in a plane: null for what training keeps of a frozen one, and for what
  /// it keeps of parameters of which only some are frozen, see in_one_piece(). Error if they are
  /// parameters of another model than the store was made for.
  Real* data(Plane plane, ParamSpan p) const {
    check(p);
    if (!is_state(plane)) return data(plane) + p.offset;
    if (frozen_ == 0) [[likely]]
      return data(plane) + p.offset;
    const ParamInfo& first = info(p.index);
    return in_one_piece(p) ? data(plane) + (p.offset - first.offset + first.state_offset) : nullptr;
  }
  Real* data(Plane plane, const ParamInfo& p) const {
    if (is_state(plane)) return p.frozen ? nullptr : data(plane) + p.state_offset;
    return data(plane) + p.offset;
  }

  /// Whether parameter `index` of the table is trained: gradient and moments have room for it.
  bool trainable(int index) const { return has(Plane::grad) && !info(index).frozen; }
  /// Whether any of the parameters is.
  bool trainable(ParamSpan p) const {
    if (!has(Plane::grad) || p.size == 0) return false;
    check(p);
    return frozen_ == 0 || !all_frozen(p);
  }
  /// Whether none of the parameters is frozen, so that their gradients lie one behind the other.
  bool in_one_piece(ParamSpan p) const {
    if (frozen_ == 0) [[likely]]
      return true;
    for (int i = p.index; i < p.index + p.count; ++i)
      if (info(i).frozen) return false;
    return true;
  }
  /// How many parameters of the table are frozen.
  int frozen() const { return frozen_; }
  /// The stretches of the planes between frozen parameters, in order; one if there are none.
  const std::vector<TrainableRange>& trainable_ranges() const { return trainable_; }

  /// The weights of plane online or ema in the type kernels read.
  Compute* compute(Plane plane) const {
    if constexpr (has_compute_copy<Precision>)
      return copies_[plane == Plane::ema].data();
    else
      return data(plane);
  }
  Compute* compute(Plane plane, ParamSpan p) const {
    check(p);
    return compute(plane) + p.offset;
  }
  /// Brings the copies kernels read up to date with the online and ema planes.
  void refresh() {
    if constexpr (has_compute_copy<Precision>)
      for (const Plane plane : {Plane::online, Plane::ema})
        if (has(plane))
          convert(device_, static_cast<const Real*>(data(plane)), compute(plane), size_);
  }

  /// The parameter called `name`; Error if there is none.
  const ParamInfo& find(std::string_view name) const {
    for (const auto& p : params_)
      if (p.name == name) return p;
    fail("no parameter is called '", name, "'");
  }

  /// Draws every parameter anew: parameter i uses Philox stream i of `seed`.
  void initialize(std::uint64_t seed) {
    std::vector<Real> values;
    for (std::size_t i = 0; i < params_.size(); ++i) {
      const auto& p = params_[i];
      RandomStream random(seed, mix(0x9a7a3, i));
      values.resize(static_cast<std::size_t>(p.size));
      for (auto& v : values) v = static_cast<Real>(draw(p.init, random));
      copy_to_device(device_, data(Plane::online) + p.offset, values.data(), p.size);
    }
    if (has(Plane::ema)) copy_on_device(device_, data(Plane::ema), data(Plane::online), size_);
    refresh();
  }

  /// The momentum model restarts from the online weights.
  void copy_online_to_ema() {
    copy_on_device(device_, data(Plane::ema), data(Plane::online), size_);
    refresh();
  }

  /// `count` words on the device for whoever reduces over the whole store; the same memory at each
  /// call, which moves only when more is asked for than ever before.
  double* scratch_words(int count) {
    if (count > words_.size()) words_ = Buffer<Device, double>(device_, count);
    return words_.data();
  }

  /// Whether parameter `index` has received a gradient since clear_gradients().
  bool touched(int index) const { return touched_[static_cast<std::size_t>(index)] != 0; }
  /// Marks the trainable parameters of `p` and returns the factor for their old gradient: 0 or 1.
  /// Where only some of them were touched before, the others are set to zero first.
  Real touch(ParamSpan p) {
    check(p);
    int before = 0;
    for (int i = p.index; i < p.index + p.count; ++i) before += touched(i);
    for (int i = p.index; i < p.index + p.count; ++i) {
      const ParamInfo& part = info(i);
      if (part.frozen) continue;
      if (before != 0 && !touched(i))
        fill_zero(device_, data(Plane::grad, part),
                  static_cast<std::size_t>(part.size) * sizeof(Real));
      touched_[static_cast<std::size_t>(i)] = 1;
    }
    return before == 0 ? Real{0} : Real{1};
  }
  /// Forgets all gradients without writing memory: the next write of each replaces it.
  void clear_gradients() { std::fill(touched_.begin(), touched_.end(), char{0}); }

 private:
  void check(ParamSpan p) const {
    if (p.model != model_) [[unlikely]]
      foreign(p);
  }
  [[noreturn, gnu::cold, gnu::noinline]] void foreign(ParamSpan p) const {
    require(p.model != nullptr, "a parameter of ", p.size,
            " values was not laid out: make the model with laid_out<M>()");
    fail("a parameter of ", p.model->name, " is used with a store of ",
         model_ ? model_->name : "parameters known at run time only");
  }
  [[gnu::noinline]] void adopt(ModelNames names, bool (*has_twin)(std::string_view),
                               bool (*never_decays)(std::string_view)) {
    params_ = std::move(names.params);
    tied_ = std::move(names.tied);
    ranges_ = std::move(names.ranges);
    for (auto& p : params_) {
      p.decay = decays(p.name, p.shape.size()) && !never_decays(p.name);
      p.twin = has_twin(p.name);
      size_ = p.offset + p.size;
    }
  }
  [[gnu::noinline]] void allocate(const StoreOptions& options) {
    const Storage storage = options.storage;
    if (options.frozen)
      for (auto& p : params_) p.frozen = p.frozen || options.frozen(p.name);
    place_state();
    const int planes = storage == Storage::inference ? 1 : storage == Storage::training ? 4 : 5;
    for (int i = 0; i < planes; ++i)
      planes_[i] = Buffer<Device, Real>(device_, size(static_cast<Plane>(i)));
    if constexpr (has_compute_copy<Precision>)
      for (int i = 0; i < (storage == Storage::momentum ? 2 : 1); ++i)
        copies_[i] = Buffer<Device, Compute>(device_, size_);
    touched_.assign(params_.size(), 0);
    initialize(options.seed);
  }
  /// Gives the trainable parameters their places in gradient and moments: those of neighbours are
  /// as far apart as in the weights, and all are aligned as there.
  void place_state() {
    for (auto& p : params_) {
      frozen_ += p.frozen;
      if (p.frozen) continue;
      const bool starts = &p == params_.data() || (&p)[-1].frozen;
      if (starts) {
        // The first place behind the last range that is as far into its 64 values as p.offset.
        const std::int64_t lag = (p.offset - state_size_) % 64;
        trainable_.push_back(
            {.offset = p.offset, .shift = p.offset - state_size_ - (lag + 64) % 64});
      }
      TrainableRange& range = trainable_.back();
      range.size = p.offset + p.size - range.offset;
      p.state_offset = p.offset - range.shift;
      state_size_ = p.state_offset + p.size;
    }
  }
  const ParamInfo& info(int index) const { return params_[static_cast<std::size_t>(index)]; }
  bool all_frozen(ParamSpan p) const {
    for (int i = p.index; i < p.index + p.count; ++i)
      if (!info(i).frozen) return false;
    return true;
  }

  static float draw(const Init& init, RandomStream& random) {
    switch (init.kind) {
      case Init::Kind::constant:
        return init.value;
      case Init::Kind::uniform:
        return random.uniform(-init.value, init.value);
      case Init::Kind::normal:
        return init.value * random.normal();
      case Init::Kind::trunc_normal:
        for (;;)
          if (const float v = init.value * random.normal(); std::abs(v) <= 2.0f) return v;
    }
    return 0;
  }

  Device& device_;
  const ModelLayout* model_ = nullptr;
  std::vector<ParamInfo> params_;
  std::vector<TiedName> tied_;
  std::vector<RangeBuffer> ranges_;
  std::vector<char> touched_;
  std::vector<TrainableRange> trainable_;
  std::int64_t size_ = 0, state_size_ = 0;
  int frozen_ = 0;
  Buffer<Device, double> words_{device_, 1};
  Buffer<Device, Real> planes_[plane_count];
  Buffer<Device, Compute> copies_[has_compute_copy<Precision> ? 2 : 1];  // of online and ema
};

}  // namespace albef
