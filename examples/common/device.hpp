// --device, --precision and --threads of the programs, and running on the device they describe.
#pragma once

#include <string>

#include "albef/core/precision.hpp"
#include "albef/cpu.hpp"
#include "common/program.hpp"
#ifdef ALBEF_WITH_CUDA  // set by the build where ALBEF_EXAMPLE_DEVICES has cuda
#include "albef/cuda.hpp"
#endif

namespace examples {

#ifdef ALBEF_WITHOUT_CPU  // set where ALBEF_EXAMPLE_DEVICES is cuda alone
inline constexpr const char* default_device = "cuda";
#else
inline constexpr const char* default_device = "cpu";
#endif

struct DeviceArguments {
  std::string device = default_device, precision;
  int threads = 0, gpu = 0;
  bool tf32 = false;

  /// `trains`: the program also takes --precision.
  void add_to(Command& app, bool trains = false, const std::string& group = "Options") {
    app.add_option("--device", device, "cpu, or cuda where the program is built with it")
        .one_of({"cpu", "cuda"})
        .capture_default_str()
        .group(group);
    app.add_option("--gpu", gpu, "number of the GPU").capture_default_str().group(group);
    app.add_flag("--tf32", tf32, "single-precision products on the GPU may round to TF32")
        .group(group);
    app.add_option("--threads", threads, "compute threads on the CPU; 0: one per core")
        .capture_default_str()
        .group(group);
    if (trains)
      app.add_option("--precision", precision, "fp32, or bf16 on the GPU, where it is the default")
          .one_of({"fp32", "bf16"})
          .group(group);
  }
};

namespace detail {

template <class F>
int with_cpu([[maybe_unused]] const DeviceArguments& args, [[maybe_unused]] F&& f) {
#ifndef ALBEF_WITHOUT_CPU
  albef::Cpu cpu(args.threads);
  return f(cpu);
#else
  albef::fail("this program was built for --device cuda only (see ALBEF_EXAMPLE_DEVICES)");
#endif
}
template <class F>
int with_cuda([[maybe_unused]] const DeviceArguments& args, [[maybe_unused]] F&& f) {
#ifdef ALBEF_WITH_CUDA
  albef::Cuda cuda({.index = args.gpu, .tf32 = args.tf32});
  return f(cuda);
#else
  albef::fail("this program was built without the CUDA backend (configure with -DALBEF_CUDA=ON)");
#endif
}

}  // namespace detail

/// Returns f(device) for the device asked for, to compute in single precision.
template <class F>
int with_device(const DeviceArguments& args, F&& f) {
  return args.device == "cuda" ? detail::with_cuda(args, f) : detail::with_cpu(args, f);
}

/// Returns f.operator()<Precision>(device) for the device and precision asked for.
template <class F>
int with_device_and_precision(const DeviceArguments& args, F&& f) {
  if (args.device == "cuda")
    return detail::with_cuda(args, [&](auto& cuda) {
      if (args.precision == "fp32") return f.template operator()<albef::Fp32>(cuda);
      return f.template operator()<albef::Bf16>(cuda);
    });
  albef::require(args.precision != "bf16", "--precision bf16 needs --device cuda");
  return detail::with_cpu(args, [&](auto& cpu) { return f.template operator()<albef::Fp32>(cpu); });
}

/// A main function whose options are `app`'s and those of the device: calls f(device).
template <class F>
int run_on_device(Program& app, int argc, char** argv, F&& f) {
  DeviceArguments args;
  args.add_to(app);
  return app.run(argc, argv, [&] { return with_device(args, f); });
}

}  // namespace examples
