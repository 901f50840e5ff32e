// Golden cases: folders of inputs and expected results computed with the official code, and a
// report that compares results with them, one line per tensor or group of parameters.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/file.hpp"

namespace albef {

/// A stored tensor; values in double whatever the type in the file.
struct GoldenTensor {
  std::vector<std::int64_t> shape;  // a scalar has none
  std::vector<double> values;
  DType dtype = DType::F32;

  /// The values as another type, e.g. as<float>() or as<std::int64_t>().
  template <class T>
  std::vector<T> as() const {
    std::vector<T> out(values.size());
    std::transform(values.begin(), values.end(), out.begin(),
                   [](double v) { return static_cast<T>(v); });
    return out;
  }
};

using GoldenTensors = std::map<std::string, GoldenTensor>;

/// A case folder: `case.json` and, where present, `inputs.safetensors`, `expected.safetensors` and
/// the weight files that case.json lists.
struct GoldenCase {
  std::string folder, name, kind;
  nlohmann::json json, config, hyper;  // all of case.json, and two members of it
  GoldenTensors weights, inputs, expected;

  /// Throws Error naming the file and what is wrong with it.
  static GoldenCase open(const std::string& folder) {
    GoldenCase c;
    c.folder = folder;
    const std::string list = folder + "/cases.json";  // where there is nothing but cases
    std::string path = folder + "/case.json";
    if (!std::filesystem::exists(path) && std::filesystem::exists(list)) path = list;
    try {
      c.json = nlohmann::json::parse(read_file(path));
      c.kind = c.json.at("kind").get<std::string>();
      c.name = c.json.value("name", c.kind);
      c.config = c.json.value("config", nlohmann::json());
      c.hyper = c.json.value("hyper", nlohmann::json());
      if (c.json.contains("inputs")) c.inputs = read_all(folder + "/inputs.safetensors");
      if (c.json.contains("expected")) c.expected = read_all(folder + "/expected.safetensors");
      for (const auto& entry : c.json.value("weights", nlohmann::json::array())) c.load(entry);
    } catch (const nlohmann::json::exception& e) { fail(path, ": ", e.what()); }
    return c;
  }

  const GoldenTensor& input(const std::string& tensor) const { return at(inputs, tensor, "input"); }
  const GoldenTensor& weight(const std::string& tensor) const {
    return at(weights, tensor, "weight");
  }

  /// All tensors of one file.
  static GoldenTensors read_all(const std::string& path) {
    GoldenTensors tensors;
    const auto file = SafeTensors::open(path);
    for (const auto& entry : file.entries())
      tensors[entry.name] = {entry.shape, file.read<double>(entry), entry.dtype};
    return tensors;
  }

 private:
  /// One entry {file, from, to} of the weights list: every tensor whose name starts with `from`,
  /// with that prefix replaced by `to`. Later entries override earlier ones.
  void load(const nlohmann::json& entry) {
    const auto from = entry.at("from").get<std::string>(), to = entry.at("to").get<std::string>();
    const auto file = SafeTensors::open(folder + '/' + entry.at("file").get<std::string>());
    for (const auto& tensor : file.entries())
      if (tensor.name.starts_with(from))
        weights[to + tensor.name.substr(from.size())] = {tensor.shape, file.read<double>(tensor),
                                                         tensor.dtype};
  }
  const GoldenTensor& at(const GoldenTensors& tensors, const std::string& tensor,
                         const char* what) const {
    const auto it = tensors.find(tensor);
    require(it != tensors.end(), folder, ": the case has no ", what, " '", tensor, "'");
    return it->second;
  }
};

/// Collects one line per comparison. A tensor passes if
///   max|got - want| <= rtol * max(max|want|, floor)
/// with rtol and floor from case.json; integers must be equal; parameters after AdamW steps are
/// held to quantiles of |got - want| over their group. Everything is compared in double.
class GoldenReport {
 public:
  struct Line {
    std::string name;
    double deviation = 0, tolerance = 0;
    bool ok = false;
    std::string note;
  };

  /// Compares with `golden.expected`; the case must outlive the report.
  explicit GoldenReport(const GoldenCase& golden) : case_(golden) {}

