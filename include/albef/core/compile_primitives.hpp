// Definitions for the sources of a compiled library of primitives; see
// core/compiled_primitives.hpp.
#pragma once

#include "albef/core/compiled_primitives.hpp"

namespace albef {

template <class Device, class P>
primitive_result_t<P> Compiled<Device, P>::call(Device& device, const P& arguments) {
  return run(device, arguments);
}

template <class Device, class... P>
const std::tuple<primitive_result_t<P> (*)(Device&, const P&)...>
    CompiledPrimitives<Device, TypeList<P...>>::table{&Compiled<Device, P>::call...};

}  // namespace albef
