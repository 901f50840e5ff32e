// Parameters as compile-time descriptions: shape, initial value, place in the flat buffer.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

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

/// One or more parameters that lie next to each other in the flat buffer.
struct ParamSpan {
  std::int64_t offset = 0;   ///< first element in every plane
  std::int64_t size = 0;     ///< elements
  int index = 0, count = 1;  ///< parameters index .. index + count - 1 of the table
};

/// A parameter of static shape (none: a scalar). It holds no values, only where they are.
template <int... Dims>
struct Param {
  static constexpr int rank = sizeof...(Dims);
  static constexpr std::array<int, sizeof...(Dims)> shape{Dims...};
  static constexpr std::int64_t size = (std::int64_t{1} * ... * Dims);

  Init init = init::zeros();
  std::int64_t offset = -1;
  int index = -1;

  constexpr Param() = default;
  constexpr explicit Param(Init i) : init(i) {}
  constexpr operator ParamSpan() const { return {offset, size, index, 1}; }
};

/// Joins parameters declared one after the other in fields() into one span, e.g. the query, key
/// and value matrices of an attention layer into a single (3 D, D) matrix.
template <class... P>
constexpr ParamSpan joined(const P&... params) {
  const ParamSpan spans[] = {ParamSpan(params)...};
  ParamSpan all = spans[0];
  for (std::size_t i = 1; i < sizeof...(P); ++i) {
    if (spans[i].offset != all.offset + all.size) return {};  // not adjacent: size 0
    all.size += spans[i].size;
    all.count += spans[i].count;
  }
  return all;
}

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

/// Assigns offsets in the order in which fields() names the members.
struct LayoutVisitor {
  std::int64_t offset = 0, values = 0;
  int index = 0;

  template <class M>
  constexpr void operator()(std::string_view, M& member, int = 0) {
    if constexpr (IsParam<M>::value) {
      member.offset = aligned_offset(offset, M::size);
      member.index = index++;
      offset = member.offset + M::size;
      values += M::size;
    } else if constexpr (IsArray<M>::value) {
      for (auto& m : member) (*this)("", m);
    } else {
      M::fields(member, *this);
    }
  }
  constexpr void tied(std::string_view, const auto&) {}
  constexpr void range(std::string_view, int) {}
};

/// Calls callbacks with the full dotted name of every parameter, tied name and range buffer.
template <class OnParam, class OnTied, class OnRange>
struct NameVisitor {
  OnParam& on_param;
  OnTied& on_tied;
  OnRange& on_range;
  std::string prefix;

  NameVisitor(OnParam& param, OnTied& tied, OnRange& range, std::string outer)
      : on_param(param), on_tied(tied), on_range(range), prefix(std::move(outer)) {}

  template <class M>
  void operator()(std::string_view name, const M& member, int first = 0) {
    if constexpr (IsParam<M>::value) {
      on_param(prefix + std::string(name), member);
    } else if constexpr (IsArray<M>::value) {
      for (std::size_t i = 0; i < member.size(); ++i)
        (*this)(std::string(name) + '.' + std::to_string(first + static_cast<int>(i)), member[i]);
    } else {
      NameVisitor inner{on_param, on_tied, on_range,
                        name.empty() ? prefix : prefix + std::string(name) + '.'};
      M::fields(member, inner);
    }
  }
  /// `name` is a second name of an already named parameter.
  void tied(std::string_view name, const auto& param) {
    on_tied(prefix + std::string(name), param);
  }
  /// `name` is the integer buffer 0, 1, ..., n - 1 of shape (1, n), which checkpoints carry.
  void range(std::string_view name, int n) { on_range(prefix + std::string(name), n); }
};

}  // namespace detail

/// The description of model M with every parameter's offset filled in. A layer or model lists its
/// members in `static constexpr void fields(auto& m, auto&& f)` as f("name", m.member); a member
/// is a Param, a layer, or a std::array of layers (named name.0, name.1, ...).
template <class M>
consteval M laid_out() {
  M model{};
  detail::LayoutVisitor visitor;
  visitor("", model);
  return model;
}

/// Number of trainable values of model M (tied ones once).
template <class M>
consteval std::int64_t parameter_count() {
  M model{};
  detail::LayoutVisitor visitor;
  visitor("", model);
  return visitor.values;
}

}  // namespace albef
