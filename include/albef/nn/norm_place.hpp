// Where the norm of a sub-layer stands: pre-norm or post-norm.
#pragma once

#include "albef/ops/elementwise.hpp"

namespace albef {

/// pre: y = x + f(norm(x)) (timm's vision transformer, GPT-2, FLAVA);
/// post: y = norm(x + f(x)) (BERT, the first transformer).
enum class NormPlace { pre, post };

/// What sub-layer f reads of x (B, L, D).
template <NormPlace Place>
auto before_sublayer(auto& ctx, const auto& norm, const auto& x) {
  if constexpr (Place == NormPlace::pre)
    return norm(ctx, x);
  else
    return x;
}

/// Adds what f gave to x, both (B, L, D), with dropout of probability p on f's side.
template <NormPlace Place, class X>
X after_sublayer(auto& ctx, const auto& norm, const X& x, const X& f, float p = 0) {
  if constexpr (Place == NormPlace::post)
    return norm.add(ctx, f, x, p);
  else
    return add(ctx, x, p > 0 ? dropout(ctx, f, p) : f);
}

/// The same where each sequence is spared f with probability `rate` (stochastic depth; Huang et al.
/// 2016): y = norm(x + drop_path(f)), or pre-norm.
template <NormPlace Place, class X>
X after_dropped_sublayer(auto& ctx, const auto& norm, const X& x, const X& f, float rate) {
  if (rate <= 0) return after_sublayer<Place>(ctx, norm, x, f);
  const X sum = add_drop_path(ctx, x, f, rate);
  if constexpr (Place == NormPlace::post)
    return norm(ctx, sum);
  else
    return sum;
}

/// A layer that changes nothing: where a configuration leaves one out.
struct Identity {
  static constexpr void fields(auto&, auto&&) {}
  auto operator()(auto&, const auto& x) const { return x; }
};

}  // namespace albef
