// A complete checkpoint of a training run, written and read: seconds, and the memory it takes
// beside the weights. checkpoint_bench [FILE [TIMES]]; the file, of 3.4 GB for `base`, which is
// measured TIMES times (default: 3), is removed at the end. On a disk it is the disk that is
// measured: use /dev/shm to see the rest.
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/cpu/device.hpp"
#include "albef/cpu/memory.hpp"
#include "albef/models/albef.hpp"
#include "albef/optim/adamw.hpp"

namespace {

using namespace albef;

long peak_megabytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

template <class F>
double seconds(F&& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

template <class C>
void measure(const char* name, const std::string& path, int times) {
  Cpu cpu(1);
  ParamStore<Cpu> store(cpu, laid_out<Albef<C>>(), Storage::momentum, 1);
  for (const Plane plane : {Plane::ema, Plane::exp_avg, Plane::exp_avg_sq})
    std::copy_n(store.data(Plane::online), store.size(), store.data(plane));
  AdamW optimizer;
  optimizer.set_steps(std::vector<std::int64_t>(store.params().size(), 7));
  auto checkpoint = Checkpoint<Cpu, Fp32>(store).with_optimizer(optimizer);
  ::malloc_trim(0);
  const long before = peak_megabytes();
  std::vector<double> save, load;
  for (int i = 0; i < times; ++i) {
    save.push_back(seconds([&] { checkpoint.save(path, {}); }));
    load.push_back(seconds([&] { checkpoint.load(path); }));
  }
  std::sort(save.begin(), save.end());
  std::sort(load.begin(), load.end());
  const auto middle = save.size() / 2;
  std::printf(
      "%-6s %7.1f MB  save %.3f s (least %.3f)  load %.3f s (least %.3f)  %+ld MB at most\n", name,
      16e-6 * static_cast<double>(store.size()), save[middle], save[0], load[middle], load[0],
      peak_megabytes() - before);
  std::remove(path.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "checkpoint_bench.safetensors";
  measure<albef::Tiny>("tiny", path, 15);
  const int times = argc > 2 ? std::atoi(argv[2]) : 3;
  if (times > 0) measure<albef::Base>("base", path, times);
}
