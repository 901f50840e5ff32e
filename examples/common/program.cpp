#include "common/program.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <type_traits>

#include "albef/core/processor.hpp"
#include "albef/core/writable.hpp"

namespace examples {

namespace {

/// Before anything that is compiled for the processor of the build: main(), and what other files
/// make at the start.
[[gnu::constructor(101)]] void check_processor() { albef::detail::require_processor(); }

/// Checks that a value is a number above 0, or 0. (The message of CLI11's own prints the largest
/// double.)
CLI::Validator is_number(bool may_be_zero) {
  const auto check = [=](const std::string& value) -> std::string {
    double number = 0;
    if (CLI::detail::lexical_cast(value, number) && (may_be_zero ? number >= 0 : number > 0))
      return "";
    return "'" + value + "': expected a number " + (may_be_zero ? "of at least 0" : "above 0");
  };
  return {check, ""};
}

/// Adds an option to the app and says what its default is, if it has one.
template <class T>
CLI::Option* add_to(CLI::App& app, const std::string& names, T& value, const std::string& help) {
  if constexpr (std::is_same_v<T, bool>) {
    return app.add_flag(names, value, help);
  } else {
    bool has_default = false;
    if constexpr (std::is_arithmetic_v<T>)
      has_default = !(value < T{});
    else
      has_default = !value.empty();
    CLI::Option* option = app.add_option(names, value, help);
    return has_default ? option->capture_default_str() : option;
  }
}

}  // namespace

void required(CLI::Option& option) { option.required(option.get_default_str().empty()); }
void positive(CLI::Option& option) {
  option.check(is_number(false));
  if (option.get_default_str() == "0") option.default_str("");
}
void non_negative(CLI::Option& option) { option.check(is_number(true)); }
void output_file(CLI::Option& option) { option.check(albef::refusal_to_write); }
void share(CLI::Option& option) { option.check(CLI::Range(0.0, 1.0)); }
Check range(int low, int high) {
  return [=](CLI::Option& option) { option.check(CLI::Range(low, high)); };
}
Check one_of(std::vector<std::string> values) {
  return [=](CLI::Option& option) { option.check(CLI::IsMember(values)); };
}
Check expected(int count) {
  return [=](CLI::Option& option) { option.expected(count); };
}

void Command::add_option(const std::string& names, Value value, const std::string& help,
                         std::initializer_list<Check> checks) const {
  const auto option = std::visit([&](auto* to) { return add_to(*app_, names, *to, help); }, value);
  if (!heading_.empty()) option->group(heading_);
  for (const Check& check : checks)
    if (check) check(*option);
}
void Command::remove(std::initializer_list<const char*> names) const {
  for (const char* name : names) app_->remove_option(app_->get_option(name));
}
Command Command::add_subcommand(const std::string& name, const std::string& help) {
  app_->require_subcommand(1)->fallthrough();  // to --config-file, which is the program's
  return Command(app_->get_subcommand_ptr(app_->add_subcommand(name, help)));
}
void Command::footer(const std::string& text) { app_->footer(text); }
Command::operator bool() const { return app_->parsed(); }

Program::Program(const std::string& description, const std::string& name)
    : Command(std::make_shared<CLI::App>(description, name)) {}

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
