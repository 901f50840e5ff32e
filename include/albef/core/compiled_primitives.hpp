// Primitives from a compiled library: one table per device and number type, made from the list.
//
// A source of the library includes the kernels of the device and core/compile_primitives.hpp, and
// instantiates CompiledPrimitives explicitly. Programs that link it include the forwarding run() of
// the device alone (cpu/compiled.hpp, cuda/primitives.hpp).
#pragma once

#include <tuple>

#include "albef/core/primitives.hpp"

namespace albef {

/// One primitive of a device as compiled: what its run() does.
template <class Device, class P>
struct Compiled {
  static primitive_result_t<P> call(Device&, const P&);
};

/// Instantiate it explicitly for Primitives<T>, where the kernels are known: the
/// table makes the compiler write out all of them.
template <class Device, class List>
struct CompiledPrimitives;
template <class Device, class... P>
struct CompiledPrimitives<Device, TypeList<P...>> {
  static const std::tuple<primitive_result_t<P> (*)(Device&, const P&)...> table;
};

/// A primitive that the library of the device holds for one of the number types.
template <class P, class... Number>
concept CompiledFor = (detail::in_list<P, Primitives<Number>> || ...);

}  // namespace albef
