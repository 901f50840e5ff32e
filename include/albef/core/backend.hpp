// What a type must offer to be a device: memory, and run() for every primitive of the list.
//
// A device is a handle type (Cpu, Cuda, ...). Layers call run(ctx.device(), primitive::...)
// unqualified, so that the overloads are found in the namespace of the device: a new device is one
// more overload set, and no layer, loss or model changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "albef/core/primitives.hpp"

namespace albef {

/// The device runs this primitive.
template <class D, class P>
concept Runs = requires(D& device, const P& arguments) {
  run(device, arguments);
};

namespace detail {

template <class D, class List>
inline constexpr bool runs_all = false;
template <class D, class... P>
inline constexpr bool runs_all<D, TypeList<P...>> = (Runs<D, P> && ...);

}  // namespace detail

/// Memory of a device. copy_to_device reads host memory, which may change right afterwards; only
/// copy_to_host waits for what was queued.
template <class D, class T>
concept DeviceMemory = requires(D& d, void* p, std::size_t bytes, T* x, const T* cx,
                                std::int64_t n) {
  allocate_bytes(d, bytes);
  release_bytes(d, p, bytes);
  fill_zero(d, p, bytes);
  copy_to_device(d, x, cx, n);
  copy_to_host(d, x, cx, n);
  copy_on_device(d, x, cx, n);
};

/// A type is a backend for activations of type T when it has memory and runs all primitives.
template <class D, class T>
concept Backend = DeviceMemory<D, T> && detail::runs_all<D, Primitives<T>>;

/// x[0, n) = value
template <class D, class T>
void fill(D& device, T* x, T value, std::int64_t n) {
  run(device, primitive::Fill<T>{x, value, n});
}
/// to[i] = from[i] in the type of `to`.
template <class D, class From, class To>
void convert(D& device, const From* from, To* to, std::int64_t n) {
  run(device, primitive::Convert<From, To>{from, to, n});
}

}  // namespace albef
