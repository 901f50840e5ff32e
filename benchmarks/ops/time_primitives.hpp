// A benchmark of every primitive of the list with the operands of the tests, at the sizes of the
// base models. The includer provides Device& test_device() and void wait_for(Device&).
#pragma once

#include <benchmark/benchmark.h>

#include <string>

#include "support/primitive_cases.hpp"

namespace cases {

/// The harness of the benchmarks: times the first problem of a case, without the forward pass that
/// a backward pass needs.
struct Time {
  benchmark::State& state;
  bool* done;

  template <class Size, std::size_t N>
  std::vector<Size> sizes(const Size (&)[N], const Size& large) const {
    return {large};
  }
  template <class T, class Make, class... Outputs>
  void check(double, Make make, Outputs&...) const {
    if (std::exchange(*done, true)) return;
    const auto arguments = make(OnDevice<T>{});
    run(test_device(), arguments);
    wait_for(test_device());
    for (auto _ : state) {
      run(test_device(), arguments);
      wait_for(test_device());
    }
  }
};

/// "LayerNorm<float>" of "... [with Q = albef::primitive::LayerNorm<float>]".
template <class P>
std::string primitive_name() {
  std::string name = __PRETTY_FUNCTION__;
  const std::string mark = "primitive::";
  name.erase(0, name.find(mark) + mark.size());
  return name.substr(0, name.find_first_of(";]"));
}

template <class... P>
bool register_primitives(albef::TypeList<P...>) {
  const auto one = []<class Q>(std::type_identity<Q>) {
    benchmark::RegisterBenchmark(primitive_name<Q>().c_str(),
                                 [](benchmark::State& state) {
                                   bool done = false;
                                   PrimitiveCase<Q>::each(Time{state, &done});
                                 })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  };
  (one(std::type_identity<P>{}), ...);
  return true;
}

}  // namespace cases
