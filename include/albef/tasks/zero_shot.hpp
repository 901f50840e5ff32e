// Zero-shot classification (Radford et al. 2021, section 3.1.4): a class is what its name means in
// some sentences about a picture, and a picture is of the class whose features are nearest.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "albef/core/file.hpp"
#include "albef/core/scores.hpp"
#include "albef/data/captions.hpp"
#include "albef/tasks/encode.hpp"

namespace albef {

/// Sentences with {} in the place of the class name.
inline std::vector<std::string> default_prompts() {
  return {"{}",
          "a {}",
          "a picture of a {}",
          "a photo of the {}",
          "a drawing of a {}",
          "a close look at a {}",
          "a small picture of one {}"};
}

/// A sentence a line; empty lines do not count. Error naming the line of one without a place {} for
/// the class name, or for a file without any.
inline std::vector<std::string> read_prompts(const std::string& path) {
  const std::string text = read_file(path);
  std::vector<std::string> out;
  int line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string prompt = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (prompt.ends_with('\r')) prompt.pop_back();
    if (prompt.find_first_not_of(" \t") == prompt.npos) continue;
    require(prompt.find("{}") != prompt.npos, path, ":", line, ": the prompt '", prompt,
            "' has no place {} for the name of the class");
    out.push_back(std::move(prompt));
  }
  require(!out.empty(), path, ": there is no prompt");
  return out;
}

/// The prompts of a class, each {} replaced by its name.
inline std::vector<std::string> prompts_of(const std::string& name,
                                           std::span<const std::string> prompts) {
  std::vector<std::string> out;
  for (const std::string& prompt : prompts) out.push_back(detail::replace_all(prompt, "{}", name));
  return out;
}

/// Normalised features (classes, width) of classes: for each the mean of the normalised features of
/// its prompts. Texts are cleaned as the captions were that the model has learnt from.
template <class S>
auto class_features(S& session, std::span<const std::string> classes,
                    std::span<const std::string> prompts, const EncodingOptions& options = {}) {
  using Master = typename S::Master;
  require(!classes.empty() && !prompts.empty(),
          "zero-shot classification needs classes and prompts");
  const bool raw = dynamic_cast<const WordPiece*>(&session.text_tokenizer()) == nullptr;
  std::vector<std::string> texts;
  for (const std::string& name : classes)
    for (const std::string& text : prompts_of(name, prompts))
      texts.push_back(clean_caption(text, raw ? 0 : 30));
  const std::vector<Master> all = text_features(session, texts, options);
  const std::size_t width = all.size() / texts.size();
  std::vector<Master> out(classes.size() * width, Master(0));
  for (std::size_t c = 0; c < classes.size(); ++c) {
    Master* mean = out.data() + c * width;
    for (std::size_t p = 0; p < prompts.size(); ++p) {
      const Master* row = all.data() + (c * prompts.size() + p) * width;
      for (std::size_t j = 0; j < width; ++j) mean[j] += row[j];
    }
    double square = 0;
    for (std::size_t j = 0; j < width; ++j) square += static_cast<double>(mean[j]) * mean[j];
    const auto norm = static_cast<Master>(std::max(std::sqrt(square), 1e-12));
    for (std::size_t j = 0; j < width; ++j) mean[j] /= norm;
  }
  return out;
}

/// Similarities of pictures to classes, from -1 to 1.
struct ZeroShotScores {
  int classes = 0;
  std::vector<float> values{};  ///< (pictures, classes)

  int pictures() const { return static_cast<int>(values.size()) / std::max(classes, 1); }
  std::span<const float> of(int picture) const {
    return std::span(values).subspan(
        static_cast<std::size_t>(picture) * static_cast<std::size_t>(classes),
        static_cast<std::size_t>(classes));
  }
  /// The nearest `k` classes of a picture, or all; of equal ones the earlier.
  std::vector<int> nearest(int picture, int k) const { return largest(of(picture), k); }
  /// Share of the pictures whose label, (pictures), is among the nearest `k` classes.
  double accuracy(std::span<const std::int32_t> labels, int k) const {
    int right = 0;
    for (int i = 0; i < pictures(); ++i) {
      const auto near = nearest(i, k);
      right +=
          std::find(near.begin(), near.end(), labels[static_cast<std::size_t>(i)]) != near.end();
    }
    return pictures() > 0 ? static_cast<double>(right) / pictures() : 0;
  }
};

/// Compares the pictures of the given records, without those that enter `bad`, with the features of
/// classes; for any model that encodes images and texts (Session of Albef, Clip, Flava, ...).
template <class S>
ZeroShotScores zero_shot(S& session, const Source& source, std::span<const std::uint32_t> records,
                         std::span<const typename S::Master> features, int classes,
                         const EncodingOptions& options = {}, BadRecords* bad = nullptr) {
  const auto images = image_features(session, source, records, options, bad);
  const std::size_t width = features.size() / static_cast<std::size_t>(classes);
  ZeroShotScores out{classes};
  for (std::size_t i = 0; i * width < images.size(); ++i)
    for (std::size_t c = 0; c < static_cast<std::size_t>(classes); ++c) {
      double sum = 0;
      for (std::size_t j = 0; j < width; ++j)
        sum += static_cast<double>(images[i * width + j]) * features[c * width + j];
      out.values.push_back(static_cast<float>(sum));
    }
  return out;
}

}  // namespace albef