  /// Adds a line of its own making, e.g. a count of mismatches (tolerance 0).
  bool add(std::string name, double deviation, double tolerance, std::string note = "") {
    lines_.push_back(
        {std::move(name), deviation, tolerance, deviation <= tolerance, std::move(note)});
    return lines_.back().ok;
  }
  bool add_failure(std::string name, std::string note) {
    const double none = std::numeric_limits<double>::quiet_NaN();
    return add(std::move(name), none, none, std::move(note));
  }

  /// Compares a whole tensor: `got` is a contiguous range of numbers, row-major.
  template <class Range>
  bool check(const std::string& name, const Range& got) {
    const GoldenTensor* want = visit(name, std::size(got));
    return want && compare(name, *want, got, [](std::size_t) { return true; });
  }
  /// Compares a scalar.
  bool check_value(const std::string& name, double got) {
    return check(name, std::vector<double>{got});
  }
  /// Compares only rows r with keep[r] != 0; a row is the last dimension. For hidden states at
  /// padded positions, on which nothing depends: keep is then the attention mask.
  template <class Range, class Keep>
  bool check_rows(const std::string& name, const Range& got, const Keep& keep) {
    const GoldenTensor* want = visit(name, std::size(got));
    if (!want) return false;
    const std::size_t rows = std::size(keep);
    if (rows == 0 || want->values.size() % rows != 0)
      return add_failure(name, concat(rows, " row flags for shape ", shape_text(want->shape)));
    const std::size_t width = want->values.size() / rows;
    return compare(name, *want, got,
                   [&](std::size_t i) { return std::data(keep)[i / width] != 0; });
  }

  /// Compares the tensors `group/PARAMETER` (or their compact forms) with got[PARAMETER], a map to
  /// contiguous ranges of numbers. An expected parameter that is missing fails; so does one that
  /// is not expected, unless it is all zero or named in `no_gradient`.
  template <class Map>
  bool check_group(const std::string& group, const Map& got,
                   const std::set<std::string>& no_gradient = {}) {
    Group result{group, tolerance_of(group)};
    std::set<std::string> expected;
    for (const auto& [tensor, want] : case_.expected) {
      const auto [form, parameter] = split(tensor, group);
      if (form == Form::other) continue;
      visited_.insert(tensor);
      expected.insert(parameter);
      const auto it = got.find(parameter);
      if (it == got.end()) {
        if (form != Form::col) result.fail(parameter, "missing");  // .row says it already
        continue;
      }
      std::vector<double> values(std::begin(it->second), std::end(it->second));
      if (form != Form::full && !project(values, form, group, parameter)) {
        result.fail(parameter, concat("got ", std::size(it->second),
                                      " values, which do not fit the expected matrix"));
        continue;
      }
      if (values.size() == want.values.size())
        result.compare(tensor, want.values, values, form != Form::full);
      else
        result.fail(parameter, concat("got ", values.size(), " values, expected shape ",
                                      shape_text(want.shape)));
    }
    if (expected.empty()) return add_failure(group + "/*", "the case has no such group");
    for (const auto& [parameter, values] : got)
      if (!expected.contains(parameter) && !no_gradient.contains(parameter) &&
          std::any_of(std::begin(values), std::end(values), [](auto v) { return !(v == 0); }))
        result.fail(parameter, "not zero, expected none");
    return result.report(*this, expected.size());
  }

  /// Declares that a tensor, or all whose name starts with `prefix`, is deliberately not compared.
  void skip(const std::string& prefix) {
    for (const auto& [tensor, want] : case_.expected)
      if (tensor.starts_with(prefix)) visited_.insert(tensor);
  }

  /// Every expected tensor that was never compared becomes a failure. Call once, at the end.
  void finish() {
    std::set<std::string> groups;
    for (const auto& entry : case_.json.value("expected_groups", nlohmann::json::array()))
      groups.insert(entry.at("group").get<std::string>());
    std::map<std::string, int> missing;
    for (const auto& [tensor, want] : case_.expected) {
      if (visited_.contains(tensor)) continue;
      const std::string head = tensor.substr(0, tensor.find('/'));
      const std::string group = head.substr(0, head.rfind('.'));
      ++missing[groups.contains(head)    ? head + "/*"
                : groups.contains(group) ? group + "/*"
                                         : tensor];
    }
    for (const auto& [name, count] : missing)
      add_failure(name, count == 1 ? "never compared" : concat("never compared (", count, ')'));
    if (lines_.empty()) add_failure(case_.name, "nothing was compared");
    finished_ = true;
  }

