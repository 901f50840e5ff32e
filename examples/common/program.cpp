#include "common/program.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

namespace examples {

namespace {

/// A check that a value is a number above 0, or at least 0. (The message of CLI11's own prints the
/// largest double.)
std::function<std::string(const std::string&)> at_least(bool above) {
  return [above](const std::string& value) -> std::string {
    double number = 0;
    const bool right =
        CLI::detail::lexical_cast(value, number) && (above ? number > 0 : number >= 0);
    return right ? ""
                 : "'" + value + "': expected a number " + (above ? "above 0" : "of at least 0");
  };
}

}  // namespace

Option& Option::required(bool on) {
  option_->required(on);
  return *this;
}
Option& Option::group(std::string_view name) {
  option_->group(std::string(name));
  return *this;
}
Option& Option::description(std::string_view text) {
  option_->description(std::string(text));
  return *this;
}
Option& Option::capture_default_str() {
  option_->capture_default_str();
  return *this;
}
Option& Option::default_str(std::string_view text) {
  option_->default_str(std::string(text));
  return *this;
}
Option& Option::expected(int count) {
  option_->expected(count);
  return *this;
}
Option& Option::one_of(std::initializer_list<const char*> values) {
  option_->check(CLI::IsMember(std::vector<std::string>(values.begin(), values.end())));
  return *this;
}
Option& Option::range(int low, int high) {
  option_->check(CLI::Range(low, high));
  return *this;
}
Option& Option::range(double low, double high) {
  option_->check(CLI::Range(low, high));
  return *this;
}
Option& Option::positive() {
  option_->check(at_least(true));
  return *this;
}
Option& Option::non_negative() {
  option_->check(at_least(false));
  return *this;
}
Option& Option::existing_file() {
  option_->check(CLI::ExistingFile);
  return *this;
}
Option& Option::output_file() {
  namespace fs = std::filesystem;
  option_->check([](const std::string& name) -> std::string {
    const fs::path path(name), folder = path.has_parent_path() ? path.parent_path() : ".";
    std::error_code error;
    if (fs::is_directory(path, error)) return "cannot write to '" + name + "': it is a folder";
    if (!fs::is_directory(folder, error))
      return "cannot write to '" + name + "': there is no folder '" + folder.string() + "'";
    if (::access(folder.c_str(), W_OK) != 0)
      return "cannot write to '" + name + "': the folder is not writable";
    return "";
  });
  return *this;
}

bool Option::given() const { return !option_->empty(); }

template <class T>
Option Command::add_option(std::string_view names, T& value, std::string_view help) {
  return Option(app_->add_option(std::string(names), value, std::string(help)));
}
template Option Command::add_option(std::string_view, std::string&, std::string_view);
template Option Command::add_option(std::string_view, int&, std::string_view);
template Option Command::add_option(std::string_view, std::int64_t&, std::string_view);
template Option Command::add_option(std::string_view, std::uint64_t&, std::string_view);
template Option Command::add_option(std::string_view, float&, std::string_view);
template Option Command::add_option(std::string_view, double&, std::string_view);
template Option Command::add_option(std::string_view, std::vector<std::string>&, std::string_view);
template Option Command::add_option(std::string_view, std::vector<int>&, std::string_view);
template Option Command::add_option(std::string_view, std::vector<std::uint64_t>&,
                                    std::string_view);
template Option Command::add_option(std::string_view, std::vector<float>&, std::string_view);

Option Command::add_flag(std::string_view names, bool& value, std::string_view help) {
  return Option(app_->add_flag(std::string(names), value, std::string(help)));
}
Option Command::get_option(std::string_view name) {
  return Option(app_->get_option(std::string(name)));
}
void Command::remove_option(std::string_view name) {
  app_->remove_option(app_->get_option(std::string(name)));
}
Command Command::add_subcommand(std::string_view name, std::string_view help) {
  return Command(app_->add_subcommand(std::string(name), std::string(help)));
}
Command& Command::require_subcommand(int count) {
  app_->require_subcommand(count);
  return *this;
}
Command& Command::fallthrough() {
  app_->fallthrough();
  return *this;
}
Command& Command::footer(std::string_view text) {
  app_->footer(std::string(text));
  return *this;
}
Command::operator bool() const { return app_->parsed(); }

Program::Program(std::string_view description, std::string_view name)
    : Command(nullptr),
      owned_(std::make_unique<CLI::App>(std::string(description), std::string(name))) {
  app_ = owned_.get();
}
Program::~Program() = default;

int Program::run(int argc, char** argv, const std::function<int()>& body) {
  app_->set_config(
      "--config-file", "",
      "read options from a file, one `name=value` per line; those of a subcommand below a line "
      "with its name, e.g. [evaluate]");
  CLI11_PARSE(*app_, argc, argv);
  try {
    return body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app_->get_name().c_str(), error.what());
    return 1;
  }
}

}  // namespace examples
