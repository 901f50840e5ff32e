#include "common/program.hpp"

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <limits>
#include <new>
#include <optional>
#include <system_error>
#include <type_traits>

#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/core/number.hpp"
#include "albef/core/processor.hpp"
#include "albef/core/writable.hpp"
#include "common/config_file.hpp"

namespace examples {

namespace {

/// Before anything that is compiled for the processor of the build: main(), and what other files
/// make at the start.
[[gnu::constructor(101)]] void check_processor() { albef::detail::require_processor(); }

/// The number that a text is, whatever the locale; none if it is anything else, not finite, or out
/// of range.
template <class T>
std::optional<T> number(const std::string& text) {
  using Parsed = std::conditional_t<std::is_floating_point_v<T>, double, T>;
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const auto value = albef::to_whole<Parsed>(std::string_view(text).substr(plus ? 1 : 0));
  if (!value) return {};
  if constexpr (std::is_floating_point_v<T>)
    if (!std::isfinite(static_cast<T>(*value))) return {};
  return static_cast<T>(*value);
}

/// What a text that is no T should have been; empty if it is one.
template <class T>
std::string refusal(const std::string& text) {
  if constexpr (std::is_same_v<T, std::string>) {
    return text.empty() ? "the value is empty" : "";
  } else if constexpr (std::is_floating_point_v<T>) {
    return number<T>(text) ? "" : albef::concat("'", text, "': expected a finite number");
  } else {
    if (number<T>(text)) return "";
    return albef::concat("'", text, "': expected a whole number ",
                         std::is_unsigned_v<T> ? "from 0 " : "", "up to ",
                         std::numeric_limits<T>::max());
  }
}

/// Adds a check of each value: `refusal` returns what is wrong with it, or nothing.
void check_values(CLI::Option& option, std::function<std::string(const std::string&)> refusal,
                  const std::string& description = "") {
  option.check(CLI::Validator(
      [refusal = std::move(refusal)](const std::string& value) { return refusal(as_given(value)); },
      description));
}
/// The same for a number, which `fits` if it is `expected`.
template <class Fits>
void check_numbers(CLI::Option& option, Fits fits, const std::string& expected,
                   const std::string& description = "") {
  const auto refusal = [=](const std::string& text) -> std::string {
    const auto value = number<double>(text);
    return value && fits(*value) ? "" : albef::concat("'", text, "': expected ", expected);
  };
  check_values(option, refusal, description);
}

template <class T>
struct Element {
  using type = T;
};
template <class T>
struct Element<std::vector<T>> {
  using type = T;
};

template <class T>
T value_of(const std::string& text) {
  if constexpr (std::is_same_v<T, std::string>)
    return text;
  else
    return number<T>(text).value();  // it was checked
}

template <class T>
std::string text_of(const T& value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return albef::concat(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value;
  } else {
    std::string out;
    for (const auto& element : value) out += (out.empty() ? "[" : ",") + text_of(element);
    return out + "]";
  }
}

/// Adds an option to the app and says what its default is, if it has one.
template <class T>
CLI::Option* add_to(CLI::App& app, const std::string& names, T& value, const std::string& help) {
  if constexpr (std::is_same_v<T, bool>) {
    return app.add_flag(names, value, help);
  } else {
    using E = typename Element<T>::type;
    constexpr bool several = !std::is_same_v<T, E>;
    const auto take = [&value](const CLI::results_t& given) {
      if constexpr (several) value.clear();
      for (const std::string& text : given) {
        const E element = value_of<E>(as_given(text));
        if constexpr (several)
          value.push_back(element);
        else
          value = element;
      }
      return true;
    };
    CLI::Option* option =
        app.add_option(names, take, help, false, [&value] { return text_of(value); });
    option->type_name(std::is_same_v<E, std::string> ? text_type
                      : std::is_floating_point_v<E>  ? "FLOAT"
                      : std::is_unsigned_v<E>        ? "UINT"
                                                     : "INT");
    if (several) option->expected(CLI::detail::expected_max_vector_size);
    check_values(*option, refusal<E>);
    bool has_default = false;
    if constexpr (std::is_arithmetic_v<T>)
      has_default = !(value < T{});
    else
      has_default = !value.empty();
    return has_default ? option->capture_default_str() : option;
  }
}

/// Opens what is closed of the descriptors 0 to 2, so that no file of a run takes their places and
/// gets what is printed.
void open_standard_streams() {
  for (int fd = 0; fd < 3; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF && ::open("/dev/null", O_RDWR) < 0) return;
}

/// A file that is cut while it is mapped, as a shard while it is listed, has no bytes where they
/// are read: the system's signal for that ends the program with a sentence.
void end_where_files_are_cut(const std::string& name) {
  static std::string sentence;
  sentence = name + ": a file was cut short while it was read, or its device failed\n";
  std::signal(SIGBUS, [](int) {
    const auto written = ::write(STDERR_FILENO, sentence.data(), sentence.size());
    ::_exit(written < 0 ? 2 : 1);
  });
}

/// What a program ends with, if it would be `status` but for its standard output: an output that
/// is not complete is an error.
int after_output(const std::string& name, int status) {
  errno = 0;
  std::cout.flush();
  const bool complete = std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout.good();
  if (complete) return status;
  const std::string reason = errno ? ": " + albef::detail::errno_text(errno) : "";
  std::fprintf(stderr, "%s: cannot write to the standard output%s\n", name.c_str(), reason.c_str());
  return status == 0 ? 1 : status;
}

/// A sentence for an exception that is being handled.
std::string message_of_exception() {
  try {
    throw;
  } catch (const albef::Error& error) { return error.what(); } catch (const std::bad_alloc&) {
    return "the memory does not suffice: that of the machine, or what a limit (ulimit -v, a "
           "batch system's) leaves; smaller batches and fewer --threads and --workers take less";
  } catch (const std::filesystem::filesystem_error& error) {
    return albef::concat("'", error.path1().string(), "': ", error.code().message());
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again)
      return albef::concat("a thread cannot be started: ", error.code().message(),
                           " (a limit of processes, ulimit -u, or of memory); fewer --threads and "
                           "--workers need less");
    return albef::concat("the system refused a request: ", error.what());
  } catch (const std::exception& error) {
    return albef::concat("something unexpected went wrong: ", error.what());
  }
}

}  // namespace

