// The main function of test_gpu: without a working GPU it ends with 77, by which ctest counts it as
// skipped, not as passed.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "gpu/test_device.hpp"

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int result = context.run();
  if (result != 0 || context.shouldExit()) return result;
  return no_test_device() ? 77 : 0;
}
