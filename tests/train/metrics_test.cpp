// Metrics files: lines, resume, damage; the plateau detector; the signal guard.
#include "albef/train/metrics.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cmath>
#include <filesystem>

#include "albef/train/plateau.hpp"
#include "albef/train/signals.hpp"

namespace metrics_test {

namespace fs = std::filesystem;
using albef::Error;
using albef::MetricsLog;

namespace {

struct TemporaryFile {
  std::string path =
      (fs::temp_directory_path() / ("albef_metrics_test_" + std::to_string(::getpid()))).string();
  ~TemporaryFile() { fs::remove(path); }
};

void write(MetricsLog& log, std::int64_t step, double itm, double lr) {
  const std::vector<MetricsLog::Value> values{{"itm", itm}, {"lr", lr}};
  log.write(step, values);
}

}  // namespace

TEST_CASE("metrics: one JSON line per step, there as soon as it is written") {
  const TemporaryFile file;
  MetricsLog log(file.path);
  write(log, 0, 0.5, 1e-5);
  write(log, 1, std::nan(""), 2e-5);
  CHECK(albef::read_file(file.path) ==
        "{\"step\":0,\"itm\":0.5,\"lr\":1e-05}\n{\"step\":1,\"itm\":null,\"lr\":2e-05}\n");
  REQUIRE(log.history().find("itm") != nullptr);
  CHECK(log.history().find("itm")->values[0] == 0.5);
  CHECK(log.history().all()[1].name == "lr");
  CHECK(log.history().find("x") == nullptr);
}

TEST_CASE("metrics: a resumed run drops later lines and a line that was cut off") {
  const TemporaryFile file;
  {
    MetricsLog log(file.path);
    for (int step = 0; step < 5; ++step) write(log, step, step, 1);
  }
  albef::write_file(file.path, albef::read_file(file.path) + "{\"step\":5,\"it");
  {
    MetricsLog log(file.path, 3);
    CHECK(log.history().find("itm")->steps == std::vector<double>{0, 1, 2});
    write(log, 3, 30, 1);
  }
  const std::string text = albef::read_file(file.path);
  CHECK(std::count(text.begin(), text.end(), '\n') == 4);
  CHECK(text.ends_with("{\"step\":3,\"itm\":30.0,\"lr\":1.0}\n"));
  MetricsLog again(file.path, 0);  // a new run
  CHECK(albef::read_file(file.path).empty());
  CHECK(again.history().all().empty());
}

TEST_CASE("metrics: a damaged file is kept aside, and the run goes on with its good lines") {
  const TemporaryFile file;
  const std::string aside = file.path + ".aside";
  for (const std::string bad :
       {"not json", "epoch 1/2  step 3  12.0 pairs/s", "{\"step\":\"1\"}", "[1]", "{\"itm\":1}",
        "{\"step\":1,\"itm\":\"x\"}", "{\"step\":-1}", "{\"step\":1,\"itm\":1e999}", ""}) {
    INFO(bad);
    const std::string text = "{\"step\":0,\"itm\":0.5}\n{\"step\":1,\"itm\":0.25}\n" + bad +
                             "\n{\"step\":2,\"itm\":0.125}\n{\"step\":3,\"itm\":9.0}\n";
    albef::write_file(file.path, text);
    MetricsLog log(file.path, 3, aside);
    CHECK(log.problem().starts_with(file.path + ": line 3 is not a line of metrics: "));
    CHECK(log.problem().ends_with("; the file is kept as " + aside +
                                  ", the run goes on with the other lines"));
    CHECK(albef::read_file(aside) == text);
    CHECK(log.history().find("itm")->values == std::vector<double>{0.5, 0.25, 0.125});
    CHECK(albef::read_file(file.path) ==
          "{\"step\":0,\"itm\":0.5}\n{\"step\":1,\"itm\":0.25}\n{\"step\":2,\"itm\":0.125}\n");
    fs::remove(aside);
  }
  albef::write_file(file.path, "{\"step\":0,\"itm\":0.5}\n");
  CHECK(MetricsLog(file.path, 3, aside).problem() == "");
  CHECK_FALSE(fs::exists(aside));
  CHECK_THROWS_WITH_AS(MetricsLog("/nowhere/m.jsonl"), doctest::Contains("/nowhere"), Error);
  if (fs::exists("/dev/full")) {
    MetricsLog log("/dev/full");
    CHECK_THROWS_WITH_AS(write(log, 0, 1, 1), doctest::Contains("No space left"), Error);
  }
}

TEST_CASE("metrics: a file that was removed comes back with all its lines") {
  const TemporaryFile file;
  MetricsLog log(file.path);
  for (int step = 0; step < 1000; ++step) write(log, step, step, 1);
  const std::string before = albef::read_file(file.path);
  fs::remove(file.path);
  write(log, 1000, 2, 1);
  log.restore();
  write(log, 1001, 3, 1);
  CHECK(albef::read_file(file.path) == before +
                                           "{\"step\":1000,\"itm\":2.0,\"lr\":1.0}\n"
                                           "{\"step\":1001,\"itm\":3.0,\"lr\":1.0}\n");
}

TEST_CASE("plateau: warns once, after the warm-up, for a loss that stays; not for one that moves") {
  albef::PlateauDetector detector({{"itm", 0.6365}, {"mlm", 5.0}}, 100, 50);
  std::vector<std::string> warnings;
  for (int step = 0; step < 400; ++step) {
    const double noise = step % 2 ? 0.1 : -0.1;  // single steps leave the band, averages do not
    for (const auto& text : {detector.observe(step, "itm", 0.6365 + noise),
                             detector.observe(step, "mlm", 5.0 - 0.01 * step),
                             detector.observe(step, "other", 0.6365)})
      if (!text.empty()) warnings.push_back(text);
  }
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("step 149: loss itm was 0.6365") != std::string::npos);
  for (int step = 400; step < 450; ++step) CHECK(detector.observe(step, "itm", 0.3) == "");
  std::string again;
  for (int step = 450; step < 500; ++step) again += detector.observe(step, "itm", 0.63);
  CHECK(again.find("step 499") != std::string::npos);  // it came back
  CHECK_THROWS_AS(albef::PlateauDetector({}, 0, 0), Error);
}

