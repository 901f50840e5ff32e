// The CPU device: how many threads it takes, what happens where there are no more, what its tasks
// throw, and memory that is not there.
#include "albef/cpu/device.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <string>

#include "albef/core/memory.hpp"
#include "albef/cpu/memory.hpp"

using albef::Cpu;
using albef::Error;

namespace {

std::string error_of(auto&& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

/// ALBEF_THREADS while it lives.
struct Wish {
  explicit Wish(const char* value) { ::setenv("ALBEF_THREADS", value, 1); }
  ~Wish() {
    if (before_.empty())
      ::unsetenv("ALBEF_THREADS");
    else
      ::setenv("ALBEF_THREADS", before_.c_str(), 1);
  }

 private:
  std::string before_ = std::getenv("ALBEF_THREADS") ? std::getenv("ALBEF_THREADS") : "";
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // whose shadow does not fit into a limit of memory
#else
constexpr bool sanitized = false;
#endif

}  // namespace

TEST_CASE("numbers of threads that make no sense are refused") {
  CHECK(Cpu(3).threads() == 3);
  CHECK(error_of([] { Cpu cpu(-1); }) == "Cpu: -1 threads, expected 1 to 4096");
  CHECK(error_of([] { Cpu cpu(5000); }) == "Cpu: 5000 threads, expected 1 to 4096");
  {
    const Wish wish("2");
    CHECK(Cpu().threads() == 2);
    CHECK(Cpu(1).threads() == 1);
  }
  {
    const Wish wish("");
    CHECK(Cpu().threads() >= 1);
  }
  for (const char* bad : {"two", "0", "-3", "2.5", "5000", "99999999999"}) {
    const Wish wish(bad);
    CHECK(error_of([] { Cpu cpu; }) ==
          albef::concat("ALBEF_THREADS is '", bad, "', expected a number from 1 to 4096"));
  }
}

TEST_CASE("a thread that cannot be made is an Error" * doctest::skip(sanitized)) {
  // In a process of its own, whose address space has no room for so many stacks.
  std::array<int, 2> channel{};
  REQUIRE(::pipe(channel.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit room{std::size_t{1} << 30, std::size_t{1} << 30};
    ::setrlimit(RLIMIT_AS, &room);
    const std::string text = error_of([] { Cpu cpu(1000); });
    const bool written =
        ::write(channel[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(written ? 0 : 1);
  }
  ::close(channel[1]);
  std::string text(1000, ' ');
  text.resize(
      static_cast<std::size_t>(std::max<ssize_t>(0, ::read(channel[0], text.data(), 1000))));
  ::close(channel[0]);
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CAPTURE(text);
  CHECK(text.starts_with("Cpu: the system has no more than "));
  CHECK(text.find(" of 1000 threads for this process (") != text.npos);
}

TEST_CASE("what a task throws is thrown on, and the device goes on") {
  for (const int threads : {1, 3}) {
    Cpu cpu(threads);
    for (int round = 0; round < 3; ++round)
      CHECK(error_of([&] {
              cpu.for_each(100, [](std::int64_t i) { albef::require(i != 57, "task ", i); });
            }) == "task 57");
    std::atomic<int> done{0};
    cpu.for_each(100, [&](std::int64_t) { ++done; });
    CHECK(done == 100);
    CHECK(error_of([&] { cpu.run([](int) { albef::fail("all of them"); }); }) == "all of them");
  }
}

TEST_CASE("memory that is not there is told with sizes" * doctest::skip(sanitized)) {
  Cpu cpu(2);
  const auto starts = [](const std::string& text) {
    return text.substr(0, text.find(" needed")) + " needed";
  };
  constexpr std::int64_t lots = std::int64_t{1} << 60;
  CHECK(starts(error_of([&] { albef::Buffer<Cpu, char> b(cpu, lots); })) ==
        "not enough memory: 1073741824.00 GiB more are needed");
  CHECK_THROWS_AS((albef::Buffer<Cpu, double>(cpu, lots)), albef::OutOfMemory);
  albef::Arena<Cpu> arena(cpu);
  CHECK_THROWS_AS(arena.take<char>(lots), albef::OutOfMemory);
  arena.take<char>(10);
  CHECK_THROWS_AS(cpu.shared_scratch<char>(std::size_t{lots}), albef::OutOfMemory);
  CHECK_THROWS_AS(
      cpu.for_each(2, [&](std::int64_t, int t) { cpu.scratch<char>(t, std::size_t{lots}); }),
      albef::OutOfMemory);
}
