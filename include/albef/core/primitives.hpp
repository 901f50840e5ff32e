// The list of primitives: what a device must be able to do.
//
// A primitive is a struct of arguments and one function a device, run(device, arguments). All that
// goes over every primitive goes over this list: the Backend concept (core/backend.hpp), the
// compiled libraries of the devices (core/compiled_primitives.hpp), the tests against double and
// the benchmark (tests/support/primitive_cases.hpp). A new primitive is its struct, its place in
// the list, its run() for each device, and its case in the tests.
//
// T is the type of activations, their gradients and the weights kernels read; A = accumulator_t<T>
// that of statistics, scalars, losses, normalised features and parameter gradients. All pointers
// are to memory of the device unless their comment says host. Most results are written as
// y = new + beta * y: beta = 0 never reads y, which may hold anything; with beta = 1 gradients of
// several uses add up. Primitives return as soon as their work is queued, in order.
#pragma once

#include <cstdint>
#include <type_traits>

#include "albef/core/primitives/attention.hpp"
#include "albef/core/primitives/convolution.hpp"
#include "albef/core/primitives/elementwise.hpp"
#include "albef/core/primitives/images.hpp"
#include "albef/core/primitives/losses.hpp"
#include "albef/core/primitives/norm.hpp"
#include "albef/core/primitives/optimizer.hpp"
#include "albef/core/primitives/products.hpp"
#include "albef/core/primitives/tokens.hpp"

namespace albef {

template <class... P>
struct TypeList {};

namespace detail {

template <class T, class List>
inline constexpr bool in_list = false;
template <class T, class... P>
inline constexpr bool in_list<T, TypeList<P...>> = (std::is_same_v<T, P> || ...);

/// The list without repetitions.
template <class Done, class... Rest>
struct Unique {
  using type = Done;
};
template <class... Done, class P, class... Rest>
struct Unique<TypeList<Done...>, P, Rest...> {
  using type = typename Unique<
      std::conditional_t<in_list<P, TypeList<Done...>>, TypeList<Done...>, TypeList<Done..., P>>,
      Rest...>::type;
};

template <class P>
struct PrimitiveResult {
  using type = void;
};
template <class P>
requires requires { typename P::Result; }
struct PrimitiveResult<P> {
  using type = typename P::Result;
};

}  // namespace detail

/// What run() of a primitive returns: P::Result, or nothing.
template <class P>
using primitive_result_t = typename detail::PrimitiveResult<P>::type;

/// Every primitive for activations of type T.
template <class T, class A = accumulator_t<T>>
using Primitives = typename detail::Unique<
    TypeList<>,
    // Values and sums.
    primitive::Fill<T>, primitive::Fill<std::int32_t>, primitive::Convert<T, A>,
    primitive::Convert<A, T>, primitive::Add<T>, primitive::SetRows<T>, primitive::MultiplyRow<T>,
    primitive::Multiply<T>, primitive::ColumnSum<T>, primitive::DotRows<T>, primitive::Dot<T>,
    primitive::Activate<T>, primitive::ActivateGrad<T>, primitive::Sign<T>, primitive::Dropout<T>,
    primitive::DropSequences<T>, primitive::Scale<T>, primitive::ScaleGrad<T>,
    // Products and attention.
    primitive::Gemm<T>, primitive::WeightGradient<T>, primitive::Attention<T>,
    primitive::AttentionGrad<T>, primitive::AttentionProbabilities<T>,
    // Normalisation.
    primitive::LayerNorm<T>, primitive::LayerNormGrad<T>, primitive::L2Normalize<T>,
    primitive::L2NormalizeGrad<T>, primitive::WeightNorm<A>, primitive::WeightNormGrad<A>,
    // Tokens, rows and images.
    primitive::Embedding<T>, primitive::EmbeddingGrad<T>, primitive::GatherRows<T>,
    primitive::ScatterAddRows<T>, primitive::ScatterAddRows<T, A>, primitive::PushRows<A>,
    primitive::PushRows<std::int64_t>, primitive::AdvanceRing, primitive::SumSequences<T>,
    primitive::SpreadSequences<T>, primitive::GatherIds, primitive::FirstRows, primitive::SelectSequences,
    primitive::ConcatSequences, primitive::PairIndices, primitive::NormalizeImages<T>,
    primitive::Patchify<T>, primitive::Unpatchify<T>, primitive::ResizeGrid<T>,
    primitive::ResizeGridGrad<T>,
    // Convolution and pooling.
    primitive::TransposeEach<T>, primitive::Unfold<T>, primitive::Fold<T>, primitive::MaxPool<T>,
    primitive::MaxPoolGrad<T>, primitive::ArgmaxRows<T>,
    // Losses.
    primitive::SoftCrossEntropy<T>, primitive::SoftCrossEntropyGrad<T>,
    primitive::SigmoidCrossEntropy<T>, primitive::SigmoidCrossEntropyGrad<T>,
    primitive::SampleNegatives<T>, primitive::SelfDistillation<A>,
    primitive::SelfDistillationGrad<A>,
    // Optimizer, on the master type.
    primitive::AdamW<A, T>, primitive::EmaUpdate<A>, primitive::SquaredNorm<A>,
    primitive::SquaredNorms<A>, primitive::Clamp<A>>::type;

}  // namespace albef
