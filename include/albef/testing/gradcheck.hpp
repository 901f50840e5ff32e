// Gradient check for layers and functions of your own: back-propagation against central
// differences, in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/context.hpp"
#include "albef/core/number.hpp"
#include "albef/ops/elementwise.hpp"

namespace albef {

/// A random input of width W: standard normal values, rows grouped into sequences of `lengths`.
template <int W>
struct GradInput {
  std::vector<int> lengths;
  int cols = W;
};
/// `count` sequences of `length` rows each.
template <int W>
GradInput<W> sequences(int count, int length, int cols = W) {
  return {std::vector<int>(static_cast<std::size_t>(count), length), cols};
}
/// Sequences of these lengths.
template <int W>
GradInput<W> ragged(std::vector<int> lengths, int cols = W) {
  return {std::move(lengths), cols};
}
/// A batch of `count` rows.
template <int W>
GradInput<W> vectors(int count, int cols = W) {
  return sequences<W>(count, 1, cols);
}

struct GradcheckOptions {
  double tolerance = 1e-6;  ///< of the difference, relative to the tensor's largest gradient
  double step = 5e-4;       ///< of the differences (fourth order)
  int entries = 20;         ///< compared per tensor: the first, the last and random ones
  int entries_twice = 5;    ///< the same where the function is applied twice
  bool parameters = true;   ///< false: the inputs only
  bool dropout = false;     ///< with dropout on, the same mask in all evaluations
  bool checkpointing = false;
  std::uint64_t seed = 1;
};

/// True if all gradients agree; `message` names the worst entry in any case. Streams print it.
struct GradcheckResult {
  bool ok = true;
  double worst = 0;  ///< largest difference, in units of the tolerance
  std::string message = "nothing takes a gradient";

  explicit operator bool() const { return ok; }
  friend auto& operator<<(auto& out, const GradcheckResult& r) { return out << r.message; }
};

/// A description without parameters, for functions of tensors only.
struct NoParameters {
  static constexpr void fields(auto&, auto&&) {}
};

namespace detail {

template <class>
inline constexpr bool is_grad_input = false;
template <int W>
inline constexpr bool is_grad_input<GradInput<W>> = true;

/// Lays out `model`, gives its parameters and the inputs random values, and compares.
template <class Device, class Model, class F, int... W>
class Gradcheck {
 public:
  Gradcheck(Device& device, const GradcheckOptions& options, const Model& model, const F& f,
            const GradInput<W>&... inputs)
      : options_(options),
        random_(options.seed, 0x96ad),
        device_(device),
        model_(laid_out(model)),
        f_(f),
        store_(device_, model_, Storage::training),
        ctx_(device_, store_, options.seed) {
    for (const auto& p : store_.params()) randomize(p);
    (add_input(inputs), ...);
    ctx_.set_dropout(options.dropout);
    ctx_.set_checkpointing(options.checkpointing);
  }

  GradcheckResult run() {
    GradcheckResult result;
    for (const bool twice : {false, true}) {
      twice_ = twice;
      fill_gradient_memory();
      compare_all(result);
      if (!result.ok) break;
    }
    return result;
  }

 private:
  using Ctx = Context<Device, Fp64>;
  struct Input {
    std::vector<double> values;
    std::vector<std::int32_t> offsets{0};
    int uniform = 0;  ///< the length of all sequences, or -1
    int cols = 0;
  };

  /// Leaves NaN in all memory that gradients will have: what reads a gradient that has not been
  /// written shows. (The second pass has its memory in one piece, as the passes that follow.)
  void fill_gradient_memory() {
    for (int pass = 0; pass < 2; ++pass) {
      ctx_.begin_step(0);
      ctx_.backward(loss(variables(std::index_sequence_for<GradInput<W>...>{})),
                    std::numeric_limits<double>::quiet_NaN());
    }
    store_.clear_gradients();
  }

  void compare_all(GradcheckResult& result) {
    std::vector<std::vector<double>> gradients(inputs_.size());
    ctx_.begin_step(0);
    const auto x = variables(std::index_sequence_for<GradInput<W>...>{});
    ctx_.backward(loss(x));
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((gradients[I] = ctx_.gradient(std::get<I>(x))), ...);
    }
    (std::index_sequence_for<GradInput<W>...>{});