  /// True after finish() if every line passed.
  bool all_ok() const {
    return finished_ &&
           std::all_of(lines_.begin(), lines_.end(), [](const Line& l) { return l.ok; });
  }
  const std::vector<Line>& lines() const { return lines_; }

  void print(std::FILE* out) const {
    const auto failed = std::count_if(lines_.begin(), lines_.end(), [](auto& l) { return !l.ok; });
    std::fprintf(out, "%s: %s (%zu lines, %td failed)\n", case_.name.c_str(),
                 all_ok()              ? "ok"
                 : failed || finished_ ? "FAIL"
                                       : "not finished",
                 lines_.size(), failed);
    for (const Line& line : lines_) {
      std::fprintf(out, "  %-4s  %-44s", line.ok ? "ok" : "FAIL", line.name.c_str());
      if (!std::isnan(line.tolerance))
        std::fprintf(out, "  %9.2e  of %9.2e", line.deviation, line.tolerance);
      std::fprintf(out, "%s%s\n", line.note.empty() ? "" : "  ", line.note.c_str());
    }
  }

 private:
  struct Tolerance {
    double rtol = 0, atol = 0, floor = 0;
    std::map<double, double> quantiles, compact_quantiles;  // quantile -> limit
    bool known = false;
  };
  enum class Form { full, row, col, other };

  /// The running state of one check_group.
  struct Group {
    std::string name;
    Tolerance tolerance;
    double worst = 0;
    std::string where = {};
    std::vector<double> deviations = {}, compact_deviations = {};
    std::vector<std::pair<std::string, std::string>> failures = {};  // parameter, reason

    void fail(const std::string& parameter, std::string reason) {
      failures.emplace_back(parameter, std::move(reason));
    }
    void compare(const std::string& tensor, const std::vector<double>& want,
                 const std::vector<double>& got, bool compact) {
      const auto& quantiles = compact ? tolerance.compact_quantiles : tolerance.quantiles;
      auto& all = compact ? compact_deviations : deviations;
      double largest = 0, scale = tolerance.floor;
      for (std::size_t i = 0; i < want.size(); ++i) {
        const double d = difference(got[i], want[i]);
        largest = std::max(largest, d);
        scale = std::max(scale, std::abs(want[i]));
        if (!quantiles.empty()) all.push_back(d);
      }
      if (!quantiles.empty()) return;
      const double relative = largest == 0 ? 0 : largest / scale;
      if (relative >= worst) worst = relative, where = tensor;
      if (!(relative <= tolerance.rtol)) fail(tensor, concat("deviation ", text(relative)));
    }
    bool report(GoldenReport& out, std::size_t parameters) {
      bool ok = failures.empty();
      const std::string count = concat(parameters, " parameters");
      if (!tolerance.known) {
        ok = out.add_failure(name + "/*", "the case states no tolerance for the group");
      } else if (tolerance.quantiles.empty() && tolerance.compact_quantiles.empty()) {
        ok &= out.add(name + "/*", worst, tolerance.rtol, concat(count, ", worst ", where));
      }
      for (const auto& [q, limit] : tolerance.quantiles)
        if (!deviations.empty())
          ok &=
              out.add(name + "/* " + text(q) + " quantile", quantile(deviations, q), limit, count);
      for (const auto& [q, limit] : tolerance.compact_quantiles)
        if (!compact_deviations.empty())
          ok &= out.add(name + ".row, .col " + text(q) + " quantile",
                        quantile(compact_deviations, q), limit, count);
      constexpr std::size_t shown = 20;
      for (std::size_t i = 0; i < std::min(failures.size(), shown); ++i)
        out.add_failure(name + '/' + failures[i].first, failures[i].second);
      if (failures.size() > shown)
        out.add_failure(name + "/*", concat(failures.size() - shown, " more failures"));
      return ok;
    }
  };

