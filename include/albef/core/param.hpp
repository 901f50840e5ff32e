// Parameters as compile-time descriptions: shape, initial value, place in the flat buffer.
#pragma once

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

/// Assigns offsets in the order in which fields() names the members.
struct LayoutVisitor {
  std::int64_t offset = 0, values = 0;
  int index = 0;

  template <class M>
  constexpr void operator()(std::string_view, M& member, int = 0, int = 1) {
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
  constexpr void tied(std::string_view, int, std::string_view, const auto&) {}
  constexpr void range(std::string_view, int) {}
};

/// Lists every parameter, tied name and range buffer under its full dotted name.
struct NameVisitor {
  ModelNames& out;
  std::string prefix;

  template <class M>
  void operator()(std::string_view name, const M& member, int first = 0, int stride = 1) {
    if constexpr (IsParam<M>::value) {
      add(name, M::shape, member, member.init);
    } else if constexpr (IsArray<M>::value) {
      for (std::size_t i = 0; i < member.size(); ++i)
        (*this)(item(name, first + stride * static_cast<int>(i)), member[i]);
    } else {
      NameVisitor inner{out, name.empty() ? prefix : full(name, ".")};
      M::fields(member, inner);
    }
  }
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
    require(place.index == static_cast<int>(out.params.size()), "ParamStore: ", full(name),
            " has no offset: make the model with laid_out<M>()");
    out.params.push_back({.name = full(name),
                          .shape = {shape.begin(), shape.end()},
                          .offset = place.offset,
                          .size = place.size,
                          .init = init});
  }
};

}  // namespace detail

/// The description of model M with every parameter's offset filled in. A layer or model lists its
/// members in `static constexpr void fields(auto& m, auto&& f)` as f("name", m.member); a member
/// is a Param, a layer, or a std::array of layers (named name.0, name.1, ..., or from another
/// first number on and in steps: f("name", m.member, first, step)).
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
