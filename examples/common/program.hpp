// The command line of a program, and what all main functions share: parsing and one-line errors.
// A thin layer over CLI11, which is compiled once, in program.cpp, and not in every program.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace examples {

/// What is asked of an option's values: command.add("--steps", steps, "how many", positive).
using Check = std::function<void(CLI::Option&)>;
void required(CLI::Option& option);  ///< it must be given, unless it has a default
void positive(CLI::Option& option);
void non_negative(CLI::Option& option);
/// It names a file to be written, in a folder that is there: known before the work is done.
void output_file(CLI::Option& option);
void share(CLI::Option& option);  ///< from 0 to 1
Check range(int low, int high);
Check one_of(std::vector<std::string> values);
Check expected(int count);  ///< it takes exactly so many values
/// `use` is called with each value that is given.
Check when_given(std::function<void(const std::string&)> use);

/// Where the value of an option goes.
using Value = std::variant<bool*, int*, std::int64_t*, std::uint64_t*, float*, double*,
                           std::string*, std::vector<std::string>*, std::vector<int>*,
                           std::vector<std::uint64_t>*, std::vector<float>*>;

/// What options are added to: a program, one of its subcommands, or a heading in their help.
class Command {
 public:
  explicit Command(std::shared_ptr<CLI::App> app, const std::string& heading = "")
      : app_(std::move(app)), heading_(heading) {}

  /// Adds e.g. "-o,--output"; parsing writes to `value`, which must live until then. The help shows
  /// the value it has now, unless that stands for none: it is empty, negative, or 0 where the
  /// option is to be positive. For a bool it is a flag.
  template <class T, class... Checks>
  void add(const std::string& names, T& value, const std::string& help, Checks... checks) const {
    add_option(names, &value, help, {Check(checks)...});
  }
  void remove(std::initializer_list<const char*> names) const;
  /// What is added to it stands under a heading of its own.
  Command group(const char* heading) const { return Command(app_, heading); }

  /// One of the subcommands, of which one must be given.
  Command add_subcommand(const std::string& name, const std::string& help);
  /// Text below the options in the help.
  void footer(const std::string& text);

  /// Whether it is the subcommand that was asked for; after parsing.
  explicit operator bool() const;

 protected:
  std::shared_ptr<CLI::App> app_;

 private:
  void add_option(const std::string& names, Value value, const std::string& help,
                  std::initializer_list<Check> checks) const;

  std::string heading_;
};

/// A command line with the help `description`.
class Program : public Command {
 public:
  Program(const std::string& description, const std::string& name);

  /// Parses the command line (and the file given with --config-file), then returns body(). An error
  /// becomes one line on stderr and exit status 1; wrong options give the status CLI11 has for
  /// them.
  int run(int argc, char** argv, const std::function<int()>& body);
};

}  // namespace examples
