// Fine-tuning an encoder with a head to tell the classes of a labelled set apart: pictures, texts,
// or both together (the three domains of Singh et al. 2022, section 5).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/scores.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/labelled_loader.hpp"
#include "albef/data/open.hpp"
#include "albef/data/retrieval_set.hpp"
#include "albef/models/fine_tuned.hpp"
#include "albef/models/inputs.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/tasks/class_score.hpp"
#include "albef/tasks/given_answers.hpp"
#include "albef/train/objective.hpp"
#include "albef/train/session.hpp"

namespace albef {

/// What of a record a domain reads.
constexpr LabelledParts parts_of(Domain domain) {
  return {domain != Domain::text, domain != Domain::image};
}

/// Uploads what domain D takes of a batch, and its labels if it has some. Error if it does not fit
/// together, or a label is not below `classes`.
template <Domain D, class C, class Ctx>
auto upload_labelled(Ctx& ctx, const ClassBatch& host, int classes) {
  FineTunedInput<typename Ctx::Real, C> in;
  if constexpr (D != Domain::text) {
    in.image = upload_images<C>(ctx, host);
    require(in.image.rows() == host.size, "got ", in.image.rows(), " pictures for ", host.size,
            " examples");
  }
  if constexpr (D != Domain::image) {
    require(host.text.count() == host.size, "got ", host.text.count(), " texts for ", host.size,
            " examples");
    in.text = upload_tokens<C>(ctx, host.text);
  }
  if (host.labels.empty()) return in;
  require(host.labels.size() == static_cast<std::size_t>(host.size), "got ", host.labels.size(),
          " labels for ", host.size, " examples");
  for (std::size_t i = 0; i < host.labels.size(); ++i)
    require(host.labels[i] >= 0 && host.labels[i] < classes, "example ", i, " has label ",
            host.labels[i], ", expected 0 to ", classes - 1);
  in.labels = ctx.upload(host.labels);
  return in;
}

/// The objective: cross entropy of the classes of the data, of which there are at most Capacity.
template <class M, Domain D, int Capacity>
struct FineTuning {
  using Model = FineTuned<M, D, Capacity>;
  using Batch = ClassBatch;
  int classes = Capacity;

  auto operator()(auto& ctx, const Model& model, const ClassBatch& batch, const Step&) const {
    const auto in = upload_labelled<D, typename M::Config>(ctx, batch, classes);
    require(in.labels != nullptr, "the batch has no labels to learn");
    const auto logits = first_columns(ctx, model.logits(ctx, in), classes);  // (B, classes)
    using Real = typename std::remove_reference_t<decltype(ctx)>::Real;
    return cross_entropy(ctx, logits, SoftTargets<Real>{.labels = in.labels});
  }
  std::vector<PlateauRule> plateaus(int) const {
    return {{"loss", std::log(static_cast<double>(classes))}};
  }
};

/// Probabilities of the `classes` of the data for a batch, (B, classes), by a session of a
/// FineTuned model.
template <class S, class M, Domain D, int Capacity>
std::vector<double> labelled_probabilities(S& session, const FineTuned<M, D, Capacity>& model,
                                           const ClassBatch& batch, int classes) {
  auto& ctx = session.context();
  ctx.begin_step(0);
  const auto logits = ctx.no_grad([&] {
    const auto in = upload_labelled<D, typename M::Config>(ctx, batch, classes);
    return ctx.read(first_columns(ctx, model.logits(ctx, in), classes));
  });
  const auto width = static_cast<std::size_t>(classes);
  std::vector<double> out;
  for (std::size_t at = 0; at < logits.size(); at += width)
    for (const double v : log_softmax(std::span(logits).subspan(at, width)))
      out.push_back(std::exp(v));
  return out;
}

/// The most probable classes of a user's own pictures, texts, or pairs of them, one list for each,
/// best first. One picture may stand for all texts. Error if they do not fit together.
template <class S>
std::vector<std::vector<GivenAnswer>> classify_given(S& session,
                                                     const std::vector<std::string>& pictures,
                                                     const std::vector<std::string>& texts,
                                                     const std::vector<std::string>& classes,
                                                     Domain domain, int most = 5) {
  using C = typename S::Config;
  const LabelledParts parts = parts_of(domain);
  require(parts.pictures != pictures.empty() && parts.texts != texts.empty(), "got ",
          pictures.size(), " pictures and ", texts.size(), " texts, but the model reads ",
          domain == Domain::image  ? "pictures"
          : domain == Domain::text ? "texts"
                                   : "pictures with texts");
  const std::size_t rows = parts.texts ? texts.size() : pictures.size();
  require(!parts.pictures || pictures.size() == rows || pictures.size() == 1, "got ",
          pictures.size(), " pictures for ", rows, " texts");
  ClassBatch batch;
  batch.size = static_cast<int>(rows);
  if (parts.pictures) {
    std::vector<std::uint32_t> records(rows);
    for (std::size_t i = 0; i < rows && pictures.size() > 1; ++i)
      records[i] = static_cast<std::uint32_t>(i);
    for_each_image_batch(picture_files(pictures), records, EvalTransform{C::image_res}, batch.size,
                         0, [&](const ImageBatch& found) {
                           batch.image_size = found.image_size;
                           batch.images = found.images;
                         });
  }
  for (const std::string& text : texts)
    batch.text.add(session.tokenizer().encode(clean_caption(text), session.encoding()));
  const auto count = static_cast<int>(classes.size());
  const auto p = labelled_probabilities(session, S::model, batch, count);
  std::vector<std::vector<GivenAnswer>> out(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const auto row = std::span(p).subspan(i * classes.size(), classes.size());
    for (const int c : largest(row, most))
      out[i].push_back({classes[static_cast<std::size_t>(c)], row[static_cast<std::size_t>(c)]});
  }
  return out;
}

/// Tries a fine-tuned model on a labelled set of its classes, which the loader goes through once,
/// see whole_set_options().
template <class S>
ClassificationScore evaluate_fine_tuned(S& session, const LabelledSource& set,
                                        LabelledLoader& loader) {
  const auto classes = static_cast<int>(set.classes().size());
  std::vector<std::int32_t> labels, predictions;
  for_each_batch(loader, [&](const ClassBatch& batch) {
    const auto p = labelled_probabilities(session, S::model, batch, classes);
    const auto width = static_cast<std::size_t>(classes);
    for (std::size_t row = 0; row < batch.labels.size(); ++row) {
      labels.push_back(batch.labels[row]);
      predictions.push_back(largest(std::span(p).subspan(row * width, width), 1)[0]);
    }
  });
  require(!labels.empty(), "no record of the labelled set can be used");
  return {set.classes(), labels, std::move(predictions), {set.size(), set.size() - labels.size()}};
}

}  // namespace albef
