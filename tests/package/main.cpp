// A small program of a user: two files, one of which composes and trains a model.
#include <cstdio>

#include "albef/core/error.hpp"
#include "albef/cpu/device.hpp"

float first_loss_minus_last(albef::Cpu& device);
#ifdef CONSUMER_PICTURES
bool pictures_are_read();
#else
bool pictures_are_read() { return true; }
#endif

int main() {
  try {
    albef::Cpu device(2);
    const float gain = first_loss_minus_last(device);
    std::printf("the loss fell by %g\n", static_cast<double>(gain));
    return gain > 0 && pictures_are_read() ? 0 : 1;
  } catch (const albef::Error& error) {
    std::puts(error.what());
    return 1;
  }
}
