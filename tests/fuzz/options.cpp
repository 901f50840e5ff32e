// Any text as the file of options of a program (--config-file).
#include <cstdint>
#include <string>
#include <vector>

#include "common/program.hpp"
#include "fuzz.hpp"

FUZZ(bytes, {}) {
  const std::string path = fuzz::file("options.ini", bytes);
  examples::Program app("reads its options", "program");
  int count = 3;
  double rate = 0.5;
  bool flag = false;
  std::string output = "run", data;
  std::vector<std::string> names;
  std::uint64_t seed = 1;
  app.add("-d,--data", data, "data");
  app.add("--output", output, "folder");
  app.add("--count", count, "how many", examples::positive);
  app.add("--rate", rate, "how much", examples::non_negative);
  app.add("--flag", flag, "whether");
  app.add("--names", names, "several");
  app.add("--seed", seed, "of all draws");
  examples::Command train = app.add_subcommand("train", "trains");
  train.add("--steps", count, "how many", examples::range(1, 100));
  std::string program = "program", option = "--config-file", file = path, command = "train";
  char* arguments[] = {program.data(), option.data(), file.data(), command.data(), nullptr};
  (void)app.run(4, arguments, [&] {
    fuzz::check(count > 0 && rate >= 0, "values are in the range asked for");
    return 0;
  });
}