    const char* how = twice_ ? " used twice" : "";
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      compare(
          concat("input ", i, how), gradients[i],
          [&](std::int64_t at) -> double& {
            return inputs_[i].values[static_cast<std::size_t>(at)];
          },
          [](double&) {}, result);
    for (std::size_t i = 0; options_.parameters && i < store_.params().size(); ++i) {
      const auto& p = store_.params()[i];
      std::vector<double> gradient(static_cast<std::size_t>(p.size), 0.0), value = gradient;
      if (store_.touched(static_cast<int>(i)))
        copy_to_host(device_, gradient.data(), const_data(Plane::grad, p), p.size);
      copy_to_host(device_, value.data(), const_data(Plane::online, p), p.size);
      compare(
          concat("parameter '", p.name, "'", how), gradient,
          [&](std::int64_t at) -> double& { return value[static_cast<std::size_t>(at)]; },
          [&](double& v) {
            copy_to_device(device_, store_.data(Plane::online) + p.offset + (&v - value.data()),
                           static_cast<const double*>(&v), 1);
          },
          result);
    }
  }

  const double* const_data(Plane plane, const ParamInfo& p) const {
    return store_.data(plane) + p.offset;
  }

  /// Matrices keep the scale of what they multiply; vectors and scalars move away from 0 and 1.
  void randomize(const ParamInfo& p) {
    std::vector<double> values(static_cast<std::size_t>(p.size));
    const bool constant = p.init.kind == Init::Kind::constant;
    const double base = constant ? static_cast<double>(p.init.value) : 0.0;
    const double rows = p.shape.size() >= 2 ? p.shape[0] : static_cast<double>(p.size);
    for (double& v : values) {
      const auto normal = static_cast<double>(random_.normal());
      if (p.shape.size() >= 2)
        v = normal / std::sqrt(static_cast<double>(p.size) / rows);
      else if (p.shape.empty() && base != 0)
        v = base * (1 + 0.5 * static_cast<double>(random_.uniform()));
      else
        v = base + 0.3 * normal;
    }
    copy_to_device(device_, store_.data(Plane::online) + p.offset,
                   static_cast<const double*>(values.data()), p.size);
  }

  template <int Width>
  void add_input(const GradInput<Width>& in) {
    Input input;
    input.cols = in.cols;
    input.uniform = in.lengths.empty() ? 0 : in.lengths[0];
    for (const int n : in.lengths) {
      if (n != input.uniform) input.uniform = -1;
      input.offsets.push_back(input.offsets.back() + n);
    }
    input.values.resize(static_cast<std::size_t>(input.offsets.back()) *
                        static_cast<std::size_t>(in.cols));
    for (double& v : input.values) v = static_cast<double>(random_.normal());
    inputs_.push_back(std::move(input));
  }

  template <std::size_t... I>
  auto variables(std::index_sequence<I...>) {
    return std::tuple{variable<W>(inputs_[I])...};
  }
  template <int Width>
  auto variable(const Input& in) {
    const int count = static_cast<int>(in.offsets.size()) - 1;
    const Sequences seq =
        in.uniform >= 0 ? uniform_sequences(count, in.uniform) : ctx_.sequences(in.offsets);
    return ctx_.template variable<Width>(in.values, seq, in.cols);
  }

  /// The weighted sum of what f returns, with the same random weights in every evaluation; where f
  /// is applied twice, the sum of two such sums with weights of their own.
  template <class Variables>
  Tensor<double, 1> loss(const Variables& x) {
    const auto once = [&](std::vector<double>& weights) {
      const auto y = std::apply([&](const auto&... t) { return f_(ctx_, model_, t...); }, x);
      while (static_cast<std::int64_t>(weights.size()) < y.size())
        weights.push_back(static_cast<double>(random_.normal()));
      return weighted_sum(ctx_, y, ctx_.upload(weights));
    };
    const auto first = once(weights_);
    return twice_ ? add(ctx_, first, once(more_weights_)) : first;
  }
  double evaluate() {
    ctx_.begin_step(0);
    return ctx_.no_grad(
        [&] { return ctx_.item(loss(variables(std::index_sequence_for<GradInput<W>...>{}))); });
  }