void required(CLI::Option& option) { option.required(option.get_default_str().empty()); }
void positive(CLI::Option& option) {
  check_numbers(
      option, [](double value) { return value > 0; }, "a number above 0");
  if (option.get_default_str() == "0") option.default_str("");
}
void non_negative(CLI::Option& option) {
  check_numbers(
      option, [](double value) { return value >= 0; }, "a number of at least 0");
}
void output_file(CLI::Option& option) { check_values(option, albef::refusal_to_write); }
void share(CLI::Option& option) {
  check_numbers(
      option, [](double value) { return value >= 0 && value <= 1; }, "a number from 0 to 1",
      "from 0 to 1");
}
Check range(int low, int high) {
  return [=](CLI::Option& option) {
    const std::string text = albef::concat("from ", low, " to ", high);
    check_numbers(
        option, [=](double value) { return value >= low && value <= high; }, "a number " + text,
        text);
  };
}
Check one_of(std::vector<std::string> values) {
  return [=](CLI::Option& option) { option.check(CLI::IsMember(values)); };
}
Check expected(int count) {
  return [=](CLI::Option& option) { option.expected(count); };
}
Check when_given(std::function<void(const std::string&)> use) {
  return [=](CLI::Option& option) { option.each(use); };
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
    : Command(std::make_shared<CLI::App>(description, name)) {
  open_standard_streams();
}

int Program::run(int argc, char** argv, const std::function<int()>& body) {
  const std::string name = app_->get_name();
  app_->set_config(
      "--config-file", "",
      "read options from a file, one `name=value` per line, a list as [value, value]; those of a "
      "subcommand below a line with its name, e.g. [evaluate]");
  app_->config_formatter(std::make_shared<ConfigFile>(*app_));
  try {
    app_->parse(protected_arguments(*app_, argc, argv));
  } catch (const CLI::ParseError& error) { return after_output(name, app_->exit(error)); }
  // A reader that goes away, or a limit of sizes, makes writing fail instead of ending the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  end_where_files_are_cut(name);
  int status = 1;
  try {
    status = body();
  } catch (const std::exception&) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), message_of_exception().c_str());
  }
  return after_output(name, status);
}

}  // namespace examples
