// Every primitive of the CUDA backend against plain loops in double, in float, double and bfloat16.
#pragma once

#include "support/check_primitives.hpp"

TEST_CASE_TEMPLATE("primitives of the CUDA device" * doctest::skip(no_test_device()), T, float,
                   double, albef::bfloat16) {
  cases::check_primitives(albef::Primitives<T>{});
}

TEST_CASE("attention: wrong arguments are named" * doctest::skip(no_test_device())) {
  cases::Matrix<float> x(4, 6);
  cases::Lengths one({4}), two({2, 2});
  albef::primitive::Attention<float> a;
  a.q = a.k = a.v = x.device(), a.out = x.device();
  a.q_seq = a.kv_seq = one.at(one.offsets.device());
  a.heads = 4;
  CHECK_THROWS_WITH_AS(run(test_device(), a), "[attention] width 6 is not a multiple of 4 heads",
                       albef::Error);
  a.heads = 2;
  a.kv_seq = two.at(two.offsets.device());
  CHECK_THROWS_AS(run(test_device(), a), albef::Error);
}
