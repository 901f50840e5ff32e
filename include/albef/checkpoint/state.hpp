// Named state: what a run keeps beside its parameters (queues, centres, counts), by name, so that
// checkpoints hold it without knowing it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/error.hpp"
#include "albef/core/matrix.hpp"

namespace albef {

/// One tensor of named state.
struct StateTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  bool saved = true;     ///< false: it says nothing now, and is left out of the file
  bool required = true;  ///< false: a file without it leaves the state as it is
  std::function<void(const TensorSource::Put&)> produce;
  /// Throws Error if the tensor of a file does not fit; changes nothing.
  std::function<void(const SafeTensors&, const TensorEntry&)> check;
  std::function<void(const SafeTensors&, const TensorEntry&)> load;
};

/// Error unless a tensor is as it was written and all its values, as T, are finite.
template <class T>
void check_values(const SafeTensors& file, const TensorEntry& entry) {
  file.values<T>(entry, [&](const T* values, std::size_t count, std::size_t first) {
    if (const auto i = detail::first_not_finite<T>(values, count); i < count)
      fail(file.path(), ": tensor '", entry.name, "' has the value ", values[i], " at ", first + i,
           ", expected finite values");
  });
}

/// Collects named state. Whoever has some lists it in
///   void named(auto&& f) { f("centre", centre.data(), {width}); f.transposed(...); ... }
/// which runs for saving and for loading alike; what it lists must outlive the list.
template <class Device>
class StateList {
 public:
  explicit StateList(Device& device) : device_(device) {}

  const std::vector<StateTensor>& tensors() const { return tensors_; }

  /// Values on the device, row-major. Floating-point ones must be finite in a file.
  template <class T>
  StateTensor& operator()(std::string name, T* data, std::vector<std::int64_t> shape) {
    const std::int64_t count = elements(shape);
    StateTensor& t = add<T>(std::move(name), std::move(shape));
    t.produce = [&d = device_, data, count](const TensorSource::Put& put) {
      const auto values = on_host(d, data, count);
      put(values.data(), values.size() * sizeof(T));
    };
    t.load = [&d = device_, data](const SafeTensors& file, const TensorEntry& entry) {
      const auto put = [&](const T* values, std::size_t n, std::size_t first) {
        copy_to_device(d, data + first, values, static_cast<std::int64_t>(n));
      };
      file.template values<T>(entry, put, true);
    };
    return t;
  }
  /// A matrix on the device whose transpose, (cols, rows), the file holds.
  template <class T>
  StateTensor& transposed(std::string name, Mat<T> m) {
    StateTensor& t = add<T>(std::move(name), {m.cols, m.rows});
    t.produce = [&d = device_, m](const TensorSource::Put& put) {
      const auto values =
          albef::transposed(on_host(d, m.data, std::int64_t{m.rows} * m.cols), m.rows, m.cols);
      put(values.data(), values.size() * sizeof(T));
    };
    t.load = [&d = device_, m](const SafeTensors& file, const TensorEntry& entry) {
      const auto values = albef::transposed(file.template read<T>(entry), m.cols, m.rows);
      copy_to_device(d, m.data, values.data(), static_cast<std::int64_t>(values.size()));
    };
    return t;
  }
  /// A whole number of the host from 0 to below `limit`.
  template <class T>
  StateTensor& number(std::string name, T& value, std::int64_t limit) {
    static_assert(std::is_integral_v<T>, "StateList: number() is for whole numbers");
    StateTensor& t = add<std::int64_t>(std::move(name), {1});
    t.produce = [&value](const TensorSource::Put& put) {
      const auto wide = static_cast<std::int64_t>(value);
      put(&wide, sizeof wide);
    };
    t.check = below(limit, t.check);
    t.load = [&value](const SafeTensors& file, const TensorEntry& entry) {
      value = static_cast<T>(file.template read<std::int64_t>(entry)[0]);
    };
    return t;
  }
  /// The same of one on the device.
  StateTensor& number(std::string name, std::int64_t* data, std::int64_t limit) {
    StateTensor& t = (*this)(std::move(name), data, {1});
    t.check = below(limit, t.check);
    return t;
  }
  /// Counts kept by the host: none yet, or `size` of them, none negative.
  StateTensor& counts(std::string name, std::vector<std::int64_t>& values, std::size_t size) {
    StateTensor& t = add<std::int64_t>(std::move(name), {static_cast<std::int64_t>(size)});
    t.produce = [&values, size](const TensorSource::Put& put) {
      values.resize(size, 0);
      put(values.data(), values.size() * sizeof(std::int64_t));
    };
    t.check = [shaped = t.check](const SafeTensors& file, const TensorEntry& entry) {
      shaped(file, entry);
      for (const auto v : file.template read<std::int64_t>(entry))
        require(v >= 0, file.path(), ": tensor '", entry.name, "' has the count ", v);
    };
    t.load = [&values](const SafeTensors& file, const TensorEntry& entry) {
      values = file.template read<std::int64_t>(entry);
    };
    return t;
  }

 private:
  using Check = std::function<void(const SafeTensors&, const TensorEntry&)>;

  static Check below(std::int64_t limit, Check shaped) {
    return [limit, shaped](const SafeTensors& file, const TensorEntry& entry) {
      shaped(file, entry);
      const auto found = file.template read<std::int64_t>(entry)[0];
      require(found >= 0 && found < limit, file.path(), ": tensor '", entry.name, "' is ", found,
              ", expected 0 to ", limit - 1);
    };
  }
  static std::int64_t elements(const std::vector<std::int64_t>& shape) {
    std::int64_t n = 1;
    for (const auto size : shape) n *= size;
    return n;
  }
  template <class T>
  static std::vector<T> on_host(Device& device, const T* data, std::int64_t count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    copy_to_host(device, values.data(), data, count);
    return values;
  }
  template <class T>
  StateTensor& add(std::string name, std::vector<std::int64_t> shape) {
    StateTensor& t = tensors_.emplace_back();
    t.name = std::move(name);
    t.dtype = dtype_of<T>();
    t.shape = std::move(shape);
    t.check = [expected = t.shape](const SafeTensors& file, const TensorEntry& entry) {
      require(entry.shape == expected, file.path(), ": tensor '", entry.name, "' has shape ",
              shape_text(entry.shape), ", expected ", shape_text(expected));
      if constexpr (std::is_floating_point_v<T>) check_values<T>(file, entry);
    };
    return t;
  }

  Device& device_;
  std::vector<StateTensor> tensors_;
};

}  // namespace albef
