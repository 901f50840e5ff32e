// Every primitive of the list on a device, in any number type, against plain loops in double.
#pragma once

#include <doctest/doctest.h>

#include "primitive_cases.hpp"

namespace cases {

template <class V>
bool same_bits(const std::vector<V>& a, const std::vector<V>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(V)) == 0;
}

template <class V>
void check_bits(const std::vector<V>& a, const std::vector<V>& b) {
  CHECK(same_bits(a, b));
}
template <class Output>
void check_error(const Output& output, double bound) {
  CHECK(output.error() <= bound);
}

/// Runs f on both sides and compares the outputs; the device must repeat its bits, also in another
/// order of its work.
template <class T, class F, class... Outputs>
void compare(double bound, F f, Outputs&... outputs) {
  (outputs.restore(), ...);
  other_order(true);
  f(OnDevice<T>{});
  const auto first = std::make_tuple(outputs.download()...);
  (outputs.restore(), ...);
  other_order(false);
  f(OnDevice<T>{});
  const auto second = std::make_tuple(outputs.download()...);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (check_bits(std::get<I>(first), std::get<I>(second)), ...);
  }
  (std::index_sequence_for<Outputs...>{});
  f(OnHost{});
  (check_error(outputs, bound), ...);
}

/// The harness of the tests.
struct Check {
  template <class Size, std::size_t N>
  std::vector<Size> sizes(const Size (&small)[N], const Size&) const {
    return {small, small + N};
  }
  template <class T, class Make, class... Outputs>
  void check(double bound, Make make, Outputs&... outputs) const {
    compare<T>(
        bound, [&](auto on) { run(on.device, make(on)); }, outputs...);
  }
};

template <class... P>
void check_primitives(albef::TypeList<P...>) {
  const auto one = []<class Q>(std::type_identity<Q>) {
    const std::string name = __PRETTY_FUNCTION__;
    CAPTURE(name);
    PrimitiveCase<Q>::each(Check{});
  };
  (one(std::type_identity<P>{}), ...);
}

}  // namespace cases
