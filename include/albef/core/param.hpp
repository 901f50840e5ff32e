// Parameters as compile-time descriptions: shape, initial value, place in the flat buffer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "albef/core/error.hpp"

namespace albef {

/// How a parameter gets its first values.
struct Init {
  enum class Kind { constant, normal, trunc_normal, uniform } kind = Kind::constant;
  float value = 0;  ///< the constant, the standard deviation, or the bound of U(-value, value)
};

namespace init {
constexpr Init zeros() { return {Init::Kind::constant, 0.0f}; }
constexpr Init ones() { return {Init::Kind::constant, 1.0f}; }
constexpr Init constant(float value) { return {Init::Kind::constant, value}; }
/// N(0, std^2), as BERT initialises matrices and embeddings.
constexpr Init normal(float std) { return {Init::Kind::normal, std}; }
/// N(0, std^2) restricted to [-2, 2], as timm's trunc_normal_ initialises ViT.
constexpr Init trunc_normal(float std) { return {Init::Kind::trunc_normal, std}; }
constexpr Init uniform(float bound) { return {Init::Kind::uniform, bound}; }
}  // namespace init

/// Which model a laid-out parameter belongs to: one object, model_layout<M>, per type of model.
struct ModelLayout {
  std::string_view name;  ///< of the type, for messages
};

namespace detail {

/// The signature of this function, which contains the name of T.
template <class T>
constexpr const char* signature() {
  return __PRETTY_FUNCTION__;
}

}  // namespace detail

/// The name of type T as the compiler writes it.
template <class T>
constexpr std::string_view type_name() {
  std::string_view name = detail::signature<T>();  // "... [with T = name]" or "... [T = name]"
  if (const auto at = name.find("T = "); at != name.npos) {
    name.remove_prefix(at + 4);
    name.remove_suffix(1);
  }
  return name;
}

template <class M>
inline constexpr ModelLayout model_layout{type_name<M>()};

/// One or more parameters that lie next to each other in the flat buffer.
struct ParamSpan {
  std::int64_t offset = 0;             ///< first element in every plane
  std::int64_t size = 0;               ///< elements
  int index = 0, count = 1;            ///< parameters index .. index + count - 1 of the table
  const ModelLayout* model = nullptr;  ///< whose they are; null: of no model that was laid out
};

/// A parameter of static shape (none: a scalar). It holds no values, only where they are.
template <int... Dims>
struct Param {
  static constexpr int rank = sizeof...(Dims);
  static constexpr std::array<int, sizeof...(Dims)> shape{Dims...};
  static constexpr std::int64_t size = (std::int64_t{1} * ... * Dims);

  Init init = init::zeros();
  std::int64_t offset = -1;
  int index = -1;                      ///< -1: not laid out
  const ModelLayout* model = nullptr;  ///< the model it was laid out in

  constexpr Param() = default;
  constexpr explicit Param(Init i) : init(i) {}
  constexpr operator ParamSpan() const { return {offset, size, index, 1, model}; }
};

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void parameters_are_not_neighbours(
    std::size_t argument, std::int64_t end, std::int64_t offset) {
  fail("joined: parameter ", argument, " of the list starts at value ", offset, ", expected ", end,
       ": name parameters that are joined one after the other in fields()");
}

}  // namespace detail

/// Joins parameters declared one after the other in fields() into one span, e.g. the query, key
/// and value matrices of an attention layer into a single (3 D, D) matrix. Error if they are not
/// neighbours (where the call is evaluated at compile time, it does not compile).
template <class... P>
constexpr ParamSpan joined(const P&... params) {
  const ParamSpan spans[] = {ParamSpan(params)...};
  ParamSpan all = spans[0];
  for (std::size_t i = 1; i < sizeof...(P); ++i) {
    if (spans[i].model != all.model || spans[i].index != all.index + all.count ||
        spans[i].offset != all.offset + all.size)
      detail::parameters_are_not_neighbours(i, all.offset + all.size, spans[i].offset);
    all.size += spans[i].size;
    all.count += spans[i].count;
  }
  return all;
}

/// One row of the table: a parameter's official name, shape and place.
struct ParamInfo {
  std::string name;
  std::vector<int> shape;
  std::int64_t offset = 0, size = 0;
  Init init;
  bool decay = false;   ///< weight decay applies (false for 1-D tensors and biases)
  bool twin = false;    ///< has a momentum copy
  bool frozen = false;  ///< is not trained: no gradient, no optimizer state
  /// First element in the planes of gradient and moments, which hold no frozen parameters.
  std::int64_t state_offset = 0;
};

/// A second name of a parameter, or an integer buffer 0 .. n-1, as official checkpoints hold them.
struct TiedName {
  std::string name;
  int index;
};
struct RangeBuffer {
  std::string name;
  int n;
};

