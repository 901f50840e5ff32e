// The progress line: what it says, how often, and that messages leave it whole.
#include "albef/train/progress.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <clocale>
#include <string>
#include <thread>
#include <vector>

#include "albef/core/number.hpp"
#include "albef/train/validation.hpp"

namespace progress_test {

using albef::NamedValue;
using albef::Progress;
using albef::ProgressOptions;
using albef::ProgressState;

namespace {

/// Collects what is written to a FILE.
struct Capture {
  char* data = nullptr;
  std::size_t size = 0;
  std::FILE* file = ::open_memstream(&data, &size);
  ~Capture() {
    std::fclose(file);
    std::free(data);
  }
  std::string text() const {
    std::fflush(file);
    return {data, size};
  }
};

std::size_t count(const std::string& text, const char* part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("progress: one plain line with everything in it") {
  const Capture capture;
  Progress progress({capture.file, ProgressOptions::Style::plain, 0});
  const std::vector<NamedValue> losses{{"itc", 2.31}, {"itm", 0.421}};
  progress.update({10, 100, 1, 3, 640, losses, 9.55e-5});
  CHECK(capture.text() == "epoch 1/3  step 10/100  itc 2.31  itm 0.421  lr 9.55e-05\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  progress.update({20, 100, 1, 3, 1280, losses, 9.55e-5});
  CHECK(count(capture.text(), "pairs/s  ETA 0:00:0") == 1);
}

TEST_CASE("progress: lines are limited in rate, the last step is always shown") {
  const Capture capture;
  Progress progress({capture.file, ProgressOptions::Style::plain, 1000});
  for (int step = 1; step <= 50; ++step) progress.update({step, 50, 0, 0, step, {}, 1e-4});
  const std::string text = capture.text();
  CHECK(count(text, "\n") == 2);
  CHECK(count(text, "step 1/50") == 1);
  CHECK(count(text, "step 50/50") == 1);
}

TEST_CASE("progress: on a terminal the line is rewritten and messages stand alone") {
  const Capture capture;
  {
    Progress progress({capture.file, ProgressOptions::Style::terminal, 0});
    progress.update({1, 9, 0, 0, 1, {}, 1e-4});
    progress.message("saved");
    progress.update({2, 9, 0, 0, 2, {}, 1e-4});
  }
  const std::string text = capture.text();
  CHECK(text.starts_with("\rstep 1/9"));
  CHECK(count(text, "\r\033[Ksaved\n") == 1);
  CHECK(text.ends_with("\033[K\n"));
}

TEST_CASE("progress: time set aside does not count as slowness") {
  const Capture capture;
  Progress progress({capture.file, ProgressOptions::Style::plain, 0});
  progress.update({1, 9, 0, 0, 0, {}, 1e-4});
  progress.aside([] { std::this_thread::sleep_for(std::chrono::milliseconds(300)); });
  progress.update({2, 9, 0, 0, 3000000, {}, 1e-4});
  const std::string text = capture.text();
  const auto end = text.find(" pairs/s");
  REQUIRE(end != std::string::npos);
  const auto begin = text.rfind(' ', end - 1) + 1;
  CHECK(std::stod(text.substr(begin, end - begin)) > 1e7);  // 3e6 pairs in less than 0.3 s
}

TEST_CASE("durations") {
  CHECK(albef::detail::duration_text(0) == "0:00:00");
  CHECK(albef::detail::duration_text(3723.4) == "1:02:03");
  CHECK(albef::detail::duration_text(2 * 86400 + 3661) == "2d 01:01:01");
  CHECK(albef::detail::duration_text(-1) == "?");
  CHECK(albef::detail::duration_text(0.0 / 1e-300) == "0:00:00");
  CHECK(albef::detail::duration_text(1e300) == "?");
}

TEST_CASE("progress: numbers look the same under a locale with a decimal comma") {
  const char* const before = std::setlocale(LC_ALL, nullptr);
  const std::string former = before ? before : "C";
  const bool comma = std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr;
  {
    const Capture capture;
    Progress progress({capture.file, ProgressOptions::Style::plain, 0});
    progress.update({10, 100, 1, 3, 640, std::vector<NamedValue>{{"itc", 2.31}}, 9.55e-5});
    CHECK(capture.text() == "epoch 1/3  step 10/100  itc 2.31  lr 9.55e-05\n");
    CHECK(albef::percent(0.9125) == "91.2 %");
    CHECK(albef::to_number("2.5") == 2.5);
    CHECK_FALSE(albef::to_number("2,5"));
    CHECK(albef::significant(0.00123, 3) == "0.00123");
    CHECK(albef::detail::duration_text(93784) == "1d 02:03:04");
    CHECK(albef::detail::duration_text(3723.4) == "1:02:03");
  }
  std::setlocale(LC_ALL, former.c_str());
  if (!comma) MESSAGE("the machine has no such locale");
}

}  // namespace progress_test