  /// Compares some entries of a gradient; `at(i)` is the host's copy of value i, `changed` is
  /// called when it was changed.
  template <class At, class Changed>
  void compare(const std::string& name, const std::vector<double>& gradient, const At& at,
               const Changed& changed, GradcheckResult& result) {
    const auto size = static_cast<std::int64_t>(gradient.size());
    double largest = 1e-4;  // differences of a gradient that is zero are rounding errors
    for (const double g : gradient) largest = std::max(largest, std::abs(g));
    const std::int64_t n =
        std::min<std::int64_t>(size, twice_ ? options_.entries_twice : options_.entries);
    for (std::int64_t k = 0; k < n; ++k) {
      const std::int64_t i = n == size || k == 0 ? k
                             : k == 1            ? size - 1
                                                 : random_.below(static_cast<int>(size));
      double& v = at(i);
      const double center = v;
      const auto shifted = [&](double by) {
        v = center + by;
        changed(v);
        return evaluate();
      };
      const double h = options_.step;
      const double near = shifted(h) - shifted(-h), far = shifted(2 * h) - shifted(-2 * h);
      v = center;
      changed(v);
      const double numeric = (8 * near - far) / (12 * h);
      const double analytic = gradient[static_cast<std::size_t>(i)];
      double error = std::abs(analytic - numeric) /
                     (options_.tolerance * std::max(largest, std::abs(numeric)));
      if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
      if (error < result.worst) continue;
      result.worst = error;
      result.ok = error <= 1;
      result.message =
          concat(name, '[', i, "]: gradient ", significant(analytic, 9), ", by differences ",
                 significant(numeric, 9), " (largest of the tensor ", significant(largest, 3), ')');
    }
  }

  GradcheckOptions options_;
  RandomStream random_;
  Device& device_;
  Model model_;
  const F& f_;
  ParamStore<Device, Fp64> store_;
  Ctx ctx_;
  std::vector<Input> inputs_;
  std::vector<double> weights_, more_weights_;
  bool twice_ = false;  ///< apply f a second time to the same inputs
};

}  // namespace detail

/// Checks f(ctx, model, inputs...) -> tensor, with respect to all inputs and all parameters of the
/// description `model` (which need not be laid out). The tensor's weighted sum is the loss. Then f
/// is applied twice to the same inputs, so that every gradient has two contributions, the first of
/// which (beta = 0) finds memory full of NaN. Error if fields() forgets or repeats a member.
/// f may upload indices and call ctx as a layer does, and must not depend on anything but its
/// arguments; its random draws are the same in all evaluations.
///   CHECK(gradcheck(device, Linear<7, 5>{}, [](auto& ctx, const auto& m, const auto& x) {
///     return add(ctx, m(ctx, x), m(ctx, x)); }, sequences<7>(2, 3)));
template <class Device, class Model, class F, int... W>
requires(!is_tensor<F> && !detail::is_grad_input<F>) GradcheckResult
    gradcheck(Device& device, const GradcheckOptions& options, const Model& model, const F& f,
              const GradInput<W>&... inputs) {
  return detail::Gradcheck<Device, Model, F, W...>(device, options, model, f, inputs...).run();
}
/// Checks a layer called as layer(ctx, inputs...):
///   CHECK(gradcheck(device, LayerScale<48>{}, sequences<48>(2, 5)));
template <class Device, class Layer, int... W>
GradcheckResult gradcheck(Device& device, const GradcheckOptions& options, const Layer& layer,
                          const GradInput<W>&... inputs) {
  const auto call = [](auto& ctx, const Layer& l, const auto&... x) { return l(ctx, x...); };
  return gradcheck(device, options, layer, call, inputs...);
}
/// The same with default options.
template <class Device, class Model, class... Arguments>
requires(!std::is_same_v<Model, GradcheckOptions>) GradcheckResult
    gradcheck(Device& device, const Model& model, const Arguments&... arguments) {
  return gradcheck(device, GradcheckOptions{}, model, arguments...);
}
/// All of these on a device made for the check: gradcheck<Cpu>(LayerScale<48>{}, ...).
template <class Device, class... Arguments>
GradcheckResult gradcheck(const Arguments&... arguments) {
  Device device;
  return gradcheck(device, arguments...);
}

}  // namespace albef
