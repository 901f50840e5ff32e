// The command line of a program, and what all main functions share: parsing and one-line errors.
// A thin layer over CLI11 with CLI11's names, so that CLI11 is compiled once, in program.cpp, and
// not in every program.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string_view>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace examples {

/// An option that was added, to say more about it: add_option(...).required().group("Data").
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option& required(bool on = true);
  /// The heading it stands under in the help.
  Option& group(std::string_view name);
  Option& description(std::string_view text);
  /// The help shows the value that the variable has now.
  Option& capture_default_str();
  Option& default_str(std::string_view text);
  /// It takes exactly `count` values.
  Option& expected(int count);

  Option& one_of(std::initializer_list<const char*> values);
  Option& range(int low, int high);
  Option& range(double low, double high);
  Option& positive();
  Option& non_negative();
  Option& existing_file();
  /// It names a file to be written, in a folder that is there: known before the work is done.
  Option& output_file();

  /// Whether the user gave it; after parsing.
  bool given() const;

 private:
  CLI::Option* option_;
};

/// What options are added to: a program, or one of its subcommands.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}

  /// Adds e.g. "-o,--output"; parsing writes to `value`, which must live until then. For
  /// std::string, int, std::int64_t, std::uint64_t, float and double, and for vectors of them.
  template <class T>
  Option add_option(std::string_view names, T& value, std::string_view help);
  /// An option without a value, which sets `value`.
  Option add_flag(std::string_view names, bool& value, std::string_view help);
  Option get_option(std::string_view name);
  void remove_option(std::string_view name);

  Command add_subcommand(std::string_view name, std::string_view help);
  Command& require_subcommand(int count);
  /// Options given behind a subcommand that does not know them are the program's.
  Command& fallthrough();
  /// Text below the options in the help.
  Command& footer(std::string_view text);
  /// Whether it is the subcommand that was asked for; after parsing.
  explicit operator bool() const;

 protected:
  CLI::App* app_;
};

/// A command line with the help `description`.
class Program : public Command {
 public:
  Program(std::string_view description, std::string_view name);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  /// Parses the command line (and the file given with --config-file), then returns body(). An error
  /// becomes one line on stderr and exit status 1; wrong options give the status CLI11 has for
  /// them.
  int run(int argc, char** argv, const std::function<int()>& body);

 private:
  std::unique_ptr<CLI::App> owned_;
};

}  // namespace examples
