// Buffers, the arena and the gradient pool.
#include "albef/core/memory.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "albef/cpu/memory.hpp"

namespace memory_test {

using albef::Arena;
using albef::Buffer;
using albef::Cpu;
using albef::GradientPool;

namespace {

bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 64 == 0; }

}  // namespace

TEST_CASE("Buffer: zero-filled, movable, empty when of size 0") {
  Cpu cpu(1);
  Buffer<Cpu, float> a(cpu, 100), none(cpu, 0);
  CHECK_FALSE(none);
  CHECK(none.data() == nullptr);
  for (int i = 0; i < 100; ++i) CHECK(a.data()[i] == 0);
  float* data = a.data();
  Buffer<Cpu, float> b(std::move(a));
  CHECK(b.data() == data);
  CHECK(b.size() == 100);
  none = std::move(b);
  CHECK(none.data() == data);
  CHECK(none.bytes() == 400);
}

TEST_CASE("Arena: aligned pieces that do not overlap; rewind gives the same place again") {
  Cpu cpu(1);
  Arena<Cpu> arena(cpu);
  char* a = arena.take<char>(1);
  char* b = arena.take<char>(65);
  CHECK(aligned(a));
  CHECK(b == a + 64);
  const auto mark = arena.mark();
  double* c = arena.take<double>(10);
  CHECK(reinterpret_cast<char*>(c) == b + 128);
  arena.rewind(mark);
  CHECK(arena.take<double>(10) == c);
  arena.reset();
  CHECK(arena.take<char>(1) == a);
}

TEST_CASE("Arena: grows by chunks, which reset joins into one of the same capacity") {
  Cpu cpu(1);
  Arena<Cpu> arena(cpu);
  const auto take_all = [&] {
    std::vector<char*> pieces;
    for (int i = 0; i < 20; ++i) {
      pieces.push_back(arena.take<char>(300000));
      pieces.back()[0] = pieces.back()[299999] = 1;
    }
    return pieces;
  };
  take_all();
  const auto capacity = arena.capacity();
  CHECK(capacity >= 20 * 300000);
  arena.reset();
  CHECK(arena.capacity() == capacity);
  const auto warm = take_all();
  CHECK(arena.capacity() == capacity);
  for (std::size_t i = 1; i < warm.size(); ++i) CHECK(warm[i] - warm[i - 1] == 300032);
  arena.reset();
  CHECK(take_all() == warm);
  CHECK(arena.capacity() == capacity);
}

TEST_CASE("Arena: rewinding over chunks keeps them for later") {
  Cpu cpu(1);
  Arena<Cpu> arena(cpu);
  arena.take<char>(100);
  const auto mark = arena.mark();
  char* big = arena.take<char>(5 << 20);
  const auto capacity = arena.capacity();
  arena.rewind(mark);
  CHECK(arena.take<char>(5 << 20) == big);
  CHECK(arena.capacity() == capacity);
}

TEST_CASE("GradientPool: first fit; freed neighbours are joined") {
  Cpu cpu(1);
  GradientPool<Cpu> pool(cpu);
  auto* a = static_cast<char*>(pool.take(1000));
  auto* b = static_cast<char*>(pool.take(1000));
  auto* c = static_cast<char*>(pool.take(1000));
  CHECK(aligned(a));
  CHECK(b == a + 1024);
  CHECK(c == b + 1024);
  const auto orders = {std::vector{a, b, c}, {c, b, a}, {a, c, b}, {b, a, c}};
  for (const auto& order : orders) {
    for (char* p : order) pool.give_back(p, 1000);
    CHECK(pool.take(3 * 1024) == a);  // one block again
    pool.give_back(a, 3 * 1024);
    CHECK(pool.take(1000) == a);
    CHECK(pool.take(1000) == b);
    CHECK(pool.take(1000) == c);
  }
  pool.give_back(b, 1000);
  CHECK(pool.take(500) == b);  // the first that fits, not the best
  CHECK(pool.take(500) == b + 512);
}

TEST_CASE("GradientPool: pieces of no bytes are distinct and leave no trace") {
  Cpu cpu(1);
  GradientPool<Cpu> pool(cpu);
  auto* none = static_cast<char*>(pool.take(0));
  auto* a = static_cast<char*>(pool.take(1000));
  CHECK(none != nullptr);
  CHECK(none != a);
  auto* b = static_cast<char*>(pool.take(1000));
  pool.give_back(none, 0);
  pool.give_back(a, 1000);
  pool.give_back(b, 1000);
  CHECK(pool.take(2 * 1024) == none);
}

TEST_CASE("GradientPool: reset frees everything and joins regions") {
  Cpu cpu(1);
  GradientPool<Cpu> pool(cpu);
  for (int i = 0; i < 30; ++i) pool.take(200000);
  const auto capacity = pool.capacity();
  pool.reset();
  CHECK(pool.capacity() == capacity);
  auto* all = static_cast<char*>(pool.take(capacity));
  all[0] = all[capacity - 1] = 1;
  CHECK(pool.capacity() == capacity);
}

}  // namespace memory_test
