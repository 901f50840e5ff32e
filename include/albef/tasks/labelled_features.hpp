// Features of labelled data sets, for probes: of any encoder, or the pixels themselves.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/matrix.hpp"
#include "albef/data/labelled.hpp"
#include "albef/tasks/encode.hpp"
#include "albef/models/encoders.hpp"
#include "albef/tasks/skipped.hpp"

namespace albef {

/// Features of the records of a labelled set that can be used, in its order.
struct LabelledFeatures {
  std::vector<float> values{};  ///< (N, width)
  int width = 0;
  std::vector<std::int32_t> labels{};    ///< (N)
  std::vector<std::uint32_t> records{};  ///< (N) which they are in the set
  std::vector<std::string> classes{};
  Skipped skipped{};

  int rows() const { return static_cast<int>(labels.size()); }
  Mat<const float> mat() const { return albef::mat(values.data(), rows(), width); }
};

namespace detail {

/// The features of `records` in a labelled set, (records, width) without those of bad ones.
template <class Values>
LabelledFeatures labelled(const LabelledSource& set, std::span<const std::uint32_t> records,
                          const Values& values, const BadRecords& bad) {
  LabelledFeatures out{.values = {values.begin(), values.end()}, .classes = set.classes()};
  for (const std::uint32_t record : records) {
    if (bad.has(record)) continue;
    out.records.push_back(record);
    out.labels.push_back(set.label(record));
  }
  require(!out.labels.empty(), "features: no record of the labelled set can be used");
  out.width = static_cast<int>(out.values.size() / out.labels.size());
  out.skipped = {set.size(), bad.count()};
  return out;
}

/// The first usable text of each record, cleaned; records without one enter `bad` and are taken off
/// the list.
inline std::vector<std::string> labelled_texts(const LabelledSource& set,
                                               std::vector<std::uint32_t>& records,
                                               BadRecords& bad) {
  const auto silent = [&](std::uint32_t record) { return set.record(record).captions.empty(); };
  if (std::all_of(records.begin(), records.end(), silent))
    fail("features: no record has a text, e.g. ", set.describe(records.empty() ? 0 : records[0]));
  std::vector<std::string> texts;
  std::erase_if(records, [&](std::uint32_t record) {
    std::string problem = "there is no text";
    for (const std::string& caption : set.record(record).captions) {
      problem = problem_of([&] { texts.push_back(clean_caption(caption)); });
      if (problem.empty()) return false;
    }
    bad.add(record, set.describe(record) + ": " + problem);
    return true;
  });
  const auto size = static_cast<std::int64_t>(set.size());
  bad.check(size, size);
  return texts;
}

}  // namespace detail

/// The class token's states of domain D, see class_state(), of a labelled set. Records without the
/// picture or text it takes, or with one that cannot be read, enter `bad`.
template <Domain D, class S>
LabelledFeatures labelled_features(S& session, const LabelledSource& set,
                                   const EncodingOptions& options = {},
                                   BadRecords bad = BadRecords()) {
  using C = typename S::Config;
  auto& ctx = session.context();
  std::vector<std::uint32_t> records = set.usable(bad);
  std::vector<std::string> texts;
  if constexpr (D != Domain::image) texts = detail::labelled_texts(set, records, bad);
  std::vector<typename S::Master> values;
  if constexpr (D == Domain::image) {
    values = image_features(
        session, set, records,
        [](auto& c, const auto& images) { return class_state<D>(c, S::model, images); }, options,
        &bad);
  } else if constexpr (D == Domain::text) {
    values = text_features(
        session, std::span<const std::string>(texts),
        [](auto& c, const Tokens& tokens) { return class_state<D>(c, S::model, tokens); }, options);
  } else {
    std::vector<std::string> shown;
    for_each_image_batch(
        set, records, EvalTransform{C::image_res}, options.batch_size, options.workers,
        [&](const ImageBatch& batch) {
          shown.clear();
          for (const std::size_t place : batch.places) shown.push_back(texts[place]);
          ctx.begin_step(0);
          const auto images = upload_images<C>(ctx, batch);
          const auto tokens =
              upload_tokens<C>(ctx, encode_texts(session.tokenizer(), shown, session.encoding()));
          const auto state =
              ctx.no_grad([&] { return class_state<D>(ctx, S::model, images, tokens); });
          detail::append_rows(ctx, state, values);
        },
        default_decoding(), &bad);
  }
  return detail::labelled(set, records, values, bad);
}

/// The same for a domain that is known at run time. Error if the model has no encoder of it.
template <class S>
LabelledFeatures labelled_features(S& session, Domain domain, const LabelledSource& set,
                                   const EncodingOptions& options = {},
                                   BadRecords bad = BadRecords()) {
  using M = typename S::Model;
  if constexpr (encodes<M>(Domain::text))
    if (domain == Domain::text)
      return labelled_features<Domain::text>(session, set, options, std::move(bad));
  if constexpr (encodes<M>(Domain::multimodal))
    if (domain == Domain::multimodal)
      return labelled_features<Domain::multimodal>(session, set, options, std::move(bad));
  require(domain == Domain::image, "the model has no ", domain_name(domain), " encoder");
  return labelled_features<Domain::image>(session, set, options, std::move(bad));
}

/// The red, green and blue values (0 to 1) of the pictures, scaled to side x side, as features
/// (N, 3 side^2): what an encoder must tell more than.
inline LabelledFeatures pixel_features(const LabelledSource& set, int side,
                                       const EncodingOptions& options = {},
                                       BadRecords bad = BadRecords()) {
  const std::vector<std::uint32_t> records = set.usable(bad);
  std::vector<float> values;
  for_each_image_batch(
      set, records, EvalTransform{side}, options.batch_size, options.workers,
      [&](const ImageBatch& batch) {
        for (const std::uint8_t v : batch.images) values.push_back(static_cast<float>(v) / 255);
      },
      default_decoding(), &bad);
  return detail::labelled(set, records, values, bad);
}

}  // namespace albef