/// The parameters, tied names and range buffers of a model, in the order of its fields().
struct ModelNames {
  std::vector<ParamInfo> params;
  std::vector<TiedName> tied;
  std::vector<RangeBuffer> ranges;
};

/// Where a parameter of `size` values starts at or behind `offset`: at a multiple of 64 if its size
/// is one, else at once. So the matrices that GPUs multiply by are aligned, and parameters of equal
/// size that follow each other have no gap between them.
constexpr std::int64_t aligned_offset(std::int64_t offset, std::int64_t size) {
  return size % 64 == 0 ? (offset + 63) / 64 * 64 : offset;
}

namespace detail {

template <class>
struct IsParam : std::false_type {};
template <int... D>
struct IsParam<Param<D...>> : std::true_type {};
template <class>
struct IsArray : std::false_type {};
template <class T, std::size_t N>
struct IsArray<std::array<T, N>> : std::true_type {};

/// What can be wrong with fields() of a model or of one of its layers.
enum class LayoutProblem { none, forgotten, twice };

/// Reports it: at run time as an Error; where a model is laid out at compile time, the call of a
/// function of this name is what the compiler complains of.
template <class Layer>
[[noreturn]] void fields_does_not_name_every_parameter(std::size_t bytes) {
  fail("fields() of ", type_name<Layer>(), " says nothing of ", bytes,
       " of its bytes, room for a parameter: name every Param and layer, and other large members "
       "with f.other(m.member)");
}
template <class Parameter>
[[noreturn]] void fields_names_a_member_twice(std::string_view name) {
  fail("fields() names a member twice: '", name, "', which is ", type_name<Parameter>());
}

/// Assigns offsets in the order in which fields() names the members, and checks that each
/// parameter is named, and once. `Strict`: a problem is an error at once, otherwise it is noted.
template <bool Strict>
struct LayoutVisitor {
  const ModelLayout* model = nullptr;
  std::int64_t offset = 0, values = 0;
  int index = 0;
  std::size_t named = 0;  ///< bytes of the members that the fields() in progress has named
  LayoutProblem problem = LayoutProblem::none;

  template <class M>
  constexpr void operator()(std::string_view name, M& member, int = 0, int = 1) {
    if constexpr (IsParam<M>::value) {
      if (member.index >= 0) {
        problem = LayoutProblem::twice;
        if constexpr (Strict) fields_names_a_member_twice<M>(name);
      }
      member.offset = aligned_offset(offset, M::size);
      member.index = index++;
      member.model = model;
      offset = member.offset + M::size;
      values += M::size;
    } else if constexpr (IsArray<M>::value) {
      const std::size_t before = named;
      for (auto& m : member) (*this)(name, m);
      named = before;
    } else {
      // All parameters are of one size. Other members of a layer (a rate, an epsilon) are smaller,
      // or other() names them; so a layer with room for one more parameter has forgotten one.
      const std::size_t before = named;
      named = 0;
      M::fields(member, *this);
      if (sizeof(M) >= named + sizeof(Param<>)) {
        problem = LayoutProblem::forgotten;
        if constexpr (Strict) fields_does_not_name_every_parameter<M>(sizeof(M) - named);
      }
      named = before;
    }
    if constexpr (!std::is_empty_v<M>) named += sizeof(M);
  }
  constexpr void other(const auto& member) { named += sizeof(member); }
  constexpr void tied(std::string_view, const auto&) {}
  constexpr void tied(std::string_view, int, std::string_view, const auto&) {}
  constexpr void range(std::string_view, int) {}
};

/// Makes the parameters of a description as if it had never been laid out.
struct UnlayVisitor {
  template <class M>
  constexpr void operator()(std::string_view, M& member, int = 0, int = 1) {
    if constexpr (IsParam<M>::value)
      member.offset = member.index = -1, member.model = nullptr;
    else if constexpr (IsArray<M>::value)
      for (auto& m : member) (*this)("", m);
    else
      M::fields(member, *this);
  }
  constexpr void other(const auto&) {}
  constexpr void tied(std::string_view, const auto&) {}
  constexpr void tied(std::string_view, int, std::string_view, const auto&) {}
  constexpr void range(std::string_view, int) {}
};

/// A model laid out, the number of its values, and what was wrong with it.
template <class M>
struct Layout {
  M model{};
  LayoutVisitor<false> visitor{.model = &model_layout<M>};
  constexpr Layout() { visitor("", model); }
};
template <class M>
inline constexpr Layout<M> layout_of{};

/// Lists every parameter, tied name and range buffer under its full dotted name.
struct NameVisitor {
  ModelNames& out;
  std::string prefix;
  const ModelLayout* model;

