// What the main functions of the programs share: option parsing and one-line errors.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

namespace examples {

/// Parses the command line (and the file given with --config-file), then returns body(). An error
/// becomes one line on stderr and exit status 1; wrong options give the status CLI11 has for them.
template <class Body>
int run_program(CLI::App& app, int argc, char** argv, Body&& body) {
  app.set_config("--config-file", "", "read options from a file, one `name=value` per line");
  CLI11_PARSE(app, argc, argv);
  try {
    return body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return 1;
  }
}

}  // namespace examples