  static std::string text(double v) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.3g", v);
    return buffer;
  }
  /// |a - b|; anything not comparable counts as infinitely far.
  static double difference(double a, double b) {
    if (a == b) return 0;
    const double d = std::abs(a - b);
    return std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
  }
  /// Quantile with linear interpolation between neighbours.
  static double quantile(std::vector<double>& values, double q) {
    std::sort(values.begin(), values.end());
    const double at = q * static_cast<double>(values.size() - 1), low = std::floor(at);
    const auto i = static_cast<std::size_t>(low);
    const double next = values[std::min(i + 1, values.size() - 1)];
    return at == low ? values[i] : values[i] + (at - low) * (next - values[i]);
  }
  /// Which form of a parameter of `group` a tensor name stands for.
  static std::pair<Form, std::string> split(const std::string& tensor, const std::string& group) {
    constexpr std::pair<Form, const char*> forms[] = {
        {Form::full, "/"}, {Form::row, ".row/"}, {Form::col, ".col/"}};
    for (const auto& [form, suffix] : forms) {
      const std::string prefix = group + suffix;
      if (tensor.starts_with(prefix)) return {form, tensor.substr(prefix.size())};
    }
    return {Form::other, ""};
  }

  Tolerance tolerance_of(const std::string& name) const {
    Tolerance out;
    const auto all = case_.json.find("tolerance");
    if (all == case_.json.end() || !all->is_object() || !all->contains(name)) return out;
    const auto& entry = all->at(name);
    if (!entry.is_object()) return out;
    out.known = true;
    out.rtol = entry.value("rtol", 0.0);
    out.atol = entry.value("atol", 0.0);
    out.floor = entry.value("floor", 0.0);
    const auto read = [&](const char* key, std::map<double, double>& limits) {
      if (!entry.contains(key)) return;
      for (const auto& [q, limit] : entry.at(key).items()) limits[std::stod(q)] = limit;
    };
    read("abs_quantiles", out.quantiles);
    read("compact_abs_quantiles", out.compact_quantiles);
    return out;
  }

  const GoldenTensor* visit(const std::string& name, std::size_t got) {
    const auto it = case_.expected.find(name);
    if (it == case_.expected.end()) {
      add_failure(name, "the case expects no such tensor");
      return nullptr;
    }
    visited_.insert(name);
    if (it->second.values.size() == got) return &it->second;
    add_failure(name,
                concat("got ", got, " values, expected shape ", shape_text(it->second.shape)));
    return nullptr;
  }

  template <class Range, class Included>
  bool compare(const std::string& name, const GoldenTensor& want, const Range& got,
               const Included& included) {
    const Tolerance tolerance = tolerance_of(name);
    if (!tolerance.known) return add_failure(name, "the case states no tolerance for the tensor");
    double largest = 0, scale = tolerance.floor;
    std::size_t compared = 0, worst = 0;
    for (std::size_t i = 0; i < want.values.size(); ++i) {
      if (!included(i)) continue;
      const double d = difference(static_cast<double>(std::data(got)[i]), want.values[i]);
      if (d > largest) largest = d, worst = i;
      scale = std::max(scale, std::abs(want.values[i]));
      ++compared;
    }
    if (compared == 0 && !want.values.empty()) return add_failure(name, "no row to compare");
    const bool relative = tolerance.atol == 0 && tolerance.rtol > 0;
    const double deviation = relative && largest > 0 ? largest / scale : largest;
    const double limit = relative ? tolerance.rtol : tolerance.atol;  // both 0: exact
    std::string note;
    if (!(deviation <= limit))
      note = concat("worst at ", worst, ": got ", text(static_cast<double>(std::data(got)[worst])),
                    ", expected ", text(want.values[worst]));
    return add(name, deviation, limit, std::move(note));
  }

  /// Replaces a matrix by its product with the probe vectors: M * probe or transpose(M) * probe.
  /// The number of rows (columns) is the length of the expected .row (.col) vector.
  bool project(std::vector<double>& matrix, Form form, const std::string& group,
               const std::string& parameter) const {
    const auto row = case_.expected.find(group + ".row/" + parameter);
    const auto col = case_.expected.find(group + ".col/" + parameter);
    if (row == case_.expected.end() || col == case_.expected.end()) return false;
    const std::size_t rows = row->second.values.size(), cols = col->second.values.size();
    if (rows * cols != matrix.size()) return false;
    const auto& probe = case_.input(concat("probe/", form == Form::row ? cols : rows)).values;
    std::vector<double> product(form == Form::row ? rows : cols, 0.0);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < cols; ++j) {
        const double value = matrix[i * cols + j];
        if (form == Form::row)
          product[i] += value * probe[j];
        else
          product[j] += value * probe[i];
      }
    matrix = std::move(product);
    return true;
  }

  const GoldenCase& case_;
  std::vector<Line> lines_;
  std::set<std::string> visited_;
  bool finished_ = false;
};

}  // namespace albef
