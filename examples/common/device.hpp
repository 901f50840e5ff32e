// --device, --precision and --threads of the programs, and running on the device they describe.
#pragma once

#include <cstdio>
#include <string>
#include <thread>
#include <type_traits>

#include "albef/core/precision.hpp"
#include "albef/cpu.hpp"
#include "common/program.hpp"
#ifdef ALBEF_WITH_CUDA  // set by the build where ALBEF_EXAMPLE_DEVICES has cuda
#include "albef/cuda.hpp"
#endif

namespace examples {

struct DeviceArguments {
#ifdef ALBEF_WITHOUT_CPU  // set where ALBEF_EXAMPLE_DEVICES is cuda alone
  std::string device = "cuda", precision;
#else
  std::string device = "cpu", precision;
#endif
  int threads = 0, gpu = 0;
  bool tf32 = false;

  /// `trains`: the program also takes --precision.
  void add_to(const Command& app, bool trains = false) {
    app.add("--device", device, "cpu, or cuda where the program is built with it",
            one_of({"cpu", "cuda"}));
    app.add("--gpu", gpu, "number of the GPU", range(0, 255));
    app.add("--tf32", tf32, "single-precision products on the GPU may round to TF32");
    app.add("--threads", threads, "compute threads on the CPU; 0: one per core", range(0, 4096));
    if (trains)
      app.add("--precision", precision, "fp32, or bf16 on the GPU, where it is the default",
              one_of({"fp32", "bf16"}));
  }
};

/// Returns f(device) for the device asked for, to compute in single precision.
template <class F>
int with_device(const DeviceArguments& args, F&& f) {
  if (args.device == "cpu") {
#ifndef ALBEF_WITHOUT_CPU
    const auto cores = static_cast<int>(std::thread::hardware_concurrency());
    if (cores > 0 && args.threads > 2 * cores)
      std::fprintf(stderr, "--threads %d: there are %d cores; more threads make it slower\n",
                   args.threads, cores);
    albef::Cpu cpu(args.threads);
    return f(cpu);
#endif
  } else {
#ifdef ALBEF_WITH_CUDA
    albef::Cuda cuda({.index = args.gpu, .tf32 = args.tf32});
    return f(cuda);
#endif
  }
  albef::fail("this program was built without --device ", args.device,
              " (see ALBEF_CUDA and ALBEF_EXAMPLE_DEVICES)");
}

/// Returns f.operator()<Precision>(device) for the device and precision asked for.
template <class F>
int with_device_and_precision(const DeviceArguments& args, F&& f) {
  albef::require(args.device == "cuda" || args.precision != "bf16",
                 "--precision bf16 needs --device cuda");
  return with_device(args, [&]<class Device>(Device& device) {
    if constexpr (!std::is_same_v<Device, albef::Cpu>)
      if (args.precision != "fp32") return f.template operator()<albef::Bf16>(device);
    return f.template operator()<albef::Fp32>(device);
  });
}

/// A main function whose options are `app`'s and those of the device: calls f(device).
template <class F>
int run_on_device(Program& app, int argc, char** argv, F&& f) {
  DeviceArguments args;
  args.add_to(app);
  return app.run(argc, argv, [&] { return with_device(args, f); });
}

}  // namespace examples