  template <class M>
  void operator()(std::string_view name, const M& member, int first = 0, int stride = 1) {
    if constexpr (IsParam<M>::value) {
      add(name, M::shape, member, member.init);
    } else if constexpr (IsArray<M>::value) {
      for (std::size_t i = 0; i < member.size(); ++i)
        (*this)(item(name, first + stride * static_cast<int>(i)), member[i]);
    } else {
      NameVisitor inner{out, name.empty() ? prefix : full(name, "."), model};
      M::fields(member, inner);
    }
  }
  /// A member without parameters.
  void other(const auto&) {}
  /// `name` is a second name of an already named parameter.
  void tied(std::string_view name, ParamSpan param) {
    out.tied.push_back({full(name), param.index});
  }
  /// The same for `rest` of member `index` of the list `name`.
  void tied(std::string_view name, int index, std::string_view rest, ParamSpan param) {
    tied(concat(item(name, index), '.', rest), param);
  }
  /// `name` is the integer buffer 0, 1, ..., n - 1 of shape (1, n), which checkpoints carry.
  void range(std::string_view name, int n) { out.ranges.push_back({full(name), n}); }

 private:
  static std::string item(std::string_view name, int index) { return concat(name, '.', index); }
  std::string full(std::string_view name, std::string_view end = "") const {
    return concat(prefix, name, end);
  }
  [[gnu::noinline]] void add(std::string_view name, std::span<const int> shape, ParamSpan place,
                             Init init) {
    require(place.index >= 0, "ParamStore: ", full(name),
            " has no offset: make the model with laid_out<M>()");
    require(place.model == model && place.index == static_cast<int>(out.params.size()),
            "ParamStore: ", full(name), " was laid out as parameter ", place.index, " of ",
            place.model ? place.model->name : "no model", ", expected ", out.params.size(), " of ",
            model->name);
    out.params.push_back({.name = full(name),
                          .shape = {shape.begin(), shape.end()},
                          .offset = place.offset,
                          .size = place.size,
                          .init = init});
  }
};

[[gnu::noinline]] inline void require_unique(const ModelNames& names, std::string_view model) {
  std::vector<std::string_view> all;
  for (const auto& p : names.params) all.push_back(p.name);
  for (const auto& t : names.tied) all.push_back(t.name);
  for (const auto& r : names.ranges) all.push_back(r.name);
  std::sort(all.begin(), all.end());
  const auto same = std::adjacent_find(all.begin(), all.end());
  if (same != all.end()) fail("ParamStore: two fields of ", model, " have the name '", *same, "'");
}

}  // namespace detail

/// The parameters of a laid-out model under their full names. Error if two have the same name, or
/// if the model is not laid out.
template <class M>
ModelNames names_of(const M& model) {
  ModelNames names;
  detail::NameVisitor{names, "", &model_layout<M>}("", model);
  detail::require_unique(names, model_layout<M>.name);
  return names;
}

/// The description of model M with every parameter's offset filled in. A layer or model lists its
/// members in `static constexpr void fields(auto& m, auto&& f)` as f("name", m.member); a member
/// is a Param, a layer, or a std::array of layers (named name.0, name.1, ..., or from another
/// first number on and in steps: f("name", m.member, first, step)). It does not compile if fields()
/// leaves one out or names one twice. Members that hold no parameters (a rate, an epsilon) need
/// no mention, unless they are as large as a Param (32 bytes): then f.other(m.member).
template <class M>
consteval M laid_out() {
  constexpr auto problem = detail::layout_of<M>.visitor.problem;
  static_assert(problem != detail::LayoutProblem::forgotten,
                "laid_out: a fields() does not name every parameter and layer of its struct "
                "(members without parameters as large as a Param: f.other(m.member))");
  static_assert(problem != detail::LayoutProblem::twice,
                "laid_out: a fields() names one of its members twice");
  if constexpr (problem != detail::LayoutProblem::none) {  // says of which struct
    M model{};
    detail::LayoutVisitor<true> visitor;
    visitor("", model);
  }
  return detail::layout_of<M>.model;
}

/// The same for a description that has been made already, e.g. with arguments; it may have been
/// laid out before. At run time, an Error says what is wrong with fields().
template <class M>
constexpr M laid_out(M model) {
  detail::UnlayVisitor unlay;
  unlay("", model);
  detail::LayoutVisitor<true> visitor{.model = &model_layout<M>};
  visitor("", model);
  return model;
}

/// Number of trainable values of model M (tied ones once).
template <class M>
consteval std::int64_t parameter_count() {
  return detail::layout_of<M>.visitor.values;
}

}  // namespace albef
