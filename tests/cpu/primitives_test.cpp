// Every primitive of the CPU backend against plain loops in double: ragged sizes, gaps between
// rows, beta, and the same bits for one thread and for three.
#include "albef/cpu/primitives.hpp"
#include "albef/cpu/device.hpp"
#include "albef/cpu/memory.hpp"

namespace {

bool three_threads = false;
albef::Cpu& test_device() {
  static albef::Cpu one(1), three(3);
  return three_threads ? three : one;
}
void other_order(bool on) { three_threads = on; }

}  // namespace

#include "support/check_primitives.hpp"

TEST_CASE_TEMPLATE("primitives of the CPU", T, float, double) {
  cases::check_primitives(albef::Primitives<T>{});
}
