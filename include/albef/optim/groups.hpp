// Groups of parameters the optimizer treats in their own way: learning rate, weight decay, clipping
// or not trained at all, chosen by name.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/number.hpp"
#include "albef/core/param.hpp"

namespace albef {

/// Whether the whole of `name` is as `pattern` says: `*` stands for any run of characters (also
/// none, also dots), `?` for one character, everything else for itself.
constexpr bool name_matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {  // the last star takes one character more
      p = star + 1;
      n = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

/// Some of a model's parameters, and how they are trained.
struct OptimizerGroup {
  /// What messages and describe() call it: the pattern, where one chooses.
  std::string name;
  /// Which parameters it takes, by their names in the store's table; null: those `name` matches as
  /// a pattern, see name_matches().
  std::function<bool(std::string_view)> matches = {};
  double lr_factor = 1;                  ///< on the learning rate
  std::optional<double> weight_decay{};  ///< instead of the optimizer's, of what decays at all
  bool frozen = false;                   ///< not trained; the rest then has no meaning
  /// Not trained in the epochs before this one: they leave the parameters and the optimizer's
  /// counts alone; the moving average moves.
  int first_epoch = 0;
  /// Clips the group's gradient by its own norm to this; the optimizer's own clipping then leaves
  /// the group out, in its norm too. 0: the group belongs to what the optimizer clips.
  double max_norm = 0;
  /// The option it comes from, for messages: "--freeze visual_encoder.*". Empty: none.
  std::string option = {};
  /// It need not have a parameter of its own: earlier groups may take all it matches.
  bool may_be_empty = false;

  bool takes(std::string_view parameter) const {
    return matches ? matches(parameter) : name_matches(name, parameter);
  }
};

namespace detail {

/// The shortest text that reads as `value` again, whatever the locale.
inline std::string exact_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

/// The names that have most of the start of `pattern` in common with it, as a message lists them.
inline std::string nearest_names(std::string_view pattern, std::span<const ParamInfo> params) {
  const auto common = [&](const std::string& name) {
    const auto n = std::min(pattern.size(), name.size());
    return std::mismatch(pattern.begin(), pattern.begin() + static_cast<std::ptrdiff_t>(n),
                         name.begin())
               .first -
           pattern.begin();
  };
  std::ptrdiff_t most = 0;
  for (const auto& p : params) most = std::max(most, common(p.name));
  std::string text;
  int listed = 0;
  for (const auto& p : params) {
    if (common(p.name) != most) continue;
    if (listed++ == 3) return text + ", ...";
    text += concat(text.empty() ? "'" : ", '", p.name, "'");
  }
  return text;
}

}  // namespace detail

/// An ordered list of groups. A parameter belongs to the first that takes it; what none takes is
/// trained as the optimizer's options say.
class OptimizerGroups {
 public:
  OptimizerGroups() = default;
  OptimizerGroups(std::initializer_list<OptimizerGroup> groups) {
    for (const auto& g : groups) add(g);
  }

  /// Appends a group. Error if one of its numbers makes no sense.
  OptimizerGroups& add(OptimizerGroup group) {
    const auto check = [&](double value, const char* what) {
      require(std::isfinite(value) && value >= 0, said(group), "the ", what, " is ",
              detail::exact_text(value), ", expected a finite number that is not negative");
    };
    check(group.lr_factor, "factor on the learning rate");
    check(group.weight_decay.value_or(0), "weight decay");
    check(group.max_norm, "norm to clip to");
    check(group.first_epoch, "first epoch");
    groups_.push_back(std::move(group));
    return *this;
  }
  /// Appends all groups of `more`.
  OptimizerGroups& add(const OptimizerGroups& more) {
    groups_.insert(groups_.end(), more.groups_.begin(), more.groups_.end());
    return *this;
  }

  bool empty() const { return groups_.empty(); }
  std::size_t size() const { return groups_.size(); }
  const OptimizerGroup& operator[](std::size_t i) const { return groups_[i]; }
  auto begin() const { return groups_.begin(); }
  auto end() const { return groups_.end(); }

  /// The number of the group the parameter called `name` belongs to; -1: none takes it.
  int group_of(std::string_view name) const {
    for (std::size_t i = 0; i < groups_.size(); ++i)
      if (groups_[i].takes(name)) return static_cast<int>(i);
    return -1;
  }
  /// Whether the parameter called `name` is frozen.
  bool frozen(std::string_view name) const {
    const int group = group_of(name);
    return group >= 0 && groups_[static_cast<std::size_t>(group)].frozen;
  }
  /// The same as a function that holds its own copy of the groups, for StoreOptions::frozen; null
  /// if no group is frozen.
  std::function<bool(std::string_view)> frozen() const {
    if (std::none_of(begin(), end(), [](const auto& g) { return g.frozen; })) return {};
    return [groups = *this](std::string_view name) { return groups.frozen(name); };
  }

  /// The number of each parameter's group (-1: none). Error, naming the group, if one takes no
  /// parameter at all or, unless it may be empty, only such as earlier groups have.
  std::vector<int> resolve(std::span<const ParamInfo> params) const {
    std::vector<int> group(params.size());
    std::vector<char> used(groups_.size(), 0);
    for (std::size_t i = 0; i < params.size(); ++i) {
      group[i] = group_of(params[i].name);
      if (group[i] >= 0) used[static_cast<std::size_t>(group[i])] = 1;
    }
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const auto& g = groups_[i];
      if (used[i] || g.may_be_empty) continue;
      for (const auto& p : params)
        if (g.takes(p.name))
          fail(said(g), "every parameter that '", g.name, "' takes belongs to an earlier group: '",
               p.name, "' to '", groups_[static_cast<std::size_t>(group_of(p.name))].name, "'");
      fail(said(g), "no parameter matches '", g.name, "'; ",
           params.empty() ? "there are none"
                          : "the nearest names are " + detail::nearest_names(g.name, params));
    }
    return group;
  }

  /// The groups as text, the same for the same settings in every run and locale: one line a group,
  /// "visual_encoder.*: frozen" or "cls_head.*: lr 10, weight_decay 0, max_norm 1" with what
  /// differs from the default. Empty without groups.
  std::string describe() const {
    std::string text;
    for (const auto& g : groups_) {
      text += g.name + ':';
      const char* separator = " ";
      const auto item = [&](const std::string& what) {
        text += separator + what;
        separator = ", ";
      };
      if (g.frozen) {
        item("frozen");
      } else {
        if (g.lr_factor != 1) item("lr " + detail::exact_text(g.lr_factor));
        if (g.weight_decay) item("weight_decay " + detail::exact_text(*g.weight_decay));
        if (g.max_norm != 0) item("max_norm " + detail::exact_text(g.max_norm));
        if (g.first_epoch != 0) item(concat("from epoch ", g.first_epoch));
      }
      text += '\n';
    }
    return text;
  }

 private:
  static std::string said(const OptimizerGroup& g) {
    return g.option.empty() ? g.option : g.option + ": ";
  }
  std::vector<OptimizerGroup> groups_;
};

/// Groups of frozen parameters, one for each pattern (the values of an option called `option`).
inline OptimizerGroups parse_freeze(std::span<const std::string> patterns,
                                    std::string_view option = "--freeze") {
  OptimizerGroups groups;
  for (const auto& pattern : patterns) {
    require(!pattern.empty(), option,
            ": the pattern is empty, expected one such as "
            "'visual_encoder.*'");
    groups.add({.name = pattern, .frozen = true, .option = concat(option, ' ', pattern)});
  }
  return groups;
}

/// Groups with another learning rate from texts PATTERN=FACTOR, "visual_encoder.*=0.1" (the values
/// of an option called `option`). Error, naming the text, if it has another form.
inline OptimizerGroups parse_lr_scale(std::span<const std::string> texts,
                                      std::string_view option = "--lr-scale") {
  OptimizerGroups groups;
  for (const auto& text : texts) {
    const auto equals = text.rfind('=');
    require(equals != std::string::npos && equals > 0, option, ' ', text,
            ": expected PATTERN=FACTOR, such as visual_encoder.*=0.1");
    const auto factor = text.substr(equals + 1);
    const auto value = to_number(factor);
    require(value && std::isfinite(*value) && *value > 0, option, ' ', text, ": the factor is '",
            factor, "', expected a number above 0");
    groups.add(
        {.name = text.substr(0, equals), .lr_factor = *value, .option = concat(option, ' ', text)});
  }
  return groups;
}

/// Layer-wise decay of the learning rate as in BEiT (optim_factory.py) and MAE (util/lr_decay.py):
/// in a tower of n blocks, block i gets the factor decay^(n - i) and the embeddings before the
/// blocks decay^(n + 1); norms and heads behind them, and everything outside towers, keep 1.
/// A tower is what lies under one prefix of numbered blocks `blocks.N.`, `encoder.layer.N.` or
/// `layer.N.`; its embeddings are the parameters there whose next name part contains "embed" or
/// ends in "_token". Each tower has its own depth. Error if there is none.
inline OptimizerGroups layer_decay_groups(std::span<const ParamInfo> params, double decay,
                                          std::string_view option = "--layer-decay") {
  require(decay > 0 && decay <= 1, option, ' ', detail::exact_text(decay),
          ": expected a number above 0 and up to 1");
  struct Tower {
    std::string prefix, list;  // "visual_encoder.", "blocks."
    int depth = 0;
  };
  // Where `name` has the number of a block: the lengths of the prefix and of what precedes it.
  struct Place {
    std::size_t prefix, number;
    int block;
  };
  const auto place_of = [](std::string_view name) -> std::optional<Place> {
    for (std::size_t start = 0; start < name.size();) {
      for (const std::string_view list : {"blocks.", "encoder.layer.", "layer."}) {
        if (!name.substr(start).starts_with(list)) continue;
        const std::size_t number = start + list.size();
        int block = 0;
        const auto [end, error] =
            std::from_chars(name.data() + number, name.data() + name.size(), block);
        if (error == std::errc{} && end != name.data() + name.size() && *end == '.')
          return Place{start, number, block};
      }
      const auto dot = name.find('.', start);
      if (dot == std::string_view::npos) break;
      start = dot + 1;
    }
    return {};
  };
  std::vector<Tower> towers;
  for (const auto& p : params) {
    const auto place = place_of(p.name);
    if (!place) continue;
    const std::string prefix = p.name.substr(0, place->prefix);
    const std::string list = p.name.substr(place->prefix, place->number - place->prefix);
    auto tower = std::find_if(towers.begin(), towers.end(),
                              [&](const Tower& t) { return t.prefix == prefix && t.list == list; });
    if (tower == towers.end()) tower = towers.insert(tower, {prefix, list});
    tower->depth = std::max(tower->depth, place->block + 1);
  }
  require(!towers.empty(), option, ' ', detail::exact_text(decay),
          ": the model has no numbered blocks (blocks.N., encoder.layer.N., layer.N.)");
  OptimizerGroups groups;
  const std::string said = concat(option, ' ', detail::exact_text(decay));
  const auto add = [&](std::string name, std::function<bool(std::string_view)> matches,
                       int distance) {
    groups.add({.name = std::move(name),
                .matches = std::move(matches),
                .lr_factor = std::pow(decay, distance),
                .option = said,
                .may_be_empty = true});
  };
  for (const auto& t : towers) {
    for (int i = 0; i < t.depth; ++i) add(concat(t.prefix, t.list, i, ".*"), {}, t.depth - i);
  }
  for (const auto& t : towers) {
    const auto embeds = [prefix = t.prefix](std::string_view name) {
      if (!name.starts_with(prefix)) return false;
      const auto part = name.substr(prefix.size(), name.find('.', prefix.size()) - prefix.size());
      return part.ends_with("_token") || part.find("embed") != std::string_view::npos;
    };
    add(t.prefix + "(embeddings)", embeds, t.depth + 1);
  }
  return groups;
}

/// What a command line says about groups.
struct GroupOptions {
  std::vector<std::string> freeze = {};    ///< patterns
  std::vector<std::string> lr_scale = {};  ///< PATTERN=FACTOR
  double layer_decay = 1;                  ///< 1: none
};

/// The groups of `options` for a model with these parameters: what is frozen comes first, then the
/// single factors, then the decay by layers. Error, naming the option and its text, if a text is
/// malformed or its pattern matches nothing.
inline OptimizerGroups optimizer_groups(const GroupOptions& options,
                                        std::span<const ParamInfo> params) {
  OptimizerGroups groups = parse_freeze(options.freeze);
  groups.add(parse_lr_scale(options.lr_scale));
  if (options.layer_decay != 1) groups.add(layer_decay_groups(params, options.layer_decay));
  groups.resolve(params);
  return groups;
}

}  // namespace albef
