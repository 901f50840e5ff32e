// Features of whole data sets with the names of their rows, as NumPy arrays for other programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "albef/checkpoint/npy.hpp"
#include "albef/core/file.hpp"
#include "albef/tasks/encode.hpp"

namespace albef {

/// Normalised features (names, width), whose dot product is the similarity.
struct NamedFeatures {
  std::vector<std::string> names{};
  std::vector<float> values{};
  int width = 0;
  std::size_t skipped = 0;  ///< records of the set that cannot be used

  /// Writes PREFIX.npy, float32 of shape (names, width), and PREFIX.txt with a name per row.
  void save(const std::string& prefix) const {
    std::string lines;
    for (const std::string& name : names) lines += name + '\n';
    write_npy<float>(prefix + ".npy", values, {static_cast<std::int64_t>(names.size()), width});
    write_file(prefix + ".txt", lines);
  }
};

/// The pictures of a set, each once, called by their keys; without those that cannot be read, see
/// RetrievalSet::bad.
template <class S>
NamedFeatures named_image_features(S& session, const Source& source, const RetrievalSet& set,
                                   const EncodingOptions& options = {}) {
  NamedFeatures out{.width = S::Config::embed_dim};
  BadRecords bad = set.bad;
  const auto features = image_features(session, source, set.images, options, &bad);
  for (const std::uint32_t record : set.images)
    if (!bad.has(record)) out.names.push_back(source.record(record).key);
  out.skipped = bad.count();
  out.values.assign(features.begin(), features.end());
  return out;
}
/// The texts of a set, called as they are, cleaned.
template <class S>
NamedFeatures named_text_features(S& session, const RetrievalSet& set,
                                  const EncodingOptions& options = {}) {
  const auto features = text_features(session, set.texts, options);
  return {set.texts, {features.begin(), features.end()}, S::Config::embed_dim, set.bad.count()};
}

}  // namespace albef
