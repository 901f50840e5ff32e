// Values of options that pass through the parser of the command line as they are given, also where
// they look like options or lists; and the file of --config-file.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <istream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace examples {

inline constexpr const char* text_type = "TEXT";  ///< of options whose values are no numbers

/// Stands before a value that CLI11 would take apart.
inline constexpr char protecting = '\x01';

/// A value as the user gave it.
inline std::string as_given(const std::string& value) {
  return value.starts_with(protecting) ? value.substr(1) : value;
}

inline bool is_list(const std::string& value) {
  return value.size() > 1 && value.front() == '[' && value.back() == ']';
}
inline std::string protected_value(const std::string& value) {
  return value.empty() || is_list(value) || value.front() == protecting ? protecting + value
                                                                        : value;
}
inline bool is_file(const std::string& name) {
  std::error_code none;
  return std::filesystem::exists(name, none);
}

/// The arguments in the order CLI11 wants, the last first. Values in brackets are one value, and
/// what begins like an option but is the name of a file stands for the file.
inline std::vector<std::string> protected_arguments(const CLI::App& app, int argc,
                                                    const char* const* argv) {
  const auto option = [&](const std::string& name) -> const CLI::Option* {
    if (const auto* found = app.get_option_no_throw(name)) return found;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
      if (const auto* found = command->get_option_no_throw(name)) return found;
    return nullptr;
  };
  const auto has_value = [&](const std::string& name) {
    const auto* found = option(name);
    return found && found->get_expected_max() > 0;
  };
  std::vector<std::string> out;
  for (int i = argc - 1; i > 0; --i) {
    std::string text = argv[i];
    const auto equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (text.starts_with("--") && equals != text.npos && option(name))
      text = name + '=' + protected_value(text.substr(equals + 1));
    else if (text.size() > 1 && text.front() == '-' && !option(text) && is_file(text))
      text = protecting + text;
    else if (text.size() > 2 && text[0] == '-' && text[1] != '-' && has_value(text.substr(0, 2)))
      text = text.substr(0, 2) + protected_value(text.substr(2));
    else
      text = protected_value(text);
    out.push_back(std::move(text));
  }
  return out;
}

/// Reads `name=value` lines. A value is the rest of its line without a comment (` #`) and without
/// quotes around it; several are a list in brackets, commas between them, or lines of the same
/// name. What is the name of a file is one value.
class ConfigFile : public CLI::ConfigBase {
 public:
  explicit ConfigFile(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    std::vector<CLI::ConfigItem> found;
    std::vector<std::string> parents;
    for (std::string line; std::getline(in, line);) {
      CLI::detail::trim(line);
      const auto equals = line.find('=');
      if (line.empty() || line.front() == '#' || line.front() == ';') continue;
      if (is_list(line) && equals == line.npos) {
        const std::string section = line.substr(1, line.size() - 2);
        parents =
            section == "default" ? std::vector<std::string>{} : CLI::detail::split(section, '.');
        continue;
      }
      std::string name = CLI::detail::trim_copy(line.substr(0, equals));
      std::string value =
          equals == line.npos ? "true" : CLI::detail::trim_copy(line.substr(equals + 1));
      while (value.starts_with('[') && without_comment(value).find(']') == value.npos &&
             std::getline(in, line))
        value = without_comment(value) + ' ' + CLI::detail::trim_copy(line);
      const auto same = std::find_if(found.begin(), found.end(), [&](const CLI::ConfigItem& item) {
        return item.name == name && item.parents == parents;
      });
      CLI::ConfigItem& item = same == found.end() ? found.emplace_back() : *same;
      item.parents = parents;
      item.name = std::move(name);
      for (const std::string& one : values(item, std::move(value)))
        item.inputs.push_back(protected_value(one));
    }
    return found;
  }

 private:
  static std::string without_comment(const std::string& value) {
    if (value.starts_with('#')) return "";
    for (std::size_t i = 1; i < value.size(); ++i)
      if (value[i] == '#' && (value[i - 1] == ' ' || value[i - 1] == '\t'))
        return CLI::detail::trim_copy(value.substr(0, i));
    return value;
  }
  static std::string without_quotes(std::string value) {
    const bool quoted = value.size() > 1 && value.front() == value.back() &&
                        (value.front() == '"' || value.front() == '\'');
    return quoted ? value.substr(1, value.size() - 2) : value;
  }
  /// The parts between commas or, if `spaces`, between spaces; quotes keep theirs together.
  static std::vector<std::string> parts(const std::string& list, bool spaces) {
    std::vector<std::string> out;
    std::string part;
    char quote = 0;
    const auto end = [&] {
      CLI::detail::trim(part);
      if (!part.empty()) out.push_back(without_quotes(part));
      part.clear();
    };
    for (const char c : list) {
      const bool opens = !quote && (c == '"' || c == '\'') && CLI::detail::trim_copy(part).empty();
      if (opens || c == quote) quote = opens ? c : '\0';
      if (!quote && (c == ',' || (spaces && (c == ' ' || c == '\t'))))
        end();
      else
        part += c;
    }
    end();
    return out;
  }

  std::vector<std::string> values(const CLI::ConfigItem& item, std::string value) const {
    if (is_file(value)) return {value};
    value = without_comment(value);
    if (is_file(value)) return {value};
    if (is_list(value)) return parts(value.substr(1, value.size() - 2), false);
    if (takes_numbers(item)) return parts(value, true);
    return {without_quotes(value)};
  }
  bool takes_numbers(const CLI::ConfigItem& item) const {
    const CLI::App* app = &app_;
    for (const std::string& name : item.parents) {
      const auto commands =
          app->get_subcommands([&](const CLI::App* c) { return c->check_name(name); });
      if (commands.empty()) return false;
      app = commands.front();
    }
    const CLI::Option* option = app->get_option_no_throw("--" + item.name);
    return option && option->get_expected_max() > 0 &&
           !option->get_type_name().starts_with(text_type);
  }

  const CLI::App& app_;
};

}  // namespace examples
