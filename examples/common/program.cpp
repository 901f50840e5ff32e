#include "common/program.hpp"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace examples {

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
  option_->check(CLI::PositiveNumber);
  return *this;
}
Option& Option::non_negative() {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}
Option& Option::existing_file() {
  option_->check(CLI::ExistingFile);
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
  app_->set_config("--config-file", "", "read options from a file, one `name=value` per line");
  CLI11_PARSE(*app_, argc, argv);
  try {
    return body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app_->get_name().c_str(), error.what());
    return 1;
  }
}

}  // namespace examples