TEST_CASE("signals: the first one sets the flag, and the former handlers return") {
  static volatile std::sig_atomic_t former = 0;
  std::signal(SIGTERM, [](int) { former = 1; });
  {
    const albef::StopGuard guard;
    CHECK_FALSE(guard.stop_requested());
    std::raise(SIGTERM);
    CHECK(guard.stop_requested());
    CHECK(guard.signal() == SIGTERM);
    CHECK_THROWS_AS(albef::StopGuard(), Error);
  }
  CHECK(former == 0);
  std::raise(SIGTERM);
  CHECK(former == 1);
  std::signal(SIGTERM, SIG_DFL);
  const albef::StopGuard next;
  CHECK_FALSE(next.stop_requested());
}

TEST_CASE("signals: those of batch systems and lost terminals stop a run, twice as well") {
  for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP, SIGXCPU}) {
    const albef::StopGuard guard;
    std::raise(signal);
    CHECK(guard.signal() == signal);
    std::raise(signal);   // a limit of processor time comes every second
    std::raise(SIGTERM);  // what follows a warning
    CHECK(guard.signal() == signal);
  }
  std::signal(SIGHUP, SIG_IGN);  // as nohup does
  {
    const albef::StopGuard guard;
    std::raise(SIGHUP);
    CHECK_FALSE(guard.stop_requested());
  }
  std::raise(SIGHUP);  // still ignored
  std::signal(SIGHUP, SIG_DFL);
}

TEST_CASE("signals: the second one ends the process") {
  const pid_t child = ::fork();
  if (child == 0) {
    const albef::StopGuard guard;
    std::raise(SIGINT);
    if (!guard.stop_requested()) ::_exit(1);
    std::raise(SIGTERM);
    ::_exit(2);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGTERM);
}

}  // namespace metrics_test
