// The values of a model's parameters: one flat buffer per plane, and a table of names and shapes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
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

/// Values of all parameters of a model on a device. Where the precision computes in another type
/// than it keeps parameters in, the online and ema planes have a copy in that type: the optimizer
/// writes it; whoever changes these planes otherwise calls refresh().
template <class DeviceT, class Precision = Fp32>
class ParamStore {
 public:
  using Device = DeviceT;
  using Real = typename Precision::Master;
  using Compute = typename Precision::Compute;

  /// Lays out storage for `description` (see laid_out) and initialises it from `seed`. The momentum
  /// plane starts as a copy of the online weights.
  template <class M>
  ParamStore(Device& device, const M& description, Storage storage, std::uint64_t seed = 42)
      : device_(device) {
    ModelNames names;
    detail::NameVisitor{names, ""}("", description);
    adopt(std::move(names), has_twin<M>);
    allocate(storage, seed);
  }
  /// A store of parameters known at run time only: name, shape and init of each.
  ParamStore(Device& device, std::vector<ParamInfo> params, Storage storage,
             std::uint64_t seed = 42)
      : device_(device), params_(std::move(params)) {
    for (auto& p : params_) {
      p.size = 1;
      for (const int n : p.shape) p.size *= n;
      p.offset = aligned_offset(size_, p.size);
      size_ = p.offset + p.size;
    }
    allocate(storage, seed);
  }

  Device& device() const { return device_; }
  /// Values of a plane, with the gaps between parameters (zeros).
  std::int64_t size() const { return size_; }
  const std::vector<ParamInfo>& params() const { return params_; }
  const std::vector<TiedName>& tied() const { return tied_; }
  const std::vector<RangeBuffer>& ranges() const { return ranges_; }

  bool has(Plane plane) const { return static_cast<bool>(planes_[static_cast<int>(plane)]); }
  Real* data(Plane plane) const { return planes_[static_cast<int>(plane)].data(); }
  Real* data(Plane plane, ParamSpan p) const { return data(plane) + p.offset; }
  /// The weights of plane online or ema in the type kernels read.
  Compute* compute(Plane plane) const {
    if constexpr (has_compute_copy<Precision>)
      return copies_[plane == Plane::ema].data();
    else
      return data(plane);
  }
  Compute* compute(Plane plane, ParamSpan p) const { return compute(plane) + p.offset; }
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

  /// One word on the device for whoever reduces over the whole store.
  double* scratch_word() const { return word_.data(); }

  /// Whether parameter `index` has received a gradient since clear_gradients().
  bool touched(int index) const { return touched_[static_cast<std::size_t>(index)] != 0; }
  /// Marks the parameters of `p` and returns the factor for their old gradient: 0 or 1. Where only
  /// some of them were touched before, the others are set to zero first.
  Real touch(ParamSpan p) {
    int before = 0;
    for (int i = p.index; i < p.index + p.count; ++i) before += touched(i);
    for (int i = p.index; i < p.index + p.count; ++i) {
      const auto& info = params_[static_cast<std::size_t>(i)];
      if (before != 0 && !touched(i))
        fill_zero(device_, data(Plane::grad) + info.offset,
                  static_cast<std::size_t>(info.size) * sizeof(Real));
      touched_[static_cast<std::size_t>(i)] = 1;
    }
    return before == 0 ? Real{0} : Real{1};
  }
  /// Forgets all gradients without writing memory: the next write of each replaces it.
  void clear_gradients() { std::fill(touched_.begin(), touched_.end(), char{0}); }

 private:
  [[gnu::noinline]] void adopt(ModelNames names, bool (*has_twin)(std::string_view)) {
    params_ = std::move(names.params);
    tied_ = std::move(names.tied);
    ranges_ = std::move(names.ranges);
    for (auto& p : params_) {
      p.decay = decays(p.name, p.shape.size());
      p.twin = has_twin(p.name);
      size_ = p.offset + p.size;
    }
  }
  [[gnu::noinline]] void allocate(Storage storage, std::uint64_t seed) {
    const int planes = storage == Storage::inference ? 1 : storage == Storage::training ? 4 : 5;
    for (int i = 0; i < planes; ++i) planes_[i] = Buffer<Device, Real>(device_, size_);
    if constexpr (has_compute_copy<Precision>)
      for (int i = 0; i < (storage == Storage::momentum ? 2 : 1); ++i)
        copies_[i] = Buffer<Device, Compute>(device_, size_);
    touched_.assign(params_.size(), 0);
    initialize(seed);
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
  std::vector<ParamInfo> params_;
  std::vector<TiedName> tied_;
  std::vector<RangeBuffer> ranges_;
  std::vector<char> touched_;
  std::int64_t size_ = 0;
  Buffer<Device, double> word_{device_, 1};
  Buffer<Device, Real> planes_[plane_count];
  Buffer<Device, Compute> copies_[has_compute_copy<Precision> ? 2 : 1];  // of online and ema
};

}  // namespace albef
