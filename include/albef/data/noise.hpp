// Caption noise at a known rate, to study how training copes with the captions of the web.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/record.hpp"
#include "albef/text/unicode.hpp"

namespace albef {

/// Shares of the training captions that are spoiled, one way each.
struct CaptionNoise {
  double mismatch = 0;  ///< the captions of another record that is also mismatched
  double partial = 0;   ///< each word kept with probability 1/2, at least one
  double keywords = 0;  ///< the record's keywords in random order
  std::uint64_t seed = 1;
};

enum class NoiseKind : std::uint8_t { clean, mismatch, partial, keywords };

namespace detail {

constexpr std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

/// The words of a text, as Python's str.split finds them.
std::vector<std::string_view> split_words(std::string_view text);

void append_word(std::string& text, std::string_view word);

}  // namespace detail

/// A source whose training captions are spoiled; pictures stay as they are.
///
/// The draws are splitmix64 of the record number i, so that any program can repeat them:
/// u_i = splitmix64(seed * 2^32 + i) / 2^64 decides: below `mismatch`, then below `+ partial`, then
/// below `+ keywords` (where the record has a field "keywords"). Mismatched records pass captions
/// on in a ring, in the order of splitmix64(~(seed * 2^32) + i). The words and keywords of record i
/// are drawn by iterating splitmix64 from its first draw: a word stays where the top bit is set, a
/// keyword is taken at (draw mod number left). Records with a field "split" other than "train" stay
/// clean.
class NoisySource : public Source {
 public:
  NoisySource(SourcePtr source, const CaptionNoise& noise);

  std::size_t size() const override { return source_->size(); }
  std::size_t epoch_size() const override { return source_->epoch_size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override;
  const Record& record(std::size_t index) const override;
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;
  bool same_picture(std::size_t a, std::size_t b) const override {
    return source_->same_picture(a, b);
  }
  std::string describe(std::size_t index) const override { return source_->describe(index); }

  /// What happened to a record's captions.
  NoiseKind kind(std::size_t index) const { return kinds_.at(index); }

 private:
  static NoiseKind kind_of(const Record& record, std::uint64_t draw, const CaptionNoise& noise);

  Record& spoiled(std::size_t index);

  void keep_some_words(std::size_t index, std::uint64_t draw);

  void shuffle_keywords(std::size_t index, std::uint64_t draw);

  SourcePtr source_;
  std::vector<NoiseKind> kinds_;
  std::unordered_map<std::size_t, Record> spoiled_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t here = at;
    if (!is_python_space(next_code_point(text, at))) continue;
    if (here > begin) words.push_back(text.substr(begin, here - begin));
    begin = at;
  }
  if (begin < text.size()) words.push_back(text.substr(begin));
  return words;
}

ALBEF_DATA_INLINE void append_word(std::string& text, std::string_view word) {
  if (!text.empty()) text += ' ';
  text += word;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE NoisySource::NoisySource(SourcePtr source, const CaptionNoise& noise)
    : source_(std::move(source)) {
  require(noise.mismatch >= 0 && noise.partial >= 0 && noise.keywords >= 0 &&
              noise.mismatch + noise.partial + noise.keywords <= 1,
          "caption noise: mismatch ", noise.mismatch, ", partial ", noise.partial, ", keywords ",
          noise.keywords, ", expected shares that add up to at most 1");
  const std::uint64_t base = noise.seed << 32;
  std::vector<std::size_t> mismatched;
  kinds_.resize(source_->size(), NoiseKind::clean);
  for (std::size_t i = 0; i < kinds_.size(); ++i) {
    kinds_[i] = kind_of(source_->record(i), detail::splitmix64(base + i), noise);
    if (kinds_[i] == NoiseKind::mismatch) mismatched.push_back(i);
    if (kinds_[i] == NoiseKind::partial) keep_some_words(i, detail::splitmix64(base + i));
    if (kinds_[i] == NoiseKind::keywords) shuffle_keywords(i, detail::splitmix64(base + i));
  }
  std::sort(mismatched.begin(), mismatched.end(), [&](std::size_t a, std::size_t b) {
    return detail::splitmix64(~base + a) < detail::splitmix64(~base + b);
  });
  for (std::size_t n = 0; n < mismatched.size(); ++n)
    spoiled(mismatched[n]).captions =
        source_->record(mismatched[(n + 1) % mismatched.size()]).captions;
}

ALBEF_DATA_INLINE std::vector<std::uint32_t> NoisySource::epoch_order(std::uint64_t seed,
                                                                      std::int64_t epoch) const {
  return source_->epoch_order(seed, epoch);
}

ALBEF_DATA_INLINE const Record& NoisySource::record(std::size_t index) const {
  const auto found = spoiled_.find(index);
  return found != spoiled_.end() ? found->second : source_->record(index);
}

ALBEF_DATA_INLINE void NoisySource::read_image(std::size_t index,
                                               std::vector<std::uint8_t>& bytes) const {
  source_->read_image(index, bytes);
}

ALBEF_DATA_INLINE NoiseKind NoisySource::kind_of(const Record& record, std::uint64_t draw,
                                                 const CaptionNoise& noise) {
  const auto& split = record.values("split");
  const bool train = split.empty() || split.front() == "train";
  if (!train || !record.error.empty()) return NoiseKind::clean;
  const double u = static_cast<double>(draw) * 0x1p-64;
  if (u < noise.mismatch) return NoiseKind::mismatch;
  if (u < noise.mismatch + noise.partial) return NoiseKind::partial;
  const bool replace = u < noise.mismatch + noise.partial + noise.keywords;
  const bool has_keywords = !record.values("keywords").empty();
  return replace && has_keywords ? NoiseKind::keywords : NoiseKind::clean;
}

ALBEF_DATA_INLINE Record& NoisySource::spoiled(std::size_t index) {
  return spoiled_.try_emplace(index, source_->record(index)).first->second;
}

ALBEF_DATA_INLINE void NoisySource::keep_some_words(std::size_t index, std::uint64_t draw) {
  for (std::string& caption : spoiled(index).captions) {
    const auto words = detail::split_words(caption);
    if (words.empty()) continue;
    std::string kept;
    for (const std::string_view word : words) {
      draw = detail::splitmix64(draw);
      if (draw >> 63) detail::append_word(kept, word);
    }
    if (kept.empty()) kept = words[draw % words.size()];
    caption = std::move(kept);
  }
}

ALBEF_DATA_INLINE void NoisySource::shuffle_keywords(std::size_t index, std::uint64_t draw) {
  std::vector<std::string> left = source_->record(index).values("keywords");
  std::string text;
  while (!left.empty()) {
    draw = detail::splitmix64(draw);
    const auto taken = left.begin() + static_cast<std::ptrdiff_t>(draw % left.size());
    detail::append_word(text, *taken);
    left.erase(taken);
  }
  spoiled(index).captions = {std::move(text)};
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
